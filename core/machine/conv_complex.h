// Convolutions of complex tensors, as real ones of their parts.
#pragma once

#include <functional>

#include "machine/tensor.h"

namespace versant::ops {

// product(x, weight) + bias for a product that is linear in either argument. x: (N, C, ...) with `axes` more
// axes, or without N; bias may be null. `product` is called on real tensors with N.
TensorRef complex_conv(Tensor& x, Tensor& weight, Tensor* bias, int axes,
                       const std::function<TensorRef(Tensor&, Tensor&)>& product);

}  // namespace versant::ops
