// Which kernels compute a convolution. float32: Winograd's tiles for 3 x 3 filters, a matrix product for
// filters of one tap over few positions, else products of gathered patches or oneDNN, whichever is faster.
// bfloat16: products of gathered patches by tiles, or oneDNN, where the processor has fast products of it;
// gradients of filters in blocks of such patches.
// Else 16-bit floats are computed in float32 and rounded at the end. float64, and what none of these has a
// form for: planes. The choice depends on the shape of an image and the processor, not on the batch.
#include "machine/conv.h"
#include "machine/dnnl.h"
#include "machine/matmul.h"
#include "machine/memory_format.h"
#include "machine/parallel.h"

namespace versant {

namespace {

bool direct(DType dtype) {
  return dtype == DType::Float32 || (dtype == DType::BFloat16 && dnnl::fast_bfloat16());
}

// Whether a result is computed in float32 and rounded.
bool by_way_of_float32(DType dtype) { return dtype == DType::Float16 || dtype == DType::BFloat16; }

Array wide(const Array& x) { return x.to_dtype(DType::Float32); }

DType working_dtype(DType dtype) {
  return dtype == DType::Float64 || !is_floating(dtype) ? DType::Float64 : DType::Float32;
}

// Runs body(array) on an array of the working dtype that is row-major, and copies the result into `out`.
template <typename Body>
void by_way_of(const Array& out, DType dtype, Body&& body) {
  if (out.dtype == dtype && out.contiguous) return body(out);
  const Array working = Array::empty(out.sizes, dtype);
  body(working);
  copy_into(out, working);
}

Array ready(const Array& x, DType dtype) { return x.to_dtype(dtype).to_contiguous(); }

// --- filters of one tap over few positions, whose weights are most of what is read: a matrix product

constexpr int64_t kFewPositions = 64;  // of a sample

bool convolve_as_product(const ConvShape& s, const Array& x, const Array& weight, const Array* bias,
                         const Array& y) {
  const ConvAxis &down = s.y(), &across = s.x();
  if (y.dtype != DType::Float32 || !s.flat() || s.groups != 1 || s.taps() != 1 || down.pad || across.pad ||
      down.out * across.out > kFewPositions)
    return false;
  const Dims sizes = {s.batch, s.in, 1, down.out, across.out};
  const Dims strides = {x.strides[0], x.strides[1], x.strides[2], x.strides[3] * down.stride,
                        x.strides[4] * across.stride};
  Array from = x.view(sizes, strides);
  if (!lies_channels_last(from)) {
    const Array copy = empty_channels_last(sizes, x.dtype);
    copy_into(copy, from);
    from = copy;
  }
  const Array to = lies_channels_last(y) ? y : empty_channels_last(y.sizes, y.dtype);
  const int64_t rows = s.batch * down.out * across.out;
  multiply(from.view(Dims{rows, s.in}, Dims{s.in, 1}), false,
           weight.view(Dims{s.out, s.in}, Dims{weight.strides[0], weight.strides[1]}), true,
           to.view(Dims{rows, s.out}, Dims{s.out, 1}), bias);
  if (to.data != y.data) copy_into(y, to);
  return true;
}

// --- three dimensions as sums over the depth of the kernel of two-dimensional ones

// The same with one tap in depth: its slices stand among the samples.
ConvShape slice_shape(const ConvShape& s) {
  ConvShape flat = s;
  flat.batch = s.batch * s.z().out;
  flat.axes[0] = ConvAxis();
  return flat;
}

// Which input slice output slice `o` meets with tap `t`, or -1.
int64_t met_slice(const ConvAxis& z, int64_t o, int64_t t) {
  const int64_t at = o * z.stride + t * z.dilation - z.pad;
  return at >= 0 && at < z.in ? at : -1;
}

// One slice of all samples: (batch, channels, 1, y, x).
Array slice_of(const Array& x, int64_t depth) {
  Dims sizes = x.sizes;
  sizes[2] = 1;
  return x.view(sizes, x.strides, depth * x.strides[2]);
}

// Slice `o` of slices that stand among the samples: (batch * slices, ...) seen as (batch, ...).
Array slice_among_samples(const Array& x, int64_t slices, int64_t o) {
  Dims sizes = x.sizes, strides = x.strides;
  sizes[0] /= slices;
  strides[0] *= slices;
  return x.view(sizes, strides, o * x.strides[0]);
}

Array met_slices(const ConvShape& s, const Array& x, int64_t tap) {
  const Array met = Array::empty(Dims{s.batch * s.z().out, s.in, 1, s.y().in, s.x().in}, x.dtype);
  for (int64_t o = 0; o < s.z().out; ++o) {
    const Array to = slice_among_samples(met, s.z().out, o);
    const int64_t at = met_slice(s.z(), o, tap);
    at < 0 ? fill(to, Scalar::of_int(0)) : copy_into(to, slice_of(x, at));
  }
  return met;
}

Array output_slices(const ConvShape& s, const Array& grad) {
  const Array slices = Array::empty(Dims{s.batch * s.z().out, s.out, 1, s.y().out, s.x().out}, grad.dtype);
  for (int64_t o = 0; o < s.z().out; ++o)
    copy_into(slice_among_samples(slices, s.z().out, o), slice_of(grad, o));
  return slices;
}

Array weight_tap(const Array& weight, int64_t tap) { return slice_of(weight, tap).to_contiguous(); }

// to += from, both of the same sizes; `to` may be strided in front of its last two axes.
template <typename T>
void add_planes(const Array& to, const Array& from) {
  const int64_t plane = to.sizes[3] * to.sizes[4];
  for (int64_t n = 0; n < to.sizes[0]; ++n) {
    for (int64_t c = 0; c < to.sizes[1]; ++c) {
      T* const a = to.as<T>() + n * to.strides[0] + c * to.strides[1];
      const T* const b = from.as<T>() + n * from.strides[0] + c * from.strides[1];
      for (int64_t i = 0; i < plane; ++i) a[i] += b[i];
    }
  }
}

void add_slices(const Array& to, const Array& from) {
  to.dtype == DType::Float64 ? add_planes<double>(to, from) : add_planes<float>(to, from);
}

void convolve_slices(const ConvShape& s, const Array& x, const Array& weight, const Array* bias,
                     const Array& y) {
  const ConvShape flat = slice_shape(s);
  const Dims sizes = {flat.batch, s.out, 1, s.y().out, s.x().out};
  const Array total = Array::empty(sizes, y.dtype), part = Array::empty(sizes, y.dtype);
  for (int64_t t = 0; t < s.z().kernel; ++t) {
    const Array met = met_slices(s, x, t), filters = weight_tap(weight, t);
    planes::convolve(flat, met, filters, t == 0 ? bias : nullptr, t == 0 ? total : part);
    if (t > 0) add_slices(total, part);
  }
  for (int64_t o = 0; o < s.z().out; ++o) copy_into(slice_of(y, o), slice_among_samples(total, s.z().out, o));
}

void input_gradient_slices(const ConvShape& s, const Array& grad, const Array& weight, const Array& x_grad) {
  const ConvShape flat = slice_shape(s);
  const Array slices = output_slices(s, grad);
  const Array part = Array::empty(Dims{flat.batch, s.in, 1, s.y().in, s.x().in}, x_grad.dtype);
  fill(x_grad, Scalar::of_int(0));
  for (int64_t t = 0; t < s.z().kernel; ++t) {
    planes::convolve_input_gradient(flat, slices, weight_tap(weight, t), part);
    for (int64_t o = 0; o < s.z().out; ++o)
      if (const int64_t at = met_slice(s.z(), o, t); at >= 0)
        add_slices(slice_of(x_grad, at), slice_among_samples(part, s.z().out, o));
  }
}

void weight_gradient_slices(const ConvShape& s, const Array& x, const Array& grad, const Array& weight_grad) {
  const ConvShape flat = slice_shape(s);
  const Array slices = output_slices(s, grad);
  const Array part = Array::empty(Dims{s.out, s.group_in(), 1, s.y().kernel, s.x().kernel}, grad.dtype);
  for (int64_t t = 0; t < s.z().kernel; ++t) {
    planes::convolve_weight_gradient(flat, met_slices(s, x, t), slices, part);
    copy_into(slice_of(weight_grad, t), part);
  }
}

}  // namespace

void convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias,
              const Array& y) {
  if (y.numel == 0) return;
  if (x.numel == 0 || weight.numel == 0) {
    fill(y, Scalar::of_int(0));
    if (bias)
      copy_into(y,
                bias->view(Dims{1, shape.out, 1, 1, 1}, Dims{0, bias->strides[0], 0, 0, 0}).expand(y.sizes));
    return;
  }
  if (convolve_as_product(shape, x, weight, bias, y) || winograd::convolve(shape, x, weight, bias, y) ||
      patches::convolve(shape, x, weight, bias, y) || tiles::convolve(shape, x, weight, bias, y))
    return;
  if (direct(y.dtype) && dnnl::convolve(shape, x, weight, bias, y)) return;
  if (by_way_of_float32(y.dtype)) {
    const Array sums = Array::empty_like_layout(y, DType::Float32);
    const Array shift = bias ? wide(*bias) : Array();
    convolve(shape, wide(x), wide(weight), bias ? &shift : nullptr, sums);
    return copy_into(y, sums);
  }
  const DType dtype = working_dtype(y.dtype);
  const Array a = x.to_dtype(dtype), w = weight.to_dtype(dtype);
  const Array b = bias ? ready(*bias, dtype) : Array();
  by_way_of(y, dtype, [&](const Array& out) {
    (shape.flat() ? planes::convolve : convolve_slices)(shape, a.to_contiguous(), w.to_contiguous(),
                                                        bias ? &b : nullptr, out);
  });
}

void convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad) {
  if (x_grad.numel == 0) return;
  if (grad.numel == 0 || weight.numel == 0) return fill(x_grad, Scalar::of_int(0));
  if (winograd::convolve_input_gradient(shape, grad, weight, x_grad) ||
      patches::convolve_input_gradient(shape, grad, weight, x_grad) ||
      tiles::convolve_input_gradient(shape, grad, weight, x_grad))
    return;
  if (direct(x_grad.dtype) && dnnl::convolve_input_gradient(shape, grad, weight, x_grad)) return;
  if (by_way_of_float32(x_grad.dtype)) {
    const Array sums = Array::empty_like_layout(x_grad, DType::Float32);
    convolve_input_gradient(shape, wide(grad), wide(weight), sums);
    return copy_into(x_grad, sums);
  }
  const DType dtype = working_dtype(x_grad.dtype);
  const Array g = grad.to_dtype(dtype), w = weight.to_dtype(dtype);
  by_way_of(x_grad, dtype, [&](const Array& out) {
    (shape.flat() ? planes::convolve_input_gradient : input_gradient_slices)(shape, g.to_contiguous(),
                                                                             w.to_contiguous(), out);
  });
}

void convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad) {
  if (weight_grad.numel == 0) return;
  if (grad.numel == 0 || x.numel == 0) return fill(weight_grad, Scalar::of_int(0));
  if (winograd::convolve_weight_gradient(shape, x, grad, weight_grad) ||
      patches::convolve_weight_gradient(shape, x, grad, weight_grad) ||
      tiles::convolve_weight_gradient(shape, x, grad, weight_grad))
    return;
  if (direct(weight_grad.dtype) && dnnl::convolve_weight_gradient(shape, x, grad, weight_grad)) return;
  if (by_way_of_float32(weight_grad.dtype)) {
    const Array sums = Array::empty_like_layout(weight_grad, DType::Float32);
    convolve_weight_gradient(shape, wide(x), wide(grad), sums);
    return copy_into(weight_grad, sums);
  }
  const DType dtype = working_dtype(weight_grad.dtype);
  const Array a = x.to_dtype(dtype), g = grad.to_dtype(dtype);
  by_way_of(weight_grad, dtype, [&](const Array& out) {
    (shape.flat() ? planes::convolve_weight_gradient : weight_gradient_slices)(shape, a.to_contiguous(),
                                                                               g.to_contiguous(), out);
  });
}

}  // namespace versant
