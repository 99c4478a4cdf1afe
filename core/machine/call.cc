#include "machine/call.h"

#include <memory>

#include <map>

#include "machine/trace.h"

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

Result Function::call(Args& args) const {
  if (!modes.tracing || !opaque) return body(args);
  // Replays call the body with the tensors of then in the places of these.
  struct Held {
    std::vector<Value> values;
    std::vector<std::string> texts;
  };
  auto held = std::make_shared<Held>();
  held->values.assign(args.values_.begin(), args.values_.end());
  held->texts.resize(held->values.size());
  std::vector<Tensor*> inputs;
  for (size_t i = 0; i < held->values.size(); ++i) {
    Value& value = held->values[i];
    held->texts[i] = std::string(value.text);
    value.text = held->texts[i];
    if (value.tensor) inputs.push_back(value.tensor);
    for (Tensor* tensor : value.tensors)
      if (tensor) inputs.push_back(tensor);
  }
  const auto again = [this, held](std::span<const TensorRef> tensors) {
    std::vector<Value> values = held->values;
    size_t next = 0;
    for (Value& value : values) {
      if (value.tensor) value.tensor = tensors[next++].get();
      for (Tensor*& tensor : value.tensors)
        if (tensor) tensor = tensors[next++].get();
    }
    Args args(name, values);
    Result result = body(args);
    if (result.tensor) result.tensors.push_back(std::move(result.tensor));
    return std::move(result.tensors);
  };
  Generator* generator = &default_generator();
  for (const Value& value : held->values)
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

Tensor& Args::tensor(int i) const {
  if (!values_[i].tensor) fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be a tensor");
  return *values_[i].tensor;
}

Tensor* Args::optional_tensor(int i) const { return values_[i].tensor; }

std::span<Tensor* const> Args::tensors(int i) const {
  for (size_t k = 0; k < values_[i].tensors.size(); ++k) {
    if (!values_[i].tensors[k])
      fail(ErrorKind::Type, "[", name_, "] expected tensors, got None at position ", k);
  }
  return values_[i].tensors;
}

std::span<Tensor* const> Args::optional_tensors(int i) const { return values_[i].tensors; }

int64_t Args::integer(int i) const {
  if (none(i)) fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be an integer");
  return values_[i].scalar.as_int();
}

std::optional<int64_t> Args::optional_integer(int i) const {
  if (none(i)) return std::nullopt;
  return values_[i].scalar.as_int();
}

double Args::number(int i) const {
  if (none(i)) fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be a number");
  if (values_[i].scalar.is_complex())
    fail(ErrorKind::Type, "[", name_, "] argument ", i + 1, " must be a real number");
  return values_[i].scalar.as_double();
}

std::optional<DType> Args::dtype(int i) const {
  if (none(i)) return std::nullopt;
  return values_[i].dtype;
}

Generator& Args::generator(int i) const {
  return values_[i].generator ? *values_[i].generator : default_generator();
}

}  // namespace versant
