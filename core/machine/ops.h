// Ops over tensors, for gradient rules and the Python face. Each records itself when gradient mode is on.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "machine/elementwise.h"
#include "machine/primitive.h"
#include "machine/random.h"
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
TensorRef move_axis(Tensor& x, int64_t from, int64_t to);
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
// x with the elements where `mask` is true replaced by the leading elements of `source`.
TensorRef masked_scatter(Tensor& x, Tensor& mask, Tensor& source);
void masked_scatter_(Tensor& x, Tensor& mask, Tensor& source);
TensorRef take(Tensor& x, Tensor& index);  // of x laid out as one axis

// Along one axis; `index` is a vector, without negative positions.
TensorRef index_select(Tensor& x, int64_t axis, Tensor& index);
TensorRef index_add(Tensor& x, int64_t axis, Tensor& index, Tensor& source, Scalar alpha);
void index_add_(Tensor& x, int64_t axis, Tensor& index, Tensor& source, Scalar alpha);
TensorRef index_copy(Tensor& x, int64_t axis, Tensor& index, Tensor& source);
void index_copy_(Tensor& x, int64_t axis, Tensor& index, Tensor& source);
TensorRef index_fill(Tensor& x, int64_t axis, Tensor& index, Scalar value);
void index_fill_(Tensor& x, int64_t axis, Tensor& index, Scalar value);
// Rows of `weight` (rank 2); the row `padding` (-1: none) gets no gradient.
TensorRef embedding(Tensor& weight, Tensor& indices, int64_t padding);

// --- elements along one axis at positions given for each of them (gather.cc, scatter_reduce.cc)
// ---------------------------------------------------------------------------------------------------
TensorRef gather(Tensor& x, int64_t axis, Tensor& index);
TensorRef scatter(Tensor& x, int64_t axis, Tensor& index, Tensor& src);
void scatter_(Tensor& x, int64_t axis, Tensor& index, Tensor& src);
TensorRef scatter_value(Tensor& x, int64_t axis, Tensor& index, Scalar value);
void scatter_value_(Tensor& x, int64_t axis, Tensor& index, Scalar value);
TensorRef scatter_add(Tensor& x, int64_t axis, Tensor& index, Tensor& src);
void scatter_add_(Tensor& x, int64_t axis, Tensor& index, Tensor& src);
// `reduce` is sum, prod, mean, amax or amin; x itself takes part when `include_self`.
TensorRef scatter_reduce(Tensor& x, int64_t axis, Tensor& index, Tensor& src, std::string_view reduce,
                         bool include_self);
void scatter_reduce_(Tensor& x, int64_t axis, Tensor& index, Tensor& src, std::string_view reduce,
                     bool include_self);

// --- joining, padding, moving and repeating (join.cc, pad.cc, shape_functions.cc)
// ---------------------------------------------------------------------------------------------------
TensorRef cat(std::span<Tensor* const> tensors, int64_t axis);
TensorRef stack(std::span<Tensor* const> tensors, int64_t axis);
// Pairs of amounts, last axis first; negative ones cut off.
TensorRef pad_constant(Tensor& x, const Dims& pad, Scalar value);
// Zeros behind each axis up to `sizes`.
TensorRef pad_to(Tensor& x, const Dims& sizes);
TensorRef flip(Tensor& x, const Dims& axes);
TensorRef roll(Tensor& x, const Dims& shifts, const Dims& axes);  // no axes: over all elements in a row
TensorRef tril(Tensor& x, int64_t diagonal);
TensorRef triu(Tensor& x, int64_t diagonal);
TensorRef repeat(Tensor& x, const Dims& repeats);
TensorRef repeat_interleave(Tensor& x, int64_t repeats, std::optional<int64_t> axis);

// --- sequences, searching and sorting out (create.cc, search.cc)
// ---------------------------------------------------------------------------------------------------
TensorRef arange(Scalar start, Scalar end, Scalar step, DType dtype);
TensorRef linspace(double start, double end, int64_t steps, DType dtype);
TensorRef eye(int64_t rows, int64_t columns, DType dtype);
TensorRef one_hot(Tensor& x, int64_t classes);  // -1: as many as needed
TensorRef searchsorted(Tensor& sorted, Tensor& values, bool right);
TensorRef unique(Tensor& x);  // the distinct values, rising

// --- reductions (reduce.cc)
// -----------------------------------------------------------------------------------------------------
// `axes` empty means all of them.
TensorRef sum(Tensor& x, const Dims& axes, bool keepdim);
TensorRef mean(Tensor& x, const Dims& axes, bool keepdim);
// Undoes broadcasting: sums `x` to `sizes`. `who` names the caller in the error when the shapes do not fit.
TensorRef sum_to(Tensor& x, const Dims& sizes, const std::string& who);

// --- softmax (softmax.cc)
// -------------------------------------------------------------------------------------------------
TensorRef softmax(Tensor& x, int64_t axis);
TensorRef log_softmax(Tensor& x, int64_t axis);

// --- random fills in place (random.cc)
// ------------------------------------------------------------------------------------
void uniform_(Tensor& x, double low, double high, Generator& generator);
void normal_(Tensor& x, double mean, double deviation, Generator& generator);
void random_int_(Tensor& x, int64_t low, int64_t high, Generator& generator);
TensorRef dropout(Tensor& x, double p, bool train, Generator& generator);  // sample.cc

// --- matrix products (matmul.cc)
// -------------------------------------------------------------------------------------------
TensorRef matmul(Tensor& a, Tensor& b);
// x @ weight^T + bias over the last axis of x; weight (out, in) or (in,), bias may be null.
TensorRef linear(Tensor& x, Tensor& weight, Tensor* bias);

// --- networks
// ---------------------------------------------------------------------------------------------------
// stride, padding and dilation: one number, or one for each of the `axes` (conv.cc). `op` names the caller.
TensorRef conv(Tensor& x, Tensor& weight, Tensor* bias, const Dims& stride, const Dims& padding,
               const Dims& dilation, int64_t groups, int axes, const char* op);
TensorRef conv_transpose(Tensor& x, Tensor& weight, Tensor* bias, const Dims& stride, const Dims& padding,
                         const Dims& output_padding, int64_t groups, const Dims& dilation, int axes,
                         const char* op);

}  // namespace versant::ops
