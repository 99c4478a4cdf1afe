// The choice of instruction set.
#pragma once

#include <string_view>
#include <vector>

namespace versant {

// The names of the instruction sets that this processor and operating system run, the best first.
std::vector<std::string_view> supported_isas();

// Points `kernels` at the table of one instruction set. False, changing nothing, if it is unknown or not
// supported. Not to be called while kernels run.
bool select_isa(std::string_view isa);

}  // namespace versant
