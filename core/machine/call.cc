#include "machine/call.h"

#include <algorithm>
#include <map>
#include <memory>

#include "machine/ops.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"

namespace versant {

namespace {
std::map<std::string_view, const Function*>& registry() {
  static std::map<std::string_view, const Function*> map;
  return map;
}
}  // namespace

Function::Function(const char* name, Body body, Quick quick, int least)
    : name(name), body(body), quick(quick), least(least) {
  registry()[name] = this;
}

CallAgain::CallAgain(const Function* function, std::vector<Value> given) : function(function) {
  auto held = std::make_shared<std::vector<std::string>>();
  for (Value& value : given) held->emplace_back(value.text);
  for (size_t i = 0; i < given.size(); ++i) given[i].text = (*held)[i];
  texts = std::move(held);
  values = std::make_shared<const std::vector<Value>>(std::move(given));
}

std::vector<TensorRef> CallAgain::operator()(std::span<const TensorRef> tensors) const {
  std::vector<Value> now = *values;
  size_t next = 0;
  for (Value& value : now) {
    if (value.tensor) value.tensor = tensors[next++].get();
    for (Tensor*& tensor : value.tensors)
      if (tensor) tensor = tensors[next++].get();
  }
  Args args(function->name, now);
  Result result = function->body(args);
  if (result.tensor) result.tensors.push_back(std::move(result.tensor));
  return std::move(result.tensors);
}

size_t CallAgain::places() const {
  size_t count = 0;
  for (const Value& value : *values) {
    count += value.tensor != nullptr;
    count += static_cast<size_t>(std::count_if(value.tensors.begin(), value.tensors.end(),
                                               [](const Tensor* tensor) { return tensor != nullptr; }));
  }
  return count;
}

namespace {

// An opaque function under a transform: sample by sample, and of derivatives, of which it has none, only the
// values.
Result call_wrapped(const Function& function, std::vector<Value> values, int at) {
  const transforms::Level& level = transforms::level(at);
  const transforms::Lowered lowered(at - 1);
  const bool batch = level.kind == Wrapped::Kind::Batch;
  if (batch && level.size == 0)
    fail(ErrorKind::Runtime, "[", function.name, "] vmap over no samples is not supported for this op");
  if (batch && function.draws && level.randomness == transforms::Randomness::Error)
    fail(ErrorKind::Runtime, "[", function.name,
         "] vmap: random numbers need randomness='different' or 'same'");
  Generator* generator = &default_generator();
  for (const Value& value : values)
    if (value.generator) generator = value.generator;
  const Generator before = *generator;
  std::vector<std::vector<TensorRef>> parts;
  for (int64_t s = 0; s < (batch ? level.size : 1); ++s) {
    if (level.randomness == transforms::Randomness::Same) *generator = before;
    std::vector<TensorRef> held;
    const auto one = [&](Tensor* tensor) {
      if (transforms::level_of(*tensor) == at)
        held.push_back(batch ? ops::select(*tensor->wrapped->value, 0, s) : tensor->wrapped->value);
      else
        held.push_back(TensorRef(tensor));
      return held.back().get();
    };
    std::vector<Value> now = values;
    for (Value& value : now) {
      if (value.tensor) value.tensor = one(value.tensor);
      for (Tensor*& tensor : value.tensors)
        if (tensor) tensor = one(tensor);
    }
    Args args(function.name, now);
    Result result = function.call(args);
    if (!batch) return result;
    if (result.tensor) result.tensors.push_back(std::move(result.tensor));
    parts.resize(result.tensors.size());
    for (size_t k = 0; k < parts.size(); ++k) parts[k].push_back(std::move(result.tensors[k]));
  }
  std::vector<TensorRef> stacked;
  for (const auto& list : parts) {
    std::vector<Tensor*> pointers;
    for (const TensorRef& tensor : list) pointers.push_back(tensor.get());
    stacked.push_back(transforms::make_batch(ops::stack(pointers, 0), at));
  }
  if (stacked.size() == 1) return Result(std::move(stacked[0]));
  return Result(std::move(stacked));
}

// The innermost level of a call's tensors, or of a batch in which each sample draws its own numbers.
int level_of_call(const Function& function, std::span<const Value> values) {
  int most = 0;
  for (const Value& value : values) {
    if (value.tensor) most = std::max(most, transforms::level_of(*value.tensor));
    for (const Tensor* tensor : value.tensors)
      if (tensor) most = std::max(most, transforms::level_of(*tensor));
  }
  for (int at = transforms::depth(); function.draws && at > most; --at)
    if (transforms::level(at).kind == Wrapped::Kind::Batch &&
        transforms::level(at).randomness != transforms::Randomness::Same)
      return at;
  return most;
}

}  // namespace

Result Function::call(Args& args) const {
  if (modes.transforming && opaque) [[unlikely]]
    if (const int at = level_of_call(*this, args.values_))
      return call_wrapped(*this, {args.values_.begin(), args.values_.end()}, at);
  if (!modes.tracing || !opaque) return body(args);
  const CallAgain again(this, {args.values_.begin(), args.values_.end()});
  std::vector<Tensor*> inputs;
  for (const Value& value : args.values_) {
    if (value.tensor) inputs.push_back(value.tensor);
    for (Tensor* tensor : value.tensors)
      if (tensor) inputs.push_back(tensor);
  }
  Generator* generator = &default_generator();
  for (const Value& value : *again.values)
    if (value.generator) generator = value.generator;
  const Generator before = *generator;
  Result result = [&] {
    const trace::Quiet quiet;
    return body(args);
  }();
  std::vector<Tensor*> outputs;
  if (result.tensor) outputs.push_back(result.tensor.get());
  for (const TensorRef& tensor : result.tensors) outputs.push_back(tensor.get());
  trace::recorder->apply(again, name, inputs, outputs, *generator, before);
  return result;
}

const Function* find_function(std::string_view name) {
  auto found = registry().find(name);
  return found == registry().end() ? nullptr : found->second;
}

const Value& Args::at(int i) const {
  if (static_cast<size_t>(i) >= values_.size())
    fail(ErrorKind::Type, "[", name_, "] expected more than ", values_.size(), " arguments");
  return values_[static_cast<size_t>(i)];
}

Tensor& Args::tensor(int i) const {
  if (!at(i).tensor) fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be a tensor");
  return *at(i).tensor;
}

Tensor* Args::optional_tensor(int i) const { return at(i).tensor; }

std::span<Tensor* const> Args::tensors(int i) const {
  for (size_t k = 0; k < at(i).tensors.size(); ++k) {
    if (!at(i).tensors[k]) fail(ErrorKind::Type, "[", name_, "] expected tensors, got None at position ", k);
  }
  return at(i).tensors;
}

std::span<Tensor* const> Args::optional_tensors(int i) const { return at(i).tensors; }

int64_t Args::integer(int i) const {
  if (none(i)) fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be an integer");
  return at(i).scalar.as_int();
}

std::optional<int64_t> Args::optional_integer(int i) const {
  if (none(i)) return std::nullopt;
  return at(i).scalar.as_int();
}

double Args::number(int i) const {
  if (none(i)) fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be a number");
  if (at(i).scalar.is_complex())
    fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be a real number");
  return at(i).scalar.as_double();
}

std::optional<DType> Args::dtype(int i) const {
  if (none(i)) return std::nullopt;
  return at(i).dtype;
}

Generator& Args::generator(int i) const { return at(i).generator ? *at(i).generator : default_generator(); }

}  // namespace versant
