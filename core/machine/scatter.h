// Reading and writing along one axis at positions that an index tensor gives for each element: gather,
// scatter.
//
// For every element e of `index`, gather reads x at e with the coordinate along the axis replaced by
// index[e]; scatter writes (or adds, ...) src[e] there. Axis and index are checked by the caller of these
// loops.
#pragma once

#include "machine/tensor.h"

namespace versant {

enum class Scatter : uint8_t { Write, Add, Multiply, Max, Min };

// A tensor without axes counts as one of size 1 here.
inline int64_t axis_size(const Array& x, int axis) { return x.rank() ? x.sizes[axis] : 1; }

// out = x gathered; `out` is contiguous, of the sizes of `index` (int64). Raises on an index out of bounds.
void gather_into(const char* op, const Array& out, const Array& x, int axis, const Array& index);
// Updates x at `index` (int64, in bounds) from the leading elements of `src`. Where positions repeat,
// elements are taken by their rising coordinate along the axis. No sums of float16 and bfloat16.
void scatter_into(Scatter how, const Array& x, int axis, const Array& index, const Array& src);

// The arguments of a scatter op after checks of axis, shapes and dtypes; `index` and `src` have axes.
struct ScatterArguments {
  // `src` may be null.
  ScatterArguments(const char* op, const Tensor& x, int64_t wanted_axis, Tensor& index, Tensor* src);
  int axis;
  TensorRef index, src;
};

}  // namespace versant
