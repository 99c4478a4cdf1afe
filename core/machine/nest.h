// Loops over the elements of several strided operands at once, line by line along the last axis.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "machine/dims.h"

namespace versant {

// From how many bytes (or like amounts of work) on a loop is worth a second thread, and worth giving the lock
// up.
inline constexpr int64_t kParallelBytes = 128 << 10;
inline constexpr int64_t kUnlockBytes = 256 << 10;

// The common index space of N operands. Axes of size 1 are dropped and neighbours merged where every operand
// allows it, so the order of the elements stays row-major.
template <int N>
struct Nest {
  int rank = 0;
  int64_t lines = 1;   // how many
  int64_t length = 1;  // elements of each
  int64_t sizes[kMaxRank];
  int64_t strides[N][kMaxRank];

  Nest(const Dims& all_sizes, std::initializer_list<const Dims*> all_strides) {
    const Dims* const* from = all_strides.begin();
    for (int d = 0; d < all_sizes.size(); ++d) {
      if (all_sizes[d] == 1) continue;
      bool merge = rank > 0;
      for (int k = 0; merge && k < N; ++k) merge = strides[k][rank - 1] == (*from[k])[d] * all_sizes[d];
      if (merge)
        sizes[rank - 1] *= all_sizes[d];
      else
        sizes[rank++] = all_sizes[d];
      for (int k = 0; k < N; ++k) strides[k][rank - 1] = (*from[k])[d];
    }
    if (rank == 0) {
      rank = 1;
      sizes[0] = 1;
      for (int k = 0; k < N; ++k) strides[k][0] = 1;
    }
    length = sizes[rank - 1];
    for (int d = 0; d < rank - 1; ++d) lines *= sizes[d];
  }

  // The distance of neighbours on a line.
  int64_t step(int k) const { return strides[k][rank - 1]; }

  int64_t total() const { return lines * length; }

  // Calls visit(offsets, count) for each stretch of a line among the elements begin to end, in row-major
  // order; `offsets` is where the stretch starts in each operand.
  template <typename Visit>
  void for_range(int64_t begin, int64_t end, Visit visit) const {
    if (begin >= end) return;
    const int last = rank - 1;
    int64_t offsets[N] = {}, index[kMaxRank];
    int64_t rest = begin;
    for (int d = last; d >= 0; --d) {
      index[d] = rest == 0 ? 0 : rest % sizes[d];
      rest = rest == 0 ? 0 : rest / sizes[d];
      for (int k = 0; k < N; ++k) offsets[k] += index[d] * strides[k][d];
    }
    while (true) {
      const int64_t count = std::min(end - begin, length - index[last]);
      visit(offsets, count);
      begin += count;
      if (begin == end) return;
      for (int k = 0; k < N; ++k) offsets[k] -= index[last] * strides[k][last];
      index[last] = 0;
      for (int d = last - 1; d >= 0; --d) {
        for (int k = 0; k < N; ++k) offsets[k] += strides[k][d];
        if (++index[d] < sizes[d]) break;
        for (int k = 0; k < N; ++k) offsets[k] -= sizes[d] * strides[k][d];
        index[d] = 0;
      }
    }
  }
  template <typename Visit>
  void for_all(Visit visit) const {
    for_range(0, total(), visit);
  }
};

}  // namespace versant
