// Walking strided memory: an index space with one operand, and the lines of an array along one axis.
#pragma once

#include <algorithm>

#include "machine/array.h"

namespace versant {

// Axes of an index space in logical order, without axes of size 1 and with neighbours merged where the stride
// allows it. Never empty: a space of one element has one axis of size 1.
struct Walk {
  int rank = 0;
  int64_t count = 1;  // elements
  int64_t sizes[kMaxRank];
  int64_t strides[kMaxRank];

  void add(int64_t size, int64_t stride) {
    count *= size;
    if (size == 1) return;
    if (rank > 0 && strides[rank - 1] == size * stride) {
      sizes[rank - 1] *= size;
      strides[rank - 1] = stride;
      return;
    }
    sizes[rank] = size;
    strides[rank++] = stride;
  }
  void finish() {
    if (rank > 0) return;
    sizes[0] = strides[0] = 1;
    rank = 1;
  }
  int64_t inner_size() const { return sizes[rank - 1]; }
  int64_t inner_stride() const { return strides[rank - 1]; }

  // Offset of element p.
  int64_t offset(int64_t p) const {
    if (rank == 1) return p * strides[0];
    int64_t at = 0;
    for (int d = rank - 1; d > 0; --d) {
      at += p % sizes[d] * strides[d];
      p /= sizes[d];
    }
    return at + p * strides[0];
  }

  // The elements [p, p + n) as runs along the inner axis: visit(offset of the first, length, how many came
  // before).
  template <typename Visit>
  void runs(int64_t p, int64_t n, Visit visit) const {
    const int64_t size = inner_size();
    for (int64_t done = 0; done < n;) {
      const int64_t length = std::min(n - done, size - (p + done) % size);
      visit(offset(p + done), length, done);
      done += length;
    }
  }
};

// An array as lines along one axis; the lines are numbered in logical order of the other axes.
struct Lines {
  Walk starts;
  int64_t length, stride;

  Lines(const Array& array, int axis)
      : length(array.rank() ? array.sizes[axis] : 1), stride(array.rank() ? array.strides[axis] : 1) {
    for (int d = 0; d < array.rank(); ++d)
      if (d != axis) starts.add(array.sizes[d], array.strides[d]);
    starts.finish();
  }
};

}  // namespace versant
