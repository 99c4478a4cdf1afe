// Advanced indexing: from index tensors to the shape of the result and the places of its rows.
//
// Note [Rows and offsets]
// An op with index tensors over whole axes (x[i, :, j], index_select, embedding, index_put ...) moves rows:
// for each combination of the outer axes and each element of the broadcast index tensors, one block of the
// inner axes. All index tensors together come down to one offset per element, so only planning knows of them.
//
// A mask takes part as the flat positions of its true elements; such an index spans as many axes as the mask
// had.
#pragma once

#include "machine/array.h"

namespace versant {

// Which axes of the indexed tensor an index tensor replaces.
struct IndexPlace {
  int axis;  // the first
  int span;  // how many; 0 for a mask without axes
};

class IndexPlan {
 public:
  // Checks every index against the axes it stands for (negative ones count from the end when `wrap`) before
  // anything is read or written. Index arrays are int64 or int32.
  IndexPlan(const char* op, const Array& x, std::span<const Array* const> indices,
            std::span<const IndexPlace> places, bool wrap);

  Dims result;  // sizes of x[indices]
  Dims outer_sizes, outer_strides, inner_sizes, inner_strides;
  int64_t n_outer = 1, n_rows = 1, n_inner = 1;
  // Where row i starts, in elements from the start of an outer position; n_rows of them.
  const int64_t* offsets() const { return n_rows <= kFew ? few_ : many_.as<int64_t>(); }

 private:
  static constexpr int kFew = 16;
  int64_t few_[kFew];
  Array many_;
};

}  // namespace versant
