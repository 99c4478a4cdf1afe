#include "machine/saved/update.h"

namespace versant::saved {

std::vector<TensorRef> UpdateAgain::operator()(std::span<const TensorRef>) const {
  std::vector<Value> now = values;
  for (size_t i = 0; i < now.size(); ++i)
    for (const TensorRef& tensor : lists[i]) now[i].tensors.push_back(tensor.get());
  int64_t* const steps = counter >= 0 ? count->as<int64_t>() : nullptr;
  if (steps && *steps == INT64_MAX) fail(ErrorKind::Overflow, "[", function->name, "] too many steps");
  if (steps) now[static_cast<size_t>(counter)].scalar = Scalar::of_int(*steps + 1);
  Args args(function->name, now);
  function->body(args);
  if (!steps) return {};
  ++*steps;
  bump_version(*count);
  return {};
}

const Function* find_update(std::string_view name) {
  return name == "sgd_step" || name == "adam_step" ? find_function(name) : nullptr;
}

}  // namespace versant::saved
