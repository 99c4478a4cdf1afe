#include "machine/call.h"

#include <map>

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
