// Convolutions of arrays in one to three dimensions.
#pragma once

#include <array>

#include "machine/array.h"

namespace versant {

// One spatial axis of a convolution: output position o and tap t meet input position
// o * stride + t * dilation - pad.
struct ConvAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, pad = 0, dilation = 1;
};

// Fewer than three dimensions: the leading axes have size 1.
struct ConvShape {
  int64_t batch = 0, in = 0, out = 0, groups = 1;  // in, out: channels
  std::array<ConvAxis, 3> axes;                    // depth, height, width
  const ConvAxis& z() const { return axes[0]; }
  const ConvAxis& y() const { return axes[1]; }
  const ConvAxis& x() const { return axes[2]; }
  int64_t group_in() const { return in / groups; }
  int64_t group_out() const { return out / groups; }
  int64_t taps() const { return z().kernel * y().kernel * x().kernel; }
  int64_t in_positions() const { return z().in * y().in * x().in; }
  int64_t out_positions() const { return z().out * y().out * x().out; }
  bool flat() const { return z().in == 1 && z().out == 1 && z().kernel == 1 && z().pad == 0; }
  // Multiply-adds.
  double work() const {
    return static_cast<double>(batch) * static_cast<double>(out) * static_cast<double>(out_positions()) *
           static_cast<double>(taps()) * static_cast<double>(group_in());
  }
};

// Arrays have five axes: x (batch, in, z, y, x), weight (out, in / groups, kernel sizes), y and its gradient
// (batch, out, z, y, x); any strides, of one dtype, float32, float64 or, where the processor multiplies it
// (dnnl.h), bfloat16. Called with the bookkeeping lock held; long runs give it up meanwhile.
void convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
void convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
void convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);

// The machine's own kernels, in two dimensions (conv_planes.cc): as above, all arrays contiguous, float32 or
// float64.
namespace planes {
void convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
void convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
void convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);
}  // namespace planes

// 3 x 3 filters with stride 1 (conv_winograd.cc), float32. They return false, having done nothing, for
// others.
namespace winograd {
bool convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
bool convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
bool convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);
}  // namespace winograd

// Products of gathered patches (conv_patches.cc), float32. They return false, having done nothing, where
// oneDNN is faster.
namespace patches {
bool convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
bool convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
bool convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);
}  // namespace patches

// Products of gathered patches by tiles (conv_tiles.cc), bfloat16. They return false, having done nothing,
// for others and where the processor has no tiles.
namespace tiles {
bool convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
bool convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
bool convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);
}  // namespace tiles

// oneDNN's (dnnl_conv.cc), float32 and bfloat16. They return false, having done nothing, where oneDNN has no
// fast form.
namespace dnnl {
bool convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias, const Array& y);
bool convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad);
bool convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad);
}  // namespace dnnl

}  // namespace versant
