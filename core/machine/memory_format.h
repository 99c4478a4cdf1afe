// Channels-last memory: (N, C, ...) with the channels of a position next to each other.
#pragma once

#include "machine/array.h"

namespace versant {

inline Dims channels_last_strides(const Dims& sizes) {
  Dims strides(sizes.size());
  strides[1] = 1;
  int64_t step = std::max<int64_t>(sizes[1], 1);
  for (int d = sizes.size() - 1; d >= 2; --d) {
    strides[d] = step;
    step *= std::max<int64_t>(sizes[d], 1);
  }
  strides[0] = step;
  return strides;
}

// Whether the memory is that of a dense channels-last array; one with a single channel or a single position
// may be row-major too.
inline bool lies_channels_last(const Array& x) {
  if (x.rank() < 3) return false;
  const Dims strides = channels_last_strides(x.sizes);
  for (int d = 0; d < x.rank(); ++d)
    if (x.sizes[d] != 1 && x.strides[d] != strides[d]) return false;
  return true;
}

// Whether results should be channels-last because `x` is: images or volumes that lie so and not row-major.
inline bool is_channels_last(const Array& x) {
  return (x.rank() == 4 || x.rank() == 5) && !x.contiguous && lies_channels_last(x);
}

// Uninitialised.
inline Array empty_channels_last(const Dims& sizes, DType dtype) {
  Array array = Array::empty(sizes, dtype);
  array.strides = channels_last_strides(sizes);
  array.contiguous = is_contiguous(sizes, array.strides);
  return array;
}

}  // namespace versant
