// Convolutions in one to three dimensions and their gradients. Each of the three is bilinear, and their
// gradients are one another. A transposed convolution is the input's gradient of a convolution.
#include "machine/conv.h"

#include "machine/call.h"
#include "machine/conv_complex.h"
#include "machine/memory_format.h"
#include "machine/node.h"
#include "machine/ops.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant::ops {

namespace {

// What all three share. Fewer than three axes stand last; the leading ones are neutral.
struct Form {
  Dims stride = Dims(3, 1), padding = Dims(3, 0), dilation = Dims(3, 1);
  int64_t groups = 1;
  bool weight_last = false;  // the weight is channels-last, so its gradient should be
  Dims sizes;                // of the result: always known of gradients, else the usual where empty

  Attributes pack() const {
    Attributes a;
    for (const Dims* numbers : {&stride, &padding, &dilation})
      for (const int64_t value : *numbers) a.ints.push_back(value);
    a.ints.push_back(groups);
    a.ints.push_back(weight_last);
    for (const int64_t value : sizes) a.ints.push_back(value);
    return a;
  }
  static Form unpack(const Attributes& a) {
    Form f;
    for (int d = 0; d < 3; ++d) {
      f.stride[d] = a.ints[d];
      f.padding[d] = a.ints[3 + d];
      f.dilation[d] = a.ints[6 + d];
    }
    f.groups = a.ints[9];
    f.weight_last = a.ints[10] != 0;
    for (int d = 11; d < a.ints.size(); ++d) f.sizes.push_back(a.ints[d]);
    return f;
  }
};

// The spatial sizes of (N, C, ...).
Dims spatial(const Dims& sizes) { return Dims(std::span<const int64_t>(sizes.begin() + 2, sizes.end())); }

Attributes with_sizes(const Attributes& attributes, const Dims& of) {
  Form form = Form::unpack(attributes);
  form.sizes = spatial(of);
  return form.pack();
}

// The same array with five axes.
Array five(const Array& x) {
  Dims sizes = {x.sizes[0], x.sizes[1]}, strides = {x.strides[0], x.strides[1]};
  for (int d = x.rank(); d < 5; ++d) {
    sizes.push_back(1);
    strides.push_back(1);
  }
  for (int d = 2; d < x.rank(); ++d) {
    sizes.push_back(x.sizes[d]);
    strides.push_back(x.strides[d]);
  }
  return x.view(std::move(sizes), std::move(strides));
}

int64_t out_size(const Form& form, int axis, int64_t in, int64_t kernel) {
  const int64_t span = form.dilation[axis] * (kernel - 1) + 1;
  return (in + 2 * form.padding[axis] - span) / form.stride[axis] + 1;
}

// From five-axes arrays' sizes.
ConvShape shape_of(const Form& form, const Array& x, const Array& weight, const Array& y) {
  ConvShape s;
  s.batch = x.sizes[0];
  s.in = x.sizes[1];
  s.out = weight.sizes[0];
  s.groups = form.groups;
  for (int d = 0; d < 3; ++d)
    s.axes[static_cast<size_t>(d)] = {x.sizes[2 + d], y.sizes[2 + d],  weight.sizes[2 + d],
                                      form.stride[d], form.padding[d], form.dilation[d]};
  return s;
}

Array empty_as(const Dims& sizes, DType dtype, bool last) {
  return last && sizes.size() > 3 ? empty_channels_last(sizes, dtype) : Array::empty(sizes, dtype);
}

Saves factors(uint32_t needing) { return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0}; }

// Whether the claims of a saved program about a convolution of x with filters to y hold: sizes that fit, and
// no output position that lies beyond the padded input. `a` are those of a form of `rank` axes.
bool admits_form(const Attributes& a, int rank, const Dims& x, const Dims& weight, const Dims& y) {
  if (rank < 3 || rank > 5 || x.size() != rank || weight.size() != rank || y.size() != rank) return false;
  const Form form = Form::unpack(a);
  for (int d = 0; d < 3; ++d) {
    const bool used = d >= 5 - rank;
    if (form.stride[d] < 1 || form.padding[d] < 0 || form.dilation[d] < 1) return false;
    for (const int64_t value : {form.stride[d], form.padding[d], form.dilation[d]})
      if (value > INT32_MAX) return false;
    if (!used) {
      if (form.stride[d] != 1 || form.padding[d] != 0 || form.dilation[d] != 1) return false;
      continue;
    }
    const int at = d + rank - 3;
    if (weight[at] < 1 || weight[at] > INT32_MAX || x[at] < 0 || y[at] < 0) return false;
    const int64_t room = x[at] + 2 * form.padding[d] - form.dilation[d] * (weight[at] - 1) - 1;
    if (room < 0 || y[at] > room / form.stride[d] + 1) return false;
  }
  return form.groups >= 1 && x[0] == y[0] && weight[0] == y[1] && weight[0] % form.groups == 0 &&
         x[1] % form.groups == 0 && x[1] / form.groups == weight[1];
}

// Two arrays of one real dtype, and attributes that hold as many sizes as they have spatial axes, or none.
bool admits_arrays(const Claim& c, bool sizes_given) {
  if (c.in.size() < 2 || c.out.size() != 1 || c.attributes.ints.size() < 11) return false;
  const int rank = c.in[0]->rank(), given = c.attributes.ints.size() - 11;
  const DType dtype = c.in[0]->dtype;
  if (rank < 3 || rank > 5 || (given != rank - 2 && (sizes_given || given != 0))) return false;
  return c.in[1]->rank() == rank && c.in[1]->dtype == dtype && dtype != DType::Bool && !is_complex(dtype);
}

Dims with_spatial(int64_t first, int64_t second, const Dims& spatial) {
  Dims sizes = {first, second};
  for (const int64_t size : spatial) sizes.push_back(size);
  return sizes;
}

struct Convolution final : Primitive {
  const char* name() const override { return "convolution"; }
  Linearity linearity(const Attributes&) const override { return Linearity::Each; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override {
    if (c.in.size() > 3 || !admits_arrays(c, false)) return false;
    const Array &x = *c.in[0], &weight = *c.in[1];
    const Dims& spatial = Form::unpack(c.attributes).sizes;
    const Dims y = spatial.empty() ? c.out[0]->sizes : with_spatial(x.sizes[0], weight.sizes[0], spatial);
    if (c.in.size() == 3 && (c.in[2]->sizes != Dims{weight.sizes[0]} || c.in[2]->dtype != x.dtype))
      return false;
    return admits_form(c.attributes, x.rank(), x.sizes, weight.sizes, y);
  }
  void run(Run& run) const override {
    const Array &x = *run.in[0], &weight = *run.in[1];
    const Form form = Form::unpack(run.attributes);
    Dims sizes = {x.sizes[0], weight.sizes[0]};
    for (int d = 2; d < x.rank(); ++d)
      sizes.push_back(form.sizes.empty() ? out_size(form, d + 3 - x.rank(), x.sizes[d], weight.sizes[d])
                                         : form.sizes[d - 2]);
    run.out[0] = empty_as(sizes, x.dtype, is_channels_last(x) || is_channels_last(weight));
    const Array from = five(x), filters = five(weight), to = five(run.out[0]);
    if (modes.dry) [[unlikely]]
      return;
    convolve(shape_of(form, from, filters, to), from, filters, run.in.size() > 2 ? run.in[2] : nullptr, to);
  }
  Saves saves(const Attributes&, uint32_t needing) const override { return factors(needing); }
  void vjp(Vjp& vjp) const override;
};

// The gradient of the input from those of the output and the weight.
struct ConvolutionInput final : Primitive {
  const char* name() const override { return "convolution_input"; }
  Linearity linearity(const Attributes&) const override { return Linearity::Each; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override {
    if (c.in.size() != 2 || !admits_arrays(c, true)) return false;
    const Form form = Form::unpack(c.attributes);
    const Array &grad = *c.in[0], &weight = *c.in[1];
    if (form.groups < 1 || weight.sizes[1] > INT64_MAX / form.groups) return false;
    const Dims x = with_spatial(grad.sizes[0], weight.sizes[1] * form.groups, form.sizes);
    return admits_form(c.attributes, grad.rank(), x, weight.sizes, grad.sizes);
  }
  void run(Run& run) const override {
    const Array &grad = *run.in[0], &weight = *run.in[1];
    const Form form = Form::unpack(run.attributes);
    Dims sizes = {grad.sizes[0], weight.sizes[1] * form.groups};
    for (const int64_t size : form.sizes) sizes.push_back(size);
    run.out[0] = empty_as(sizes, grad.dtype, is_channels_last(grad) || is_channels_last(weight));
    const Array from = five(grad), filters = five(weight), to = five(run.out[0]);
    if (modes.dry) [[unlikely]]
      return;
    convolve_input_gradient(shape_of(form, to, filters, from), from, filters, to);
  }
  Saves saves(const Attributes&, uint32_t needing) const override { return factors(needing); }
  void vjp(Vjp& vjp) const override;
};

// The gradient of the weight from those of the output and the input.
struct ConvolutionWeight final : Primitive {
  const char* name() const override { return "convolution_weight"; }
  Linearity linearity(const Attributes&) const override { return Linearity::Each; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override {
    if (c.in.size() != 2 || !admits_arrays(c, true)) return false;
    const Form form = Form::unpack(c.attributes);
    const Array &grad = *c.in[0], &x = *c.in[1];
    if (form.groups < 1) return false;
    const Dims weight = with_spatial(grad.sizes[1], x.sizes[1] / form.groups, form.sizes);
    return admits_form(c.attributes, grad.rank(), x.sizes, weight, grad.sizes);
  }
  void run(Run& run) const override {
    const Array &grad = *run.in[0], &x = *run.in[1];
    const Form form = Form::unpack(run.attributes);
    Dims sizes = {grad.sizes[1], x.sizes[1] / form.groups};
    for (const int64_t size : form.sizes) sizes.push_back(size);
    run.out[0] = empty_as(sizes, grad.dtype, form.weight_last);
    const Array along = five(grad), from = five(x), to = five(run.out[0]);
    if (modes.dry) [[unlikely]]
      return;
    convolve_weight_gradient(shape_of(form, from, to, along), from, along, to);
  }
  Saves saves(const Attributes&, uint32_t needing) const override { return factors(needing); }
  void vjp(Vjp& vjp) const override;
};

// Samples that share what lies along the batch axis of images are more images: (S, N, C ...) as (S N, C ...).
// Samples with filters of their own are groups of channels: (S, N, C ...) as (N, S C ...).
Dims joined(const Dims& sizes, int axis) {
  Dims result;
  for (int d = 0; d < sizes.size(); ++d) {
    if (d != axis + 1)
      result.push_back(sizes[d]);
    else
      result[axis] *= sizes[d];
  }
  return result;
}
Dims split(const Dims& sizes, int axis, int64_t samples) {
  Dims result;
  for (int d = 0; d < sizes.size(); ++d) {
    if (d == axis) result.push_back(samples);
    result.push_back(d == axis ? sizes[d] / samples : sizes[d]);
  }
  return result;
}
TensorRef as_images(Tensor& x) { return reshape(x, joined(x.sizes, 0)); }
TensorRef from_images(Tensor& x, int64_t samples) { return reshape(x, split(x.sizes, 0, samples)); }
TensorRef as_channels(Tensor& x) {
  const TensorRef moved = move_axis(x, 0, 1);
  return reshape(*moved, joined(moved->sizes, 1));
}
TensorRef from_channels(Tensor& x, int64_t samples) {
  return move_axis(*reshape(x, split(x.sizes, 1, samples)), 1, 0);
}

Attributes in_groups(const Attributes& attributes, int64_t samples) {
  Form form = Form::unpack(attributes);
  form.groups *= samples;
  form.weight_last = false;
  return form.pack();
}

bool Convolution::batch(Batch& b) const {
  const bool biased = b.count() > 2;
  if (b.size() == 0) return false;
  if (!b.any_of({1, 2})) {
    const TensorRef x = as_images(b.held(0));
    std::vector<Tensor*> inputs = {x.get(), &b.held(1)};
    if (biased) inputs.push_back(&b.held(2));
    b.set(0, from_images(*apply(*this, inputs, b.attributes()).tensor[0], b.size()));
    return true;
  }
  const TensorRef x = as_channels(b.whole(0)), weight = as_images(b.whole(1));
  TensorRef bias;
  std::vector<Tensor*> inputs = {x.get(), weight.get()};
  if (biased) inputs.push_back((bias = reshape(b.whole(2), Dims{-1})).get());
  const Outputs y = apply(*this, inputs, in_groups(b.attributes(), b.size()));
  b.set(0, from_channels(*y.tensor[0], b.size()));
  return true;
}

bool ConvolutionInput::batch(Batch& b) const {
  if (b.size() == 0) return false;
  if (!b.has(1)) {
    const TensorRef grad = as_images(b.held(0));
    b.set(0, from_images(*apply(*this, {grad.get(), &b.held(1)}, b.attributes()).tensor[0], b.size()));
    return true;
  }
  const TensorRef grad = as_channels(b.whole(0)), weight = as_images(b.whole(1));
  const Outputs x = apply(*this, {grad.get(), weight.get()}, in_groups(b.attributes(), b.size()));
  b.set(0, from_channels(*x.tensor[0], b.size()));
  return true;
}

bool ConvolutionWeight::batch(Batch& b) const {
  if (b.size() == 0) return false;
  const TensorRef grad = as_channels(b.whole(0)), x = as_channels(b.whole(1));
  const Outputs weight = apply(*this, {grad.get(), x.get()}, in_groups(b.attributes(), b.size()));
  b.set(0, from_images(*weight.tensor[0], b.size()));
  return true;
}

const Convolution kConvolution;
const ConvolutionInput kConvolutionInput;
const ConvolutionWeight kConvolutionWeight;

Dims all_but_channels(int rank) {
  Dims axes = {0};
  for (int d = 2; d < rank; ++d) axes.push_back(d);
  return axes;
}

void Convolution::vjp(Vjp& vjp) const {
  Tensor& grad = *vjp.grad();
  if (vjp.needs(0)) {
    TensorRef weight = vjp.input(1);
    vjp.set(
        0, apply(kConvolutionInput, {&grad, weight.get()}, with_sizes(vjp.attributes(), vjp.input_sizes(0))));
  }
  if (vjp.needs(1)) {
    TensorRef x = vjp.input(0);
    vjp.set(1, apply(kConvolutionWeight, {&grad, x.get()}, with_sizes(vjp.attributes(), vjp.input_sizes(1))));
  }
  if (vjp.n_inputs() > 2 && vjp.needs(2)) vjp.set(2, sum(grad, all_but_channels(grad.rank()), false));
}

void ConvolutionInput::vjp(Vjp& vjp) const {
  Tensor& grad = *vjp.grad();  // of the shape of the convolution's input
  if (vjp.needs(0)) {
    TensorRef weight = vjp.input(1);
    vjp.set(0, apply(kConvolution, {&grad, weight.get()}, with_sizes(vjp.attributes(), vjp.input_sizes(0))));
  }
  if (vjp.needs(1)) {
    TensorRef output = vjp.input(0);
    vjp.set(1, apply(kConvolutionWeight, {output.get(), &grad},
                     with_sizes(vjp.attributes(), vjp.input_sizes(1))));
  }
}

void ConvolutionWeight::vjp(Vjp& vjp) const {
  Tensor& grad = *vjp.grad();  // of the shape of the weight
  if (vjp.needs(0)) {
    TensorRef x = vjp.input(1);
    vjp.set(0, apply(kConvolution, {x.get(), &grad}, with_sizes(vjp.attributes(), vjp.input_sizes(0))));
  }
  if (vjp.needs(1)) {
    TensorRef output = vjp.input(0);
    vjp.set(
        1, apply(kConvolutionInput, {output.get(), &grad}, with_sizes(vjp.attributes(), vjp.input_sizes(1))));
  }
}

// --- arguments

// One number for all axes, or one for each; all at least `least`. They fill the last axes of `to`.
void per_axis(Dims& to, const Dims& given, int axes, const char* op, const char* what, int64_t least) {
  if (given.size() != 1 && given.size() != axes)
    fail(ErrorKind::Shape, "[", op, "] expected one number or ", axes, " for ", what, ", got ", given);
  for (const int64_t value : given)
    if (value < least || value > INT32_MAX)
      fail(ErrorKind::Shape, "[", op, "] ", what, " must be at least ", least, ", got ", given);
  for (int d = 0; d < axes; ++d) to[3 - axes + d] = given[given.size() == 1 ? 0 : d];
}

const char* axes_of(int axes) { return axes == 1 ? "L" : axes == 2 ? "H, W" : "D, H, W"; }

// What convolutions and transposed ones check alike. `channels`: of the input; `outputs`: of the result.
void check(Tensor& x, Tensor& weight, Tensor* bias, int axes, int64_t channels, int64_t outputs,
           const char* op) {
  const bool batched = x.rank() == axes + 2;
  if ((!batched && x.rank() != axes + 1) || x.sizes[x.rank() - axes - 1] != channels)
    fail(ErrorKind::Shape, "[", op, "] expected ", axes + 2, "-D input (N, C, ", axes_of(axes),
         ") with C = ", channels, ", got ", x.sizes);
  if (bias && (bias->rank() != 1 || bias->sizes[0] != outputs))
    fail(ErrorKind::Shape, "[", op, "] expected a bias of shape (", outputs, ",), got ", bias->sizes);
  if (x.dtype == DType::Bool)
    fail(ErrorKind::DType, "[", op, "] expected numbers, got a tensor of ", versant::name(x.dtype));
  if (weight.dtype != x.dtype || (bias && bias->dtype != x.dtype))
    fail(ErrorKind::DType, "[", op, "] input, weight and bias must have the same dtype, got ",
         versant::name(x.dtype), ", ", versant::name(weight.dtype), bias ? ", " : "",
         bias ? versant::name(bias->dtype) : "");
}

Form checked_form(Tensor& weight, const Dims& stride, const Dims& padding, const Dims& dilation,
                  int64_t groups, bool transposed, int axes, const char* op) {
  Form form;
  per_axis(form.stride, stride, axes, op, "stride", 1);
  per_axis(form.padding, padding, axes, op, "padding", 0);
  per_axis(form.dilation, dilation, axes, op, "dilation", 1);
  form.groups = groups;
  form.weight_last = is_channels_last(weight);
  bool fits = weight.rank() == axes + 2;
  for (int d = 2; fits && d < weight.rank(); ++d) fits = weight.sizes[d] > 0;
  if (!fits)
    fail(ErrorKind::Shape, "[", op, "] expected a ", axes + 2, "-D weight ",
         transposed ? "(in, out / groups" : "(out, in / groups", ", kernel sizes), got ", weight.sizes);
  if (groups < 1 || weight.sizes[0] % groups != 0)
    fail(ErrorKind::Shape, "[", op, "] groups = ", groups, " must divide the ", weight.sizes[0],
         transposed ? " input channels" : " output channels");
  return form;
}

template <typename Body>
TensorRef batchwise(Tensor& x, int axes, Body&& body) {
  if (x.rank() == axes + 2) return body(x);
  TensorRef one = unsqueeze(x, 0);
  TensorRef y = body(*one);
  return squeeze(*y, Dims{0});
}

}  // namespace

TensorRef conv(Tensor& x, Tensor& weight, Tensor* bias, const Dims& stride, const Dims& padding,
               const Dims& dilation, int64_t groups, int axes, const char* op) {
  const Form form = checked_form(weight, stride, padding, dilation, groups, false, axes, op);
  check(x, weight, bias, axes, weight.sizes[1] * groups, weight.sizes[0], op);
  for (int d = 0; d < axes; ++d) {
    const int64_t size = x.sizes[x.rank() - axes + d] + 2 * form.padding[3 - axes + d];
    const int64_t span = form.dilation[3 - axes + d] * (weight.sizes[2 + d] - 1) + 1;
    if (span > size)
      fail(ErrorKind::Shape, "[", op, "] a kernel of ", spatial(weight.sizes),
           " does not fit the padded input of shape ", x.sizes, " along axis ", d - axes, ": it spans ", span,
           " of ", size);
  }
  if (is_complex(x.dtype))
    return complex_conv(x, weight, bias, axes, [&](Tensor& real, Tensor& filters) {
      return conv(real, filters, nullptr, stride, padding, dilation, groups, axes, op);
    });
  return batchwise(x, axes, [&](Tensor& input) -> TensorRef {
    if (bias) return apply(kConvolution, {&input, &weight, bias}, form.pack());
    return apply(kConvolution, {&input, &weight}, form.pack());
  });
}

TensorRef conv_transpose(Tensor& x, Tensor& weight, Tensor* bias, const Dims& stride, const Dims& padding,
                         const Dims& output_padding, int64_t groups, const Dims& dilation, int axes,
                         const char* op) {
  Form form = checked_form(weight, stride, padding, dilation, groups, true, axes, op);
  check(x, weight, bias, axes, weight.sizes[0], weight.sizes[1] * groups, op);
  Dims more(3, 0);
  per_axis(more, output_padding, axes, op, "output_padding", 0);
  for (int d = 3 - axes; d < 3; ++d) {
    if (more[d] >= std::max(form.stride[d], form.dilation[d]))
      fail(ErrorKind::Shape, "[", op, "] output_padding must be smaller than stride or dilation, got ",
           output_padding, " with stride ", stride, " and dilation ", dilation);
    const int64_t in = x.sizes[x.rank() - 3 + d];
    const int64_t size = (in - 1) * form.stride[d] - 2 * form.padding[d] +
                         form.dilation[d] * (weight.sizes[weight.rank() - 3 + d] - 1) + more[d] + 1;
    if (in < 1 || size < 1)
      fail(ErrorKind::Shape, "[", op, "] the output of input of shape ", x.sizes,
           " would be empty along axis ", d - 3);
    form.sizes.push_back(size);
  }
  if (is_complex(x.dtype))
    return complex_conv(x, weight, bias, axes, [&](Tensor& real, Tensor& filters) {
      return conv_transpose(real, filters, nullptr, stride, padding, output_padding, groups, dilation, axes,
                            op);
    });
  if (bias && is_half(x.dtype)) {  // rounded once, with the bias
    TensorRef wide_x = cast(x, DType::Float32), wide_weight = cast(weight, DType::Float32);
    TensorRef wide_bias = cast(*bias, DType::Float32);
    TensorRef y = conv_transpose(*wide_x, *wide_weight, wide_bias.get(), stride, padding, output_padding,
                                 groups, dilation, axes, op);
    return cast(*y, x.dtype);
  }
  TensorRef y = batchwise(x, axes, [&](Tensor& input) -> TensorRef {
    return apply(kConvolutionInput, {&input, &weight}, form.pack());
  });
  if (!bias) return y;
  Dims along(axes + 1, 1);
  along[0] = bias->sizes[0];
  TensorRef shift = reshape(*bias, along);
  return add(y, shift);
}

}  // namespace versant::ops

namespace versant {
namespace {

// conv(input, weight, bias, stride, padding, dilation, groups)
template <int axes>
Result conv(Args& a) {
  return Result(ops::conv(a.tensor(0), a.tensor(1), a.optional_tensor(2), a.ints(3), a.ints(4), a.ints(5),
                          a.integer(6), axes, a.name()));
}
// conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation)
template <int axes>
Result conv_transpose(Args& a) {
  return Result(ops::conv_transpose(a.tensor(0), a.tensor(1), a.optional_tensor(2), a.ints(3), a.ints(4),
                                    a.ints(5), a.integer(6), a.ints(7), axes, a.name()));
}

const Function kConv1d("conv1d", conv<1>), kConv2d("conv2d", conv<2>), kConv3d("conv3d", conv<3>);
const Function kTranspose1d("conv_transpose1d", conv_transpose<1>),
    kTranspose2d("conv_transpose2d", conv_transpose<2>), kTranspose3d("conv_transpose3d", conv_transpose<3>);

}  // namespace
}  // namespace versant
