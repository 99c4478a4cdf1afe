// Ops over tensors, for gradient rules and the Python face. Each records itself when gradient mode is on.
#pragma once

#include <string>

#include "machine/elementwise.h"
#include "machine/primitive.h"
#include "machine/tensor.h"

namespace versant::ops {

// --- making tensors (never recorded)
// -----------------------------------------------------------------------------
TensorRef empty(const Dims& sizes, DType dtype);
TensorRef full(const Dims& sizes, DType dtype, Scalar value);
inline TensorRef zeros(const Dims& sizes, DType dtype) { return full(sizes, dtype, Scalar::of_int(0)); }

// --- elementwise, by name in the op table
// ---------------------------------------------------------------------------
TensorRef add(Input a, Input b);
TensorRef sub(Input a, Input b);
TensorRef mul(Input a, Input b);
TensorRef div(Input a, Input b);
TensorRef neg(Input a);
TensorRef where(Input condition, Input a, Input b);
TensorRef eq(Input a, Input b);
void add_(Tensor& a, Tensor& b);
void copy_(Tensor& to, Input from);
// A copy with its own memory, row-major unless the tensor is dense in another axis order.
TensorRef clone(Tensor& x);
TensorRef contiguous(Tensor& x);
// The same tensor when it already has the dtype.
TensorRef cast(Tensor& x, DType dtype);
TensorRef detach(Tensor& x);

// --- views (views.cc)
// ---------------------------------------------------------------------------------------------------
TensorRef alias(Tensor& x);  // x.view_as(x)
TensorRef expand(Tensor& x, const Dims& sizes);
TensorRef permute(Tensor& x, const Dims& axes);
TensorRef transpose(Tensor& x, int64_t axis0, int64_t axis1);
TensorRef unsqueeze(Tensor& x, int64_t axis);
TensorRef squeeze(Tensor& x, const Dims& axes);  // axes of size 1 among these
TensorRef select(Tensor& x, int64_t axis, int64_t index);
// Elements begin, begin + step ... before end along an axis; step > 0.
TensorRef slice(Tensor& x, int64_t axis, int64_t begin, int64_t end, int64_t step = 1);
TensorRef diagonal(Tensor& x, int64_t offset, int64_t axis0, int64_t axis1);
TensorRef as_strided(Tensor& x, const Dims& sizes, const Dims& strides, int64_t offset);
// One size may be -1. `view` raises where strides do not allow it; `reshape` copies then.
TensorRef view(Tensor& x, const Dims& sizes);
TensorRef reshape(Tensor& x, const Dims& sizes);
TensorRef unfold(Tensor& x, int64_t axis, int64_t size, int64_t step);

// --- reading and writing through indices (index.cc, nonzero.cc)
// ---------------------------------------------------------------------------------------------------
// Coordinates of the elements that are not zero, [n, rank]; or their positions in row-major order, [n].
TensorRef nonzero(Tensor& x);
TensorRef flat_nonzero(Tensor& x);
// x[indices]: one entry per axis from the first on, null for a full slice. An entry holds int64 or int32
// positions (negative ones count from the end), or bool or uint8 for a mask, which covers as many axes as it
// has. The axes of the index tensors, broadcast together, stand in the place of the first of them, or in
// front when a full slice lies between two.
TensorRef index(Tensor& x, std::span<Tensor* const> indices);
// x with x[indices] = values, or += values when `accumulate`. Repeated places are taken in the order of the
// indices.
TensorRef index_put(Tensor& x, std::span<Tensor* const> indices, Tensor& values, bool accumulate = false);
void index_put_(Tensor& x, std::span<Tensor* const> indices, Tensor& values, bool accumulate = false);
TensorRef masked_select(Tensor& x, Tensor& mask);

// --- reductions (reduce.cc)
// -----------------------------------------------------------------------------------------------------
// `axes` empty means all of them.
TensorRef sum(Tensor& x, const Dims& axes, bool keepdim);
// Undoes broadcasting: sums `x` to `sizes`. `who` names the caller in the error when the shapes do not fit.
TensorRef sum_to(Tensor& x, const Dims& sizes, const std::string& who);

// --- matrix products (matmul.cc)
// -------------------------------------------------------------------------------------------
TensorRef matmul(Tensor& a, Tensor& b);

}  // namespace versant::ops
