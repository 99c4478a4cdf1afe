// Matrix products of arrays, for primitives that are built on them.
#pragma once

#include "machine/array.h"

namespace versant {

// c = a @ b over the last two axes, of which those of `a` or `b` are read exchanged where `turned`; leading
// axes broadcast to those of `c`. All have one dtype. Any strides. A bias, one number for each column, needs
// a contiguous `c`; in 16-bit dtypes it is added in float32, before the one rounding of the result. Holds the
// bookkeeping lock when called. add: c += a @ b, which products of at most kAddedDepth steps of float32 or
// float64 can do with the bits of an addition apart.
constexpr int64_t kAddedDepth = 320;
void multiply(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
              const Array* bias = nullptr, bool add = false);

}  // namespace versant
