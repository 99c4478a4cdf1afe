// Reductions of arrays over any set of axes: what the primitives of reduce.cc, variance.cc and arg.cc share.
//
// Note [Order of reductions]
// A floating-point sum depends on its order, so the order is fixed by the logical index of the reduced
// elements (row-major over the reduced axes) and by nothing else: not by memory layout, not by the number of
// threads, not by the instruction set. The elements are cut into blocks of 1024. In a block, lane l of 16
// takes the elements l, l + 16, l + 32 ... one after the other; lanes are joined as a tree (l with l + 8,
// then l + 4, l + 2, l + 1). The results of blocks are joined pairwise: blocks 0 and 1, 2 and 3, then those
// pairs, and so on; what is left over at the end joins from the right. An aligned group of 2^k blocks is a
// subtree, so groups may be computed apart and joined later.
#pragma once

#include "machine/tensor.h"
#include "machine/tiles.h"

namespace versant {

// Which axes go: bit d of `mask` says that axis d is reduced, bit d of `keep` that it then stays with size 1.
struct Axes {
  uint64_t mask = 0, keep = 0;

  bool reduced(int d) const { return mask >> d & 1; }
  bool kept(int d) const { return keep >> d & 1; }

  // As the first two attributes of a primitive.
  Dims pack() const { return {static_cast<int64_t>(mask), static_cast<int64_t>(keep)}; }
  static Axes unpack(const Dims& ints) {
    return {static_cast<uint64_t>(ints[0]), static_cast<uint64_t>(ints[1])};
  }
};

// `wanted` as a caller gave it; empty means all. Throws on axes out of range or repeated.
Axes parse_axes(const Dims& wanted, int rank, bool keepdim, const char* op);
Dims reduced_sizes(const Dims& sizes, Axes axes);
// How many elements go into one result.
int64_t reduced_count(const Dims& sizes, Axes axes);

// One reduction. Where there is nothing to reduce the results are those of an empty sum, product and so on;
// Max and Min must not be asked.
struct Reducer {
  Reduction reduction = Reduction::Sum;
  Compute compute = Compute::F32;
  const void* center = nullptr;  // Deviation: one number of the compute type per result
  double divisor = 1;            // each result is divided by this, in the compute type, when it is not 1

  Array run(const Array& x, Axes axes, DType dtype) const;
};

namespace ops {
TensorRef sum_over(Tensor& x, Axes axes, DType dtype);
TensorRef mean_over(Tensor& x, Axes axes);
// The inverse of a reduction's shape: each result at all the elements that it came from; a view.
TensorRef spread(Tensor& x, Axes axes, const Dims& sizes);
}  // namespace ops

}  // namespace versant
