// Machine code of a formula.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/code/formula.h"

namespace versant::code {

// Elements at place p begin at places[p]; of each a formula takes `turns` > 0 turns. Of uniform places
// 8 bytes are read.
using Function = void (*)(void* const* places, std::int64_t turns);

// The bytes of a Function, which may lie on any multiple of 64. Empty where the instruction set lacks an
// instruction, or registers for truths.
std::vector<std::uint8_t> emit(const Formula& formula);

// The values that the stores ask for, leaves left out, in an order in which operands come before their users,
// long chains begin early and few values are alive at a time.
std::vector<Id> schedule(const Formula& formula, int registers);

}  // namespace versant::code
