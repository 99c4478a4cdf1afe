// Choosing elements along one axis by an index tensor: the gradients of max, sort, topk and their like.
#pragma once

#include "machine/tensor.h"

namespace versant::ops {

// out[..., k, ...] = x[..., index[..., k, ...], ...]; sizes but those along the axis agree. Indices are
// trusted.
TensorRef take_along(Tensor& x, Tensor& index, int axis);
// Zeros of `size` along the axis, plus g's elements added where `index` says.
TensorRef put_along(Tensor& g, Tensor& index, int axis, int64_t size);

}  // namespace versant::ops
