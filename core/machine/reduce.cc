// Reductions over any set of axes.
#include <bit>

#include "machine/kernels.h"
#include "machine/ops.h"

namespace versant::ops {

namespace {

// Which axes go: bit d of `mask` says that axis d is reduced, bit d of `keep` that it stays with size 1.
struct Axes {
  uint64_t mask = 0, keep = 0;
};

Axes parse_axes(const Dims& wanted, int rank, bool keepdim, const char* op) {
  Axes axes;
  if (wanted.empty() || rank == 0) axes.mask = rank == 64 ? ~uint64_t{0} : (uint64_t{1} << rank) - 1;
  uint64_t seen = 0;
  for (const int64_t axis : wanted) {
    const int d = wrap_axis(axis, rank, op);
    if (seen >> d & 1) fail(ErrorKind::Shape, "[", op, "] axis ", d, " appears twice");
    seen |= uint64_t{1} << d;
  }
  if (rank > 0) axes.mask |= seen;
  axes.keep = keepdim ? ~uint64_t{0} : 0;
  return axes;
}

Dims reduced_sizes(const Dims& sizes, Axes axes) {
  Dims result;
  for (int d = 0; d < sizes.size(); ++d) {
    if (!(axes.mask >> d & 1))
      result.push_back(sizes[d]);
    else if (axes.keep >> d & 1)
      result.push_back(1);
  }
  return result;
}

constexpr int kLanes = 16, kBlock = 1024;

// Sums up to kBlock elements: 16 lanes, then a tree of lanes.
template <typename T>
T sum_block(const T* x, int64_t n) {
  T lane[kLanes];
  for (int l = 0; l < kLanes; ++l) lane[l] = l < n ? x[l] : T(-0.0);
  for (int64_t i = kLanes; i < n; ++i) lane[i % kLanes] += x[i];
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

template <typename T>
void sum_all(const Array& x, Axes axes, Compute compute, T* out) {
  Dims kept_sizes, kept_strides, sizes, strides;
  for (int d = 0; d < x.rank(); ++d) {
    const bool gone = axes.mask >> d & 1;
    (gone ? sizes : kept_sizes).push_back(x.sizes[d]);
    (gone ? strides : kept_strides).push_back(x.strides[d]);
  }
  int64_t n = 1, outputs = 1;
  for (const int64_t size : sizes) n *= size;
  for (const int64_t size : kept_sizes) outputs *= size;
  const LoadKernel load = kernels->load_of(x.dtype, compute);
  const int64_t item = itemsize(x.dtype);
  auto offset_of = [](int64_t i, const Dims& sizes, const Dims& strides) {
    int64_t offset = 0;
    for (int d = sizes.size() - 1; d >= 0; --d) {
      offset += i % sizes[d] * strides[d];
      i /= sizes[d];
    }
    return offset;
  };
  for (int64_t o = 0; o < outputs; ++o) {
    const int64_t base = offset_of(o, kept_sizes, kept_strides);
    T partial[64], tile[kBlock];
    uint64_t level[64];
    int depth = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      const int64_t count = std::min<int64_t>(kBlock, n - begin);
      for (int64_t i = 0; i < count; ++i)
        load(tile + i, x.as<char>() + (base + offset_of(begin + i, sizes, strides)) * item, 1, 1);
      partial[depth] = sum_block(tile, count);
      level[depth++] = 0;
      while (depth > 1 && level[depth - 1] == level[depth - 2]) {
        partial[depth - 2] += partial[depth - 1];
        ++level[--depth - 1];
      }
    }
    T total = depth ? partial[depth - 1] : T(0);
    for (int k = depth - 2; k >= 0; --k) total = partial[k] + total;
    out[o] = total;
  }
}

// ints: mask, keep, dtype of the result.
struct Sum final : Primitive {
  const char* name() const override { return "sum"; }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Dims& a = run.attributes.ints;
    const Axes axes{static_cast<uint64_t>(a[0]), static_cast<uint64_t>(a[1])};
    const auto dtype = static_cast<DType>(a[2]);
    const Compute compute = compute_of(dtype);
    const DType wide = compute == Compute::F32   ? DType::Float32
                       : compute == Compute::F64 ? DType::Float64
                                                 : DType::Int64;
    Array out = Array::empty(reduced_sizes(x.sizes, axes), wide);
    if (compute == Compute::F32)
      sum_all(x, axes, compute, out.as<float>());
    else if (compute == Compute::F64)
      sum_all(x, axes, compute, out.as<double>());
    else
      sum_all(x, axes, compute, out.as<int64_t>());
    run.out[0] = out.to_dtype(dtype);
  }
  void vjp(Vjp& vjp) const override;
};

// The inverse of a reduction's shape rule: the same value at every reduced element, as a view.
// ints: mask, keep, then the sizes.
struct Spread final : Primitive {
  const char* name() const override { return "expand"; }
  bool is_view() const override { return true; }
  void run(Run& run) const override {
    const Array& g = *run.in[0];
    const Dims& a = run.attributes.ints;
    Dims sizes(std::span<const int64_t>(a.begin() + 2, a.end())), strides(sizes.size());
    for (int d = 0, at = 0; d < sizes.size(); ++d) {
      const bool gone = a[0] >> d & 1;
      strides[d] = gone ? 0 : g.strides[at];
      at += !gone || (a[1] >> d & 1);
    }
    run.out[0] = g.view(std::move(sizes), std::move(strides));
  }
  void vjp(Vjp& vjp) const override;
};

const Sum kSum;
const Spread kSpread;

TensorRef spread(Tensor& g, Axes axes, const Dims& sizes) {
  Attributes a;
  a.ints = Dims{static_cast<int64_t>(axes.mask), static_cast<int64_t>(axes.keep)};
  for (const int64_t size : sizes) a.ints.push_back(size);
  return apply(kSpread, {&g}, a);
}

TensorRef sum_axes(Tensor& x, Axes axes, DType dtype) {
  return apply(
      kSum, {&x},
      {Dims{static_cast<int64_t>(axes.mask), static_cast<int64_t>(axes.keep), static_cast<int64_t>(dtype)},
       {}});
}

Axes axes_of(const Attributes& a) {
  return {static_cast<uint64_t>(a.ints[0]), static_cast<uint64_t>(a.ints[1])};
}

void Sum::vjp(Vjp& vjp) const {
  vjp.set(0, spread(*vjp.grad(), axes_of(vjp.attributes()), vjp.input_sizes(0)));
}
void Spread::vjp(Vjp& vjp) const {
  vjp.set(0, sum_axes(*vjp.grad(), axes_of(vjp.attributes()), vjp.grad()->dtype));
}

}  // namespace

TensorRef sum(Tensor& x, const Dims& axes, bool keepdim) {
  return sum_axes(x, parse_axes(axes, x.rank(), keepdim, "sum"),
                  is_floating(x.dtype) ? x.dtype : DType::Int64);
}

TensorRef sum_to(Tensor& x, const Dims& sizes, const std::string& who) {
  const int lead = x.rank() - sizes.size();
  Axes axes;
  bool fits = lead >= 0;
  for (int d = 0; fits && d < x.rank(); ++d) {
    const bool broadcast = d >= lead && sizes[d - lead] == 1 && x.sizes[d] != 1;
    fits = d < lead || broadcast || sizes[d - lead] == x.sizes[d];
    if (d < lead || broadcast) axes.mask |= uint64_t{1} << d;
    if (broadcast) axes.keep |= uint64_t{1} << d;
  }
  if (!fits)
    fail(ErrorKind::Shape, "[", who, "] a gradient of shape ", x.sizes,
         " does not belong to a value of shape ", sizes);
  if (!axes.mask) return TensorRef(&x);
  return sum_axes(x, axes, x.dtype);
}

}  // namespace versant::ops
