// Convolutions of arrays in two dimensions.
#pragma once

#include "machine/array.h"

namespace versant {

// One spatial axis of a convolution: output position o and tap t meet input position
// o * stride + t * dilation - pad.
struct ConvAxis {
  int64_t in = 0, out = 0, kernel = 0, stride = 1, pad = 0, dilation = 1;
};

struct ConvShape {
  int64_t batch = 0, in = 0, out = 0, groups = 1;  // in, out: channels
  ConvAxis y, x;
  int64_t group_in() const { return in / groups; }
  int64_t group_out() const { return out / groups; }
};

// All arrays are contiguous, float32 or float64, of one dtype: x (batch, in, y.in, x.in), weight
// (out, in / groups, y.kernel, x.kernel), y and its gradient (batch, out, y.out, x.out). Called with the
// bookkeeping lock held; long runs give it up meanwhile.
void convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
void convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
void convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);

}  // namespace versant
