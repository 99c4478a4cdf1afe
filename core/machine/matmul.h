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

// Rows [begin, end) of a product of float32 or float64 on the calling thread, which need not hold the lock.
// The leading axes of `a` and `c` count as rows, as they do where there are no gaps between them; a bias has
// no gaps. `scratch` is 64-byte aligned, of multiply_rows_scratch bytes for so many rows, columns and steps.
void multiply_rows(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
                   const Array* bias, bool add, int64_t begin, int64_t end, void* scratch);
size_t multiply_rows_scratch(int64_t rows, int64_t columns, int64_t depth, size_t itemsize);

}  // namespace versant
