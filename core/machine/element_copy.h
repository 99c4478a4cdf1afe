// Copies between strided arrays of one dtype: elements move by their size, nothing is converted.
#pragma once

#include "machine/array.h"

namespace versant {

// dst[...] = src[...]; `src` broadcasts to `dst`, and the two do not overlap. Strides may be negative in
// `src`.
void copy_elements(const Array& dst, const Array& src);

// The same for two contiguous arrays of one shape, and zeros for one.
void copy_bytes(const Array& dst, const Array& src);
void zero_bytes(const Array& dst);

}  // namespace versant
