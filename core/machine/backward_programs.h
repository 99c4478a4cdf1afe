// The programs that give an elementwise op's gradients, made when they are first wanted.
#pragma once

#include "machine/elementwise.h"

namespace versant {

// One program for the gradients of all inputs in the mask `wanted`.
const Program& backward_program(ElementwiseOp& op, uint32_t wanted);

// The program that adds some of its results to further inputs: the same micro-ops and then sums, so the bits
// are those of an addition apart. `added` is a mask of inputs, part of `wanted`.
const Program& adding_program(ElementwiseOp& op, uint32_t wanted, uint32_t added);

}  // namespace versant
