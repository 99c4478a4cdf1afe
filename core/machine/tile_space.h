// The index space of a program, as its operands see it: axes merged, walked row by row.
#pragma once

#include <algorithm>
#include <cstdint>

#include "machine/dims.h"
#include "machine/program.h"

namespace versant {

struct Space {
  int rank;
  int64_t sizes[kMaxRank];
  int64_t strides[Program::kMaxInputs + Program::kMaxOutputs][kMaxRank];
};

// Walks the rows of a flat range [p, p + n): calls visit(offset of the first element, its inner stride,
// count, done).
template <typename Visit>
void for_rows(const Space& space, const int64_t* strides, int64_t p, int64_t n, Visit visit) {
  int64_t index[kMaxRank];
  int64_t offset = 0;
  const int inner = space.rank - 1;
  for (int d = inner; d >= 0; --d) {
    index[d] = p % space.sizes[d];
    p /= space.sizes[d];
    offset += index[d] * strides[d];
  }
  int64_t done = 0;
  while (true) {
    const int64_t count = std::min(n - done, space.sizes[inner] - index[inner]);
    visit(offset, strides[inner], count, done);
    done += count;
    if (done == n) return;
    offset -= index[inner] * strides[inner];
    index[inner] = 0;
    for (int d = inner - 1; d >= 0; --d) {
      offset += strides[d];
      if (++index[d] < space.sizes[d]) break;
      offset -= space.sizes[d] * strides[d];
      index[d] = 0;
    }
  }
}

// Drops axes of size 1 and merges neighbours that every operand crosses without a jump.
inline void coalesce(const Dims& sizes, int lanes, Space& space, const Dims* all_strides) {
  space.rank = 0;
  for (int d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 1) continue;
    bool merge = space.rank > 0;
    for (int k = 0; merge && k < lanes; ++k)
      merge = space.strides[k][space.rank - 1] == all_strides[k][d] * sizes[d];
    if (merge) {
      space.sizes[space.rank - 1] *= sizes[d];
      for (int k = 0; k < lanes; ++k) space.strides[k][space.rank - 1] = all_strides[k][d];
    } else {
      space.sizes[space.rank] = sizes[d];
      for (int k = 0; k < lanes; ++k) space.strides[k][space.rank] = all_strides[k][d];
      ++space.rank;
    }
  }
  if (space.rank == 0) {
    space.rank = 1;
    space.sizes[0] = 1;
    for (int k = 0; k < lanes; ++k) space.strides[k][0] = 1;
  }
}

// Orders axes so that the first full-size operand is walked in memory order (channels-last stays fast).
inline void sort_axes(Dims& sizes, int lanes, Dims* strides, int guide) {
  const int rank = sizes.size();
  int order[kMaxRank];
  for (int d = 0; d < rank; ++d) order[d] = d;
  std::stable_sort(order, order + rank, [&](int a, int b) { return strides[guide][a] > strides[guide][b]; });
  auto permute = [&](Dims& dims) {
    Dims old = dims;
    for (int d = 0; d < rank; ++d) dims[d] = old[order[d]];
  };
  permute(sizes);
  for (int k = 0; k < lanes; ++k) permute(strides[k]);
}

}  // namespace versant
