// Running sums and products, and the first-order recurrences that are their gradients.
#pragma once

#include "machine/tensor.h"

namespace versant::ops {

// y[k] = x[0] + ... + x[k] along an axis; `reverse`: from the other end.
TensorRef cumsum(Tensor& x, int axis, bool reverse);
TensorRef cumprod(Tensor& x, int axis, bool reverse);
// Moves everything one place on along an axis: y[k] = x[k - 1], y[0] = fill; `reverse`: y[k] = x[k + 1].
TensorRef shift(Tensor& x, int axis, bool reverse, double fill);
// s[k] = b[k] + a[k] s[k - 1]; `lagged`: s[k] = b[k] + a[k - 1] s[k - 1]. The s before the first is 0.
// `reverse` runs from the other end.
TensorRef recurrence(Tensor& a, Tensor& b, int axis, bool lagged, bool reverse);

}  // namespace versant::ops
