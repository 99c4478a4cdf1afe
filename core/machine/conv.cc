// conv2d and its gradients. Each of the three is bilinear, and their gradients are one another.
#include "machine/conv.h"

#include "machine/call.h"
#include "machine/ops.h"

namespace versant::ops {

namespace {

// ints of all three primitives: stride, padding and dilation (two each), groups; then two sizes, of the input
// or of the kernel, for those that make an input's or a weight's gradient.
enum At { kStride = 0, kPadding = 2, kDilation = 4, kGroups = 6, kSizes = 7 };

ConvShape shape_of(const Dims& ints, const Dims& x, const Dims& weight) {
  ConvShape s;
  s.batch = x[0];
  s.in = x[1];
  s.out = weight[0];
  s.groups = ints[kGroups];
  ConvAxis* const axes[] = {&s.y, &s.x};
  for (int d = 0; d < 2; ++d) {
    ConvAxis& a = *axes[d];
    a.in = x[2 + d];
    a.kernel = weight[2 + d];
    a.stride = ints[kStride + d];
    a.pad = ints[kPadding + d];
    a.dilation = ints[kDilation + d];
    a.out = (a.in + 2 * a.pad - a.dilation * (a.kernel - 1) - 1) / a.stride + 1;
  }
  return s;
}

Attributes with_sizes(const Attributes& attributes, int64_t y, int64_t x) {
  Attributes a;
  a.ints = attributes.ints;
  a.ints.resize(kSizes);
  a.ints.push_back(y);
  a.ints.push_back(x);
  return a;
}

// The 16-bit types are computed in float32.
Array ready(const Array& x) {
  const bool half = x.dtype == DType::Float16 || x.dtype == DType::BFloat16;
  return (half ? x.to_dtype(DType::Float32) : x).to_contiguous();
}

// Fills the output of `run`: as it is, or by way of float32.
template <typename Body>
void compute(Run& run, const Dims& sizes, DType dtype, Body&& body) {
  run.out[0] = Array::empty(sizes, dtype);
  if (dtype == DType::Float32 || dtype == DType::Float64) return body(run.out[0]);
  const Array wide = Array::empty(sizes, DType::Float32);
  body(wide);
  copy_into(run.out[0], wide);
}

struct Conv2d final : Primitive {
  const char* name() const override { return "conv2d"; }
  void run(Run& run) const override {
    const Array x = ready(*run.in[0]), weight = ready(*run.in[1]);
    const ConvShape s = shape_of(run.attributes.ints, x.sizes, weight.sizes);
    const bool biased = run.in.size() > 2;
    const Array bias = biased ? ready(*run.in[2]) : Array();
    compute(run, Dims{s.batch, s.out, s.y.out, s.x.out}, run.in[0]->dtype,
            [&](const Array& y) { convolve(s, x, weight, biased ? &bias : nullptr, y); });
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0};
  }
  void vjp(Vjp& vjp) const override;
};

// The gradient of the input from those of the output and the weight.
struct Conv2dInput final : Primitive {
  const char* name() const override { return "conv2d_input"; }
  void run(Run& run) const override {
    const Array grad = ready(*run.in[0]), weight = ready(*run.in[1]);
    const Dims& ints = run.attributes.ints;
    const Dims sizes = {grad.sizes[0], weight.sizes[1] * ints[kGroups], ints[kSizes], ints[kSizes + 1]};
    const ConvShape s = shape_of(ints, sizes, weight.sizes);
    compute(run, sizes, run.in[0]->dtype,
            [&](const Array& x) { convolve_input_gradient(s, grad, weight, x); });
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0};
  }
  void vjp(Vjp& vjp) const override;
};

// The gradient of the weight from those of the output and the input.
struct Conv2dWeight final : Primitive {
  const char* name() const override { return "conv2d_weight"; }
  void run(Run& run) const override {
    const Array grad = ready(*run.in[0]), x = ready(*run.in[1]);
    const Dims& ints = run.attributes.ints;
    const Dims sizes = {grad.sizes[1], x.sizes[1] / ints[kGroups], ints[kSizes], ints[kSizes + 1]};
    const ConvShape s = shape_of(ints, x.sizes, sizes);
    compute(run, sizes, run.in[0]->dtype,
            [&](const Array& weight) { convolve_weight_gradient(s, x, grad, weight); });
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0};
  }
  void vjp(Vjp& vjp) const override;
};

const Conv2d kConv2d;
const Conv2dInput kConv2dInput;
const Conv2dWeight kConv2dWeight;

Attributes without_sizes(const Attributes& attributes) {
  Attributes a;
  a.ints = attributes.ints;
  a.ints.resize(kSizes);
  return a;
}

void Conv2d::vjp(Vjp& vjp) const {
  Tensor& grad = *vjp.grad();
  if (vjp.needs(0)) {
    const Dims& x = vjp.input_sizes(0);
    TensorRef weight = vjp.input(1);
    vjp.set(0, apply(kConv2dInput, {&grad, weight.get()}, with_sizes(vjp.attributes(), x[2], x[3])));
  }
  if (vjp.needs(1)) {
    const Dims& weight = vjp.input_sizes(1);
    TensorRef x = vjp.input(0);
    vjp.set(1, apply(kConv2dWeight, {&grad, x.get()}, with_sizes(vjp.attributes(), weight[2], weight[3])));
  }
  if (vjp.n_inputs() > 2 && vjp.needs(2)) vjp.set(2, sum(grad, Dims{0, 2, 3}, false));
}

void Conv2dInput::vjp(Vjp& vjp) const {
  Tensor& grad = *vjp.grad();  // of the shape of the convolution's input
  if (vjp.needs(0)) {
    TensorRef weight = vjp.input(1);
    vjp.set(0, apply(kConv2d, {&grad, weight.get()}, without_sizes(vjp.attributes())));
  }
  if (vjp.needs(1)) {
    const Dims& weight = vjp.input_sizes(1);
    TensorRef output = vjp.input(0);
    vjp.set(1,
            apply(kConv2dWeight, {output.get(), &grad}, with_sizes(vjp.attributes(), weight[2], weight[3])));
  }
}

void Conv2dWeight::vjp(Vjp& vjp) const {
  Tensor& grad = *vjp.grad();  // of the shape of the weight
  if (vjp.needs(0)) {
    TensorRef x = vjp.input(1);
    vjp.set(0, apply(kConv2d, {x.get(), &grad}, without_sizes(vjp.attributes())));
  }
  if (vjp.needs(1)) {
    const Dims& x = vjp.input_sizes(1);
    TensorRef output = vjp.input(0);
    vjp.set(1, apply(kConv2dInput, {output.get(), &grad}, with_sizes(vjp.attributes(), x[2], x[3])));
  }
}

// One number for both axes, or one for each; all at least `least`.
Dims pair(const Dims& given, const char* what, int64_t least) {
  if (given.size() != 1 && given.size() != 2)
    fail(ErrorKind::Value, "[conv2d] expected one or two numbers for ", what, ", got ", given);
  for (const int64_t value : given)
    if (value < least || value > INT32_MAX)
      fail(ErrorKind::Value, "[conv2d] ", what, " must be at least ", least, ", got ", given);
  return {given[0], given.back()};
}

}  // namespace

TensorRef conv2d(Tensor& x, Tensor& weight, Tensor* bias, const Dims& stride, const Dims& padding,
                 const Dims& dilation, int64_t groups) {
  Attributes attributes;
  attributes.ints = pair(stride, "stride", 1);
  for (const Dims& more : {pair(padding, "padding", 0), pair(dilation, "dilation", 1)})
    for (const int64_t value : more) attributes.ints.push_back(value);
  attributes.ints.push_back(groups);

  if (weight.rank() != 4 || weight.sizes[2] < 1 || weight.sizes[3] < 1)
    fail(ErrorKind::Shape, "[conv2d] expected a 4-D weight (out, in / groups, height, width), got ",
         weight.sizes);
  if (groups < 1 || weight.sizes[0] % groups != 0)
    fail(ErrorKind::Value, "[conv2d] groups = ", groups, " must divide the ", weight.sizes[0],
         " output channels");
  const int64_t channels = weight.sizes[1] * groups;
  const bool batched = x.rank() == 4;
  if ((!batched && x.rank() != 3) || x.sizes[x.rank() - 3] != channels)
    fail(ErrorKind::Shape, "[conv2d] expected 4-D input (N, C, H, W) with C = ", channels, ", got ", x.sizes);
  if (bias && (bias->rank() != 1 || bias->sizes[0] != weight.sizes[0]))
    fail(ErrorKind::Shape, "[conv2d] expected a bias of shape (", weight.sizes[0], ",), got ", bias->sizes);
  if (!x.is_floating())
    fail(ErrorKind::DType, "[conv2d] expected floating-point tensors, got ", versant::name(x.dtype));
  if (weight.dtype != x.dtype || (bias && bias->dtype != x.dtype))
    fail(ErrorKind::DType, "[conv2d] input, weight and bias must have the same dtype, got ",
         versant::name(x.dtype), ", ", versant::name(weight.dtype), bias ? ", " : "",
         bias ? versant::name(bias->dtype) : "");
  for (int d = 0; d < 2; ++d) {
    const int64_t size = x.sizes[x.rank() - 2 + d] + 2 * attributes.ints[kPadding + d];
    const int64_t span = attributes.ints[kDilation + d] * (weight.sizes[2 + d] - 1) + 1;
    if (span > size)
      fail(ErrorKind::Shape, "[conv2d] a kernel of ", weight.sizes[2], " x ", weight.sizes[3],
           " does not fit the padded input of shape ", x.sizes, " along axis ", d - 2, ": it spans ", span,
           " of ", size);
  }
  TensorRef input = batched ? TensorRef(&x) : unsqueeze(x, 0);
  TensorRef y = bias ? apply(kConv2d, {input.get(), &weight, bias}, attributes)
                     : apply(kConv2d, {input.get(), &weight}, attributes);
  return batched ? y : squeeze(*y, Dims{0});
}

}  // namespace versant::ops

namespace versant {
namespace {
const Function kConv2d("conv2d", [](Args& a) {
  return Result(ops::conv2d(a.tensor(0), a.tensor(1), a.optional_tensor(2), a.ints(3), a.ints(4), a.ints(5),
                            a.integer(6)));
});
}
}  // namespace versant
