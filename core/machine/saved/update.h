// Steps of optimizers in saved programs: calls of the machine's own functions with tensors of the program.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "machine/call.h"

namespace versant::saved {

struct UpdateAgain {
  std::vector<TensorRef> operator()(std::span<const TensorRef> none) const;

  const Function* function = nullptr;
  std::vector<Value> values;                  // lists of tensors are empty here ...
  std::vector<std::vector<TensorRef>> lists;  // ... and stand here, by value
  int counter = -1;                           // the value that counts the steps
  TensorRef count;                            // the steps so far, one int64
};

// The function of that name if it is the step of an optimizer, else null.
const Function* find_update(std::string_view name);

}  // namespace versant::saved
