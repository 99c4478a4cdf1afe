// The order in which an array's axes lie in memory, for ops that keep channels-last and the like.
#pragma once

#include <algorithm>

#include "machine/array.h"

namespace versant {

// Axes by falling stride when `x` is dense, else in their own order.
inline Dims memory_order(const Array& x) {
  Dims order(x.rank());
  for (int d = 0; d < x.rank(); ++d) order[d] = d;
  if (!x.contiguous && x.is_dense())
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return x.strides[a] > x.strides[b]; });
  return order;
}

inline Dims permuted(const Dims& dims, const Dims& order) {
  Dims result(order.size());
  for (int d = 0; d < order.size(); ++d) result[d] = dims[order[d]];
  return result;
}

// An array whose axes stand in `order`, seen with its axes in their own order again.
inline Array unpermuted(const Array& x, const Dims& order) {
  Dims sizes(order.size()), strides(order.size());
  for (int d = 0; d < order.size(); ++d) {
    sizes[order[d]] = x.sizes[d];
    strides[order[d]] = x.strides[d];
  }
  return x.view(std::move(sizes), std::move(strides));
}

}  // namespace versant
