#include "machine/strided.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "machine/ops.h"
#include "machine/primitive.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

Attributes pack(const Window& w) {
  Attributes a;
  a.ints.push_back(w.shift);
  for (const Dims* dims : {&w.base_sizes, &w.base_strides, &w.view_sizes, &w.view_strides}) {
    a.ints.push_back(dims->size());
    for (int64_t v : *dims) a.ints.push_back(v);
  }
  return a;
}

Window unpack(const Attributes& a) {
  Window w;
  int at = 0;
  w.shift = a.ints[at++];
  for (Dims* dims : {&w.base_sizes, &w.base_strides, &w.view_sizes, &w.view_strides}) {
    const int n = static_cast<int>(a.ints[at++]);
    for (int i = 0; i < n; ++i) dims->push_back(a.ints[at++]);
  }
  return w;
}

// The window that a saved program claims, if that can be one.
std::optional<Window> claimed_window(const Claim& c) {
  constexpr int64_t kMost = int64_t{1} << 40;
  const Dims& a = c.attributes.ints;
  if (a.empty() || !c.within(0, -kMost, kMost)) return {};
  int at = 1;
  for (int k = 0; k < 4; ++k) {  // four lists, each behind its length
    if (at >= a.size() || !c.within(at, 0, kMaxRank) || a[at] > a.size() - at - 1) return {};
    at += static_cast<int>(a[at]) + 1;
  }
  if (at != a.size()) return {};
  Window w = unpack(c.attributes);
  const auto fits = [](const Dims& sizes, const Dims& strides) {
    if (sizes.size() != strides.size()) return false;
    for (int d = 0; d < sizes.size(); ++d)
      if (sizes[d] < 0 || sizes[d] > kMost || std::abs(strides[d]) > kMost / std::max<int64_t>(sizes[d], 1))
        return false;
    return true;
  };
  if (c.out.size() != 1 || !fits(w.base_sizes, w.base_strides) || !fits(w.view_sizes, w.view_strides))
    return {};
  return w;
}

// The first and the last element of both geometries.
std::pair<int64_t, int64_t> extent(const Window& w) {
  int64_t low = 0, high = 0;
  auto extend = [&](const Dims& sizes, const Dims& strides, int64_t shift) {
    int64_t lo = shift, hi = shift;
    for (int d = 0; d < sizes.size(); ++d) {
      if (sizes[d] == 0) return;
      (strides[d] < 0 ? lo : hi) += (sizes[d] - 1) * strides[d];
    }
    low = std::min(low, lo);
    high = std::max(high, hi);
  };
  extend(w.base_sizes, w.base_strides, 0);
  extend(w.view_sizes, w.view_strides, w.shift);
  return {low, high};
}

// A zeroed block that spans both geometries, and the two views of it.
struct Canvas {
  Canvas(const Window& w, DType dtype) {
    const auto [low, high] = extent(w);
    const Array block = Array::full(Dims{high - low + 1}, dtype, Scalar::of_int(0));
    base = block.view(w.base_sizes, w.base_strides, -low);
    view = block.view(w.view_sizes, w.view_strides, w.shift - low);
  }
  Array base, view;
};

Array packed(const Array& array) {
  Array copy = Array::empty(array.sizes, array.dtype);
  copy_into(copy, array);
  return copy;
}

// The window in every sample, one behind the other.
bool over_all(const Primitive& primitive, Batch& b) {
  Window w = unpack(b.attributes());
  const auto [low, high] = extent(w);
  for (Dims* sizes : {&w.base_sizes, &w.view_sizes}) sizes->insert(0, b.size());
  for (Dims* strides : {&w.base_strides, &w.view_strides}) strides->insert(0, high - low + 1);
  std::vector<Tensor*> inputs;
  for (int i = 0; i < b.count(); ++i) inputs.push_back(&b.whole(i));
  b.set_all(apply(primitive, inputs, pack(w)));
  return true;
}

struct WindowRead final : Primitive {
  const char* name() const override { return "window_read"; }
  bool batch(Batch& b) const override { return over_all(*this, b); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    const std::optional<Window> w = claimed_window(c);
    return w && c.in.size() == 1 && c.in[0]->sizes == w->base_sizes;
  }
  void run(Run& run) const override {
    Canvas canvas(unpack(run.attributes), run.in[0]->dtype);
    copy_into(canvas.base, *run.in[0]);
    run.out[0] = packed(canvas.view);
  }
  void vjp(Vjp& vjp) const override;
};

struct WindowAdd final : Primitive {
  bool by_parts() const override { return true; }
  const char* name() const override { return "window_add"; }
  bool batch(Batch& b) const override { return over_all(*this, b); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    const std::optional<Window> w = claimed_window(c);
    return w && c.in.size() == 1 && c.in[0]->sizes == w->view_sizes;
  }
  void run(Run& run) const override {
    const DType dtype = run.in[0]->dtype;
    const DType compute = dtype == DType::Float64 ? dtype : DType::Float32;
    Canvas canvas(unpack(run.attributes), compute);
    // Element by element, because the view may meet a location more than once.
    const Array from = run.in[0]->to_dtype(compute).to_contiguous();
    accumulate(canvas.view, from);
    run.out[0] = packed(canvas.base).to_dtype(dtype);
  }
  void vjp(Vjp& vjp) const override;

  static void accumulate(const Array& to, const Array& from) {
    if (from.dtype == DType::Float64)
      add<double>(to, from);
    else
      add<float>(to, from);
  }
  template <typename T>
  static void add(const Array& to, const Array& from) {
    Dims index(to.rank(), 0);
    const T* source = from.as<T>();
    for (int64_t i = 0; i < from.numel; ++i) {
      int64_t at = 0;
      for (int d = 0; d < to.rank(); ++d) at += index[d] * to.strides[d];
      to.as<T>()[at] += source[i];
      for (int d = to.rank() - 1; d >= 0 && ++index[d] == to.sizes[d]; --d) index[d] = 0;
    }
  }
};

struct WindowWrite final : Primitive {
  const char* name() const override { return "window_write"; }
  bool batch(Batch& b) const override { return over_all(*this, b); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    const std::optional<Window> w = claimed_window(c);
    return w && c.in.size() == 2 && c.in[0]->sizes == w->base_sizes && c.in[1]->sizes == w->view_sizes &&
           c.in[0]->dtype == c.in[1]->dtype;
  }
  void run(Run& run) const override {
    Canvas canvas(unpack(run.attributes), run.in[0]->dtype);
    copy_into(canvas.base, *run.in[0]);
    copy_into(canvas.view, *run.in[1]);
    run.out[0] = packed(canvas.base);
  }
  void vjp(Vjp& vjp) const override {
    const Window window = unpack(vjp.attributes());
    if (vjp.needs(0)) {
      TensorRef zero = ops::zeros(window.view_sizes, vjp.grad()->dtype);
      vjp.set(0, ops::window_write(*vjp.grad(), *zero, window));
    }
    if (vjp.needs(1)) vjp.set(1, ops::window_read(*vjp.grad(), window));
  }
};

const WindowRead kWindowRead;
const WindowAdd kWindowAdd;
const WindowWrite kWindowWrite;

void WindowRead::vjp(Vjp& vjp) const { vjp.set(0, ops::window_add(*vjp.grad(), unpack(vjp.attributes()))); }
void WindowAdd::vjp(Vjp& vjp) const { vjp.set(0, ops::window_read(*vjp.grad(), unpack(vjp.attributes()))); }

}  // namespace

namespace ops {
TensorRef window_read(Tensor& base, const Window& window) {
  return apply(kWindowRead, {&base}, pack(window));
}
TensorRef window_write(Tensor& base, Tensor& part, const Window& window) {
  return apply(kWindowWrite, {&base, &part}, pack(window));
}
TensorRef window_add(Tensor& part, const Window& window) { return apply(kWindowAdd, {&part}, pack(window)); }
}  // namespace ops

}  // namespace versant
