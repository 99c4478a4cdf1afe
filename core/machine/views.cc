// Views: ops whose result shares memory with their input.
#include <algorithm>

#include "machine/ops.h"
#include "machine/strided.h"
#include "machine/transforms/batching.h"

namespace versant::ops {

namespace {

struct View : Primitive {
  bool is_view() const override { return true; }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
};

// ints: the new sizes; the strides follow.
struct Reshape final : View {
  const char* name() const override { return "view"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    a.ints.insert(0, b.size());
    return b.leading(a);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    Dims strides;
    if (!x.can_view_as(run.attributes.ints, &strides)) {
      fail(ErrorKind::Shape, "[view] shape ", run.attributes.ints, " is not compatible with size ", x.sizes,
           " and stride ", x.strides, "; use reshape()");
    }
    run.out[0] = x.view(run.attributes.ints, std::move(strides));
  }
  void vjp(Vjp& vjp) const override { vjp.set(0, reshape(*vjp.grad(), vjp.input_sizes(0))); }
};

struct Expand final : View {
  const char* name() const override { return "expand"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    const TensorRef x = b.aligned(0, a.ints.size());
    a.ints.insert(0, b.size());
    b.set_all(apply(*this, {x.get()}, a));
    return true;
  }
  void run(Run& run) const override { run.out[0] = run.in[0]->expand(run.attributes.ints); }
  // The engine sums over what was expanded.
  void vjp(Vjp& vjp) const override { vjp.set(0, vjp.grad()); }
};

struct Permute final : View {
  const char* name() const override { return "permute"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    for (int64_t& axis : a.ints) ++axis;
    a.ints.insert(0, 0);
    return b.leading(a);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    Dims sizes(x.rank()), strides(x.rank());
    for (int d = 0; d < x.rank(); ++d) {
      sizes[d] = x.sizes[run.attributes.ints[d]];
      strides[d] = x.strides[run.attributes.ints[d]];
    }
    run.out[0] = x.view(std::move(sizes), std::move(strides));
  }
  void vjp(Vjp& vjp) const override {
    const Dims& axes = vjp.attributes().ints;
    Dims inverse(axes.size());
    for (int d = 0; d < axes.size(); ++d) inverse[axes[d]] = d;
    vjp.set(0, permute(*vjp.grad(), inverse));
  }
};

// ints: axis, begin, step, count.
struct Slice final : View {
  const char* name() const override { return "slice"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    ++a.ints[0];
    return b.leading(a);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Dims& a = run.attributes.ints;
    const int axis = static_cast<int>(a[0]);
    Dims sizes = x.sizes, strides = x.strides;
    sizes[axis] = a[3];
    strides[axis] *= a[2];
    run.out[0] = x.view(std::move(sizes), std::move(strides), a[3] == 0 ? 0 : a[1] * x.strides[axis]);
  }
  bool adds() const override { return true; }
  void vjp(Vjp& vjp) const override;
};

// Zeros of a wider shape with the input at a slice. ints: as Slice, then the size of the axis.
struct SliceSpread final : Primitive {
  const char* name() const override { return "slice_backward"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    ++a.ints[0];
    return b.leading(a);
  }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    if (!c.counts(1, 1, 5) || c.in[0]->rank() == 0 || !c.is_axis(0, *c.in[0])) return false;
    const Dims& a = c.attributes.ints;
    if (c.in[0]->sizes[static_cast<int>(a[0])] != a[3] || a[2] < 1 || a[4] < 0) return false;
    return a[3] == 0 || (a[1] >= 0 && a[1] < a[4] && a[3] - 1 <= (a[4] - 1 - a[1]) / a[2]);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Dims& a = run.attributes.ints;
    const int axis = static_cast<int>(a[0]);
    Dims sizes = x.sizes;
    sizes[axis] = a[4];
    run.out[0] = Array::full(sizes, x.dtype, Scalar::of_int(0));
    Dims strides = run.out[0].strides;
    const int64_t shift = a[3] == 0 ? 0 : a[1] * strides[axis];
    strides[axis] *= a[2];
    copy_into(run.out[0].view(x.sizes, std::move(strides), shift), x);
  }
  void vjp(Vjp& vjp) const override {
    const Dims& a = vjp.attributes().ints;
    vjp.set(0, slice(*vjp.grad(), a[0], a[1], a[1] + (a[3] - 1) * a[2] + 1, a[2]));
  }
};

// ints: axis, index.
struct Select final : View {
  const char* name() const override { return "select"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    ++a.ints[0];
    return b.leading(a);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const int axis = static_cast<int>(run.attributes.ints[0]);
    Dims sizes = x.sizes, strides = x.strides;
    const int64_t shift = run.attributes.ints[1] * strides[axis];
    sizes.erase(axis);
    strides.erase(axis);
    run.out[0] = x.view(std::move(sizes), std::move(strides), shift);
  }
  bool adds() const override { return true; }
  void vjp(Vjp& vjp) const override;
};

// ints: axes of size 1 to drop, ascending.
struct Squeeze final : View {
  const char* name() const override { return "squeeze"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    for (int64_t& axis : a.ints) ++axis;
    return b.leading(a);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    Dims sizes = x.sizes, strides = x.strides;
    for (int i = run.attributes.ints.size() - 1; i >= 0; --i) {
      sizes.erase(static_cast<int>(run.attributes.ints[i]));
      strides.erase(static_cast<int>(run.attributes.ints[i]));
    }
    run.out[0] = x.view(std::move(sizes), std::move(strides));
  }
  void vjp(Vjp& vjp) const override { vjp.set(0, reshape(*vjp.grad(), vjp.input_sizes(0))); }
};

struct Unsqueeze final : View {
  const char* name() const override { return "unsqueeze"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    ++a.ints[0];
    return b.leading(a);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const int axis = static_cast<int>(run.attributes.ints[0]);
    Dims sizes = x.sizes, strides = x.strides;
    const int64_t step = axis < x.rank() ? sizes[axis] * strides[axis] : 1;
    sizes.insert(axis, 1);
    strides.insert(axis, step);
    run.out[0] = x.view(std::move(sizes), std::move(strides));
  }
  void vjp(Vjp& vjp) const override { vjp.set(0, squeeze(*vjp.grad(), Dims{vjp.attributes().ints[0]})); }
};

// Any window on the input. ints: shift, rank, sizes, strides, then the geometry of the input (sizes,
// strides).
struct AsStrided final : View {
  const char* name() const override { return "as_strided"; }
  bool batch(Batch& b) const override {
    Tensor& x = b.whole(0);
    Window w = unpack(b.attributes().ints, b.rank(0));
    for (Dims* sizes : {&w.view_sizes, &w.base_sizes}) sizes->insert(0, b.size());
    for (Dims* strides : {&w.view_strides, &w.base_strides}) strides->insert(0, x.strides[0]);
    b.set_all(apply(*this, {&x}, packed(w)));
    return true;
  }
  static Attributes packed(const Window& w) {
    Attributes a;
    a.ints = Dims{w.shift, w.view_sizes.size()};
    for (const Dims* dims : {&w.view_sizes, &w.view_strides, &w.base_sizes, &w.base_strides})
      for (const int64_t v : *dims) a.ints.push_back(v);
    return a;
  }
  void run(Run& run) const override {
    const Window window = unpack(run.attributes.ints, run.in[0]->rank());
    run.out[0] = run.in[0]->view(window.view_sizes, window.view_strides, window.shift);
  }
  void vjp(Vjp& vjp) const override {
    const Window window = unpack(vjp.attributes().ints, vjp.input_sizes(0).size());
    TensorRef grad = window_add(*vjp.grad(), window);
    // Elements of the input that share memory share its gradient in equal parts.
    int64_t sharing = 1;
    for (int d = 0; d < window.base_sizes.size(); ++d)
      if (window.base_strides[d] == 0) sharing *= std::max<int64_t>(1, window.base_sizes[d]);
    if (sharing > 1) {
      TensorRef part = full(Dims{}, grad->dtype, Scalar::of(1.0 / static_cast<double>(sharing)));
      grad = mul(*grad, *part);
    }
    vjp.set(0, std::move(grad));
  }
  static Window unpack(const Dims& a, int base_rank) {
    Window w;
    int at = 0;
    w.shift = a[at++];
    const int n = static_cast<int>(a[at++]);
    for (int i = 0; i < n; ++i) w.view_sizes.push_back(a[at++]);
    for (int i = 0; i < n; ++i) w.view_strides.push_back(a[at++]);
    for (int i = 0; i < base_rank; ++i) w.base_sizes.push_back(a[at++]);
    for (int i = 0; i < base_rank; ++i) w.base_strides.push_back(a[at++]);
    return w;
  }
};

// A window whose elements are named by indices of the input and not by memory: the gradient reads the input
// as if it were row-major, so that axes of stride 0 stay apart. ints: as AsStrided, then shift and strides on
// a row-major input.
struct Pattern final : View {
  explicit Pattern(const char* name) : name_(name) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override {
    Tensor& x = b.whole(0);
    const Dims& ints = b.attributes().ints;
    const int n = static_cast<int>(ints[1]);
    Attributes a;
    a.ints = Dims{ints[0], n + 1, b.size()};
    for (int i = 0; i < n; ++i) a.ints.push_back(ints[2 + i]);
    a.ints.push_back(x.strides[0]);
    for (int i = 0; i < n; ++i) a.ints.push_back(ints[2 + n + i]);
    a.ints.push_back(ints[2 + 2 * n]);
    int64_t sample = 1;
    for (const int64_t size : b.sizes(0)) sample *= size;
    a.ints.push_back(sample);
    for (int i = 0; i < n; ++i) a.ints.push_back(ints[3 + 2 * n + i]);
    b.set_all(apply(*this, {&x}, a));
    return true;
  }
  void run(Run& run) const override {
    const Dims& a = run.attributes.ints;
    const int n = static_cast<int>(a[1]);
    run.out[0] = run.in[0]->view(part(a, 2, n), part(a, 2 + n, n), a[0]);
  }
  void vjp(Vjp& vjp) const override {
    const Dims& a = vjp.attributes().ints;
    const int n = static_cast<int>(a[1]);
    Window window;
    window.base_sizes = vjp.input_sizes(0);
    window.base_strides = contiguous_strides(window.base_sizes);
    window.view_sizes = part(a, 2, n);
    window.view_strides = part(a, 3 + 2 * n, n);
    window.shift = a[2 + 2 * n];
    vjp.set(0, window_add(*vjp.grad(), window));
  }
  // `geometry(strides)`: shift, sizes and strides of the window on an input of these strides.
  template <typename Geometry>
  static Attributes pack(const Tensor& x, Geometry&& geometry) {
    const Window real = geometry(x.strides), row_major = geometry(contiguous_strides(x.sizes));
    Attributes a;
    a.ints.push_back(real.shift);
    a.ints.push_back(real.view_sizes.size());
    for (const Dims* dims : {&real.view_sizes, &real.view_strides})
      for (const int64_t v : *dims) a.ints.push_back(v);
    a.ints.push_back(row_major.shift);
    for (const int64_t v : row_major.view_strides) a.ints.push_back(v);
    return a;
  }

 private:
  static Dims part(const Dims& a, int begin, int count) {
    return Dims(std::span<const int64_t>(a.begin() + begin, static_cast<size_t>(count)));
  }
  const char* name_;
};

const Pattern kDiagonal("diagonal");
const Pattern kUnfold("unfold");
const Reshape kReshape;
const Expand kExpand;
const Permute kPermute;
const Slice kSlice;
const SliceSpread kSliceSpread;
const Select kSelect;
const Squeeze kSqueeze;
const Unsqueeze kUnsqueeze;
const AsStrided kAsStrided;

// Adds the gradient of a slice (ints as Slice) to the sum that waits for the whole.
void add_at(const Tensor& sum, const Dims& a, Tensor& grad) {
  const int axis = static_cast<int>(a[0]);
  Dims strides = sum.strides;
  const int64_t shift = a[3] == 0 ? 0 : a[1] * strides[axis];
  strides[axis] *= a[2];
  const auto& whole = static_cast<const Array&>(sum);
  add_(*Tensor::make(whole.view(grad.sizes, std::move(strides), shift)), grad);
}

void Slice::vjp(Vjp& vjp) const {
  Attributes a = vjp.attributes();
  if (Tensor* const sum = vjp.sum(0)) return add_at(*sum, a.ints, *vjp.grad());
  a.ints.push_back(vjp.input_sizes(0)[static_cast<int>(a.ints[0])]);
  vjp.set(0, apply(kSliceSpread, {vjp.grad().get()}, a));
}

void Select::vjp(Vjp& vjp) const {
  const int64_t axis = vjp.attributes().ints[0], index = vjp.attributes().ints[1];
  TensorRef row = unsqueeze(*vjp.grad(), axis);
  if (Tensor* const sum = vjp.sum(0)) return add_at(*sum, Dims{axis, index, 1, 1}, *row);
  vjp.set(0, apply(kSliceSpread, {row.get()},
                   {Dims{axis, index, 1, 1, vjp.input_sizes(0)[static_cast<int>(axis)]}, {}}));
}

// The attributes of AsStrided.
Attributes pack_window(const Tensor& x, int64_t shift, const Dims& sizes, const Dims& strides) {
  return AsStrided::packed({x.sizes, x.strides, sizes, strides, shift});
}

// Fills in a -1 and checks the number of elements.
Dims resolve_sizes(const Tensor& x, const Dims& wanted, const char* op) {
  Dims sizes = wanted;
  int free = -1;
  int64_t known = 1;
  bool overflow = false;
  for (int d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == -1 && free < 0)
      free = d;
    else if (sizes[d] < 0)
      fail(ErrorKind::Shape, "[", op, "] invalid shape dimension ", sizes[d], " in ", wanted);
    else
      overflow |= __builtin_mul_overflow(known, sizes[d], &known);
  }
  if (free >= 0) {
    if (known == 0 && x.numel == 0)
      fail(ErrorKind::Shape, "[", op, "] cannot reshape tensor of 0 elements into shape ", wanted,
           ": the size of -1 is ambiguous");
    if (overflow || known == 0 || x.numel % known != 0)
      fail(ErrorKind::Shape, "[", op, "] shape '", wanted, "' is invalid for input of size ", x.numel);
    sizes[free] = x.numel / known;
  } else if (overflow || known != x.numel) {
    fail(ErrorKind::Shape, "[", op, "] shape '", wanted, "' is invalid for input of size ", x.numel);
  }
  return sizes;
}

}  // namespace

TensorRef alias(Tensor& x) { return apply(kReshape, {&x}, {x.sizes, {}}); }

TensorRef expand(Tensor& x, const Dims& wanted) {
  Dims sizes = wanted;
  const int lead = sizes.size() - x.rank();
  for (int d = 0; d < sizes.size(); ++d) {
    if (sizes[d] != -1) continue;
    if (d < lead)
      fail(ErrorKind::Shape, "[expand] the new leading dimension ", d, " cannot be -1 in ", wanted);
    sizes[d] = x.sizes[d - lead];
  }
  checked_numel(sizes, 1);
  return apply(kExpand, {&x}, {sizes, {}});
}

TensorRef permute(Tensor& x, const Dims& wanted) {
  if (wanted.size() != x.rank())
    fail(ErrorKind::Shape, "[permute] expected ", x.rank(), " axes for shape ", x.sizes, ", got ", wanted);
  Dims axes(x.rank());
  uint64_t seen = 0;
  for (int d = 0; d < x.rank(); ++d) {
    axes[d] = wrap_axis(wanted[d], x.rank(), "permute");
    if (seen >> axes[d] & 1) fail(ErrorKind::Shape, "[permute] an axis repeats in ", wanted);
    seen |= uint64_t{1} << axes[d];
  }
  return apply(kPermute, {&x}, {axes, {}});
}

TensorRef transpose(Tensor& x, int64_t axis0, int64_t axis1) {
  const int a = wrap_axis(axis0, x.rank(), "transpose"), b = wrap_axis(axis1, x.rank(), "transpose");
  Dims axes(x.rank());
  for (int d = 0; d < x.rank(); ++d) axes[d] = d;
  if (x.rank() > 0) std::swap(axes[a], axes[b]);
  return apply(kPermute, {&x}, {axes, {}});
}

TensorRef move_axis(Tensor& x, int64_t from, int64_t to) {
  Dims axes;
  for (int d = 0; d < x.rank(); ++d)
    if (d != from) axes.push_back(d);
  axes.insert(static_cast<int>(to), from);
  return apply(kPermute, {&x}, {axes, {}});
}

TensorRef unsqueeze(Tensor& x, int64_t axis) {
  return apply(kUnsqueeze, {&x}, {Dims{wrap_axis(axis, x.rank() + 1, "unsqueeze")}, {}});
}

TensorRef squeeze(Tensor& x, const Dims& wanted) {
  uint64_t drop = 0;
  for (const int64_t axis : wanted) drop |= uint64_t{1} << wrap_axis(axis, x.rank(), "squeeze");
  Dims axes;
  for (int d = 0; d < x.rank(); ++d)
    if ((drop >> d & 1) && x.sizes[d] == 1) axes.push_back(d);
  return apply(kSqueeze, {&x}, {axes, {}});
}

TensorRef select(Tensor& x, int64_t wanted, int64_t index) {
  if (x.rank() == 0) fail(ErrorKind::Index, "[select] a 0-dimensional tensor cannot be indexed; use item()");
  const int axis = wrap_axis(wanted, x.rank(), "select");
  const int64_t size = x.sizes[axis];
  if (index < -size || index >= size)
    fail(ErrorKind::Index, "[select] index ", index, " is out of bounds for dimension ", axis, " with size ",
         size);
  return apply(kSelect, {&x}, {Dims{axis, index < 0 ? index + size : index}, {}});
}

TensorRef slice(Tensor& x, int64_t wanted, int64_t begin, int64_t end, int64_t step) {
  if (x.rank() == 0) fail(ErrorKind::Index, "[slice] a 0-dimensional tensor cannot be sliced");
  const int axis = wrap_axis(wanted, x.rank(), "slice");
  if (step <= 0)
    fail(ErrorKind::Value, "[slice] step must be greater than zero, got ", step, "; use flip() to reverse");
  const int64_t size = x.sizes[axis];
  auto clamp = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  begin = clamp(begin);
  end = std::max(begin, clamp(end));
  const int64_t count = end > begin ? (end - begin - 1) / step + 1 : 0;
  if (count <= 1) step = 1;  // a huge one would overflow strides
  return apply(kSlice, {&x}, {Dims{axis, begin, step, count}, {}});
}

TensorRef diagonal(Tensor& x, int64_t offset, int64_t axis0, int64_t axis1) {
  const int a = wrap_axis(axis0, x.rank(), "diagonal"), b = wrap_axis(axis1, x.rank(), "diagonal");
  if (x.rank() < 2 || a == b)
    fail(ErrorKind::Shape, "[diagonal] needs two different axes, got ", axis0, " and ", axis1, " of shape ",
         x.sizes);
  const int64_t rows = x.sizes[a], columns = x.sizes[b];
  const int64_t count =
      std::max<int64_t>(0, offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns));
  return apply(kDiagonal, {&x}, Pattern::pack(x, [&](const Dims& steps) {
                 Window window;
                 window.view_sizes = x.sizes;
                 window.view_strides = steps;
                 for (const int axis : {std::max(a, b), std::min(a, b)}) {
                   window.view_sizes.erase(axis);
                   window.view_strides.erase(axis);
                 }
                 window.view_sizes.push_back(count);
                 window.view_strides.push_back(steps[a] + steps[b]);
                 window.shift = count == 0 ? 0 : offset >= 0 ? offset * steps[b] : -offset * steps[a];
                 return window;
               }));
}

TensorRef as_strided(Tensor& x, const Dims& sizes, const Dims& strides, int64_t offset) {
  if (sizes.size() != strides.size())
    fail(ErrorKind::Shape, "[as_strided] sizes ", sizes, " and strides ", strides, " differ in length");
  int64_t last = offset;
  const bool none = checked_numel(sizes, 1) == 0;
  for (int d = 0; d < sizes.size(); ++d) {
    if (strides[d] < 0)
      fail(ErrorKind::Value, "[as_strided] negative strides are not supported, got ", strides);
    if (!none) {
      int64_t reach;
      if (__builtin_mul_overflow(sizes[d] - 1, strides[d], &reach) ||
          __builtin_add_overflow(last, reach, &last))
        fail(ErrorKind::Shape, "[as_strided] the window overflows");
    }
  }
  const int64_t room = static_cast<int64_t>(x.storage->bytes / itemsize(x.dtype));
  if (offset < 0 || (!none && last >= room))
    fail(ErrorKind::Shape, "[as_strided] sizes ", sizes, ", strides ", strides, " and offset ", offset,
         " reach outside the tensor's memory of ", room, " elements");
  return apply(kAsStrided, {&x}, pack_window(x, offset - x.offset(), sizes, strides));
}

TensorRef view(Tensor& x, const Dims& sizes) {
  return apply(kReshape, {&x}, {resolve_sizes(x, sizes, "view"), {}});
}

TensorRef reshape(Tensor& x, const Dims& wanted) {
  const Dims sizes = resolve_sizes(x, wanted, "reshape");
  Dims strides;
  if (x.can_view_as(sizes, &strides)) return apply(kReshape, {&x}, {sizes, {}});
  TensorRef copy = contiguous(x);
  return apply(kReshape, {copy.get()}, {sizes, {}});
}

TensorRef unfold(Tensor& x, int64_t wanted, int64_t size, int64_t step) {
  const int axis = wrap_axis(wanted, x.rank(), "unfold");
  const int64_t length = x.rank() ? x.sizes[axis] : 1;
  if (size < 0 || size > length || step <= 0)
    fail(ErrorKind::Shape, "[unfold] windows of size ", size, " and step ", step, " do not fit dimension ",
         axis, " of size ", length);
  return apply(kUnfold, {&x}, Pattern::pack(x, [&](const Dims& steps) {
                 Window window;
                 window.shift = 0;
                 window.view_sizes = x.sizes;
                 window.view_strides = steps;
                 const int64_t stride = x.rank() ? steps[axis] : 1;
                 if (x.rank()) {
                   window.view_sizes[axis] = (length - size) / step + 1;
                   if (window.view_sizes[axis] > 1) window.view_strides[axis] = stride * step;
                 }
                 window.view_sizes.push_back(size);
                 window.view_strides.push_back(stride);
                 return window;
               }));
}

}  // namespace versant::ops
