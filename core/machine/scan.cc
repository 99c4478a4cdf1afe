#include "machine/scan.h"

#include "machine/call.h"
#include "machine/complex.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/reduce.h"
#include "machine/transforms/batching.h"
#include "machine/walk.h"

namespace versant::ops {

namespace {

constexpr int64_t kGroup = 64;            // neighbouring lines scanned side by side
constexpr int64_t kParallelWork = 16384;  // elements worth a second thread
constexpr int64_t kUnlockWork = 100000;   // ... worth giving the bookkeeping lock up

int axis_of(const Attributes& a) { return static_cast<int>(a.ints[0]); }

// Running totals are kept in double (integers: unsigned, so that they wrap) and rounded element by element.
template <typename T>
using Total = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;

// Neighbouring lines of one scan: line j starts at x + j * x_step, its elements are x_next apart.
template <typename T>
struct LineGroup {
  const T* x;
  T* y;
  int64_t x_step, x_next, y_step, y_next;
};

// Elements are taken by fours. For floats y[4 q + i] = total before + (sum of the first i + 1 of the four),
// so that the chain of totals has one link for four elements; in double, nothing that is a sum of floats can
// overflow on the way. Doubles are added one after the other.
template <typename T, int lines, typename Join>
void scan_group(const LineGroup<T>& group, int64_t width, int64_t n, Total<T> start, Join join) {
  using Number = Total<T>;
  Number total[lines];
  for (Number& t : total) t = start;
  const int64_t some = lines == 1 ? 1 : width;
  const T* p = group.x;
  T* q = group.y;
  for (int64_t k = 0; k < n; k += 4, p += 4 * group.x_next, q += 4 * group.y_next) {
    const int64_t count = std::min<int64_t>(4, n - k);
    for (int64_t j = 0; j < some; ++j) {
      const T* from = p + j * group.x_step;
      T* to = q + j * group.y_step;
      auto element = [&](int64_t i) {
        return i < count ? static_cast<Number>(from[i * group.x_next]) : start;
      };
      const Number x[4] = {element(0), element(1), element(2), element(3)};
      Number y[4];
      if constexpr (std::is_same_v<T, float>) {
        const Number two = join(x[0], x[1]);
        y[0] = join(total[j], x[0]);
        y[1] = join(total[j], two);
        y[2] = join(total[j], join(two, x[2]));
        y[3] = join(total[j], join(two, join(x[2], x[3])));
      } else {
        y[0] = join(total[j], x[0]);
        for (int i = 1; i < 4; ++i) y[i] = join(y[i - 1], x[i]);
      }
      total[j] = y[3];
      for (int64_t i = 0; i < count; ++i) to[i * group.y_next] = static_cast<T>(y[i]);
    }
  }
}

template <typename T, typename Join>
void scan(const Array& x, const Array& y, int axis, bool reverse, Total<T> start, Join join) {
  const Lines from(x, axis), to(y, axis);
  const int64_t n = from.length, count = from.starts.count;
  const int64_t x_step = from.starts.inner_stride(), y_step = to.starts.inner_stride();
  // Lines whose elements are close are scanned alone, others side by side.
  const int64_t side_by_side = from.stride == 1 ? 1 : kGroup;
  Unlocked unlocked(x.numel >= kUnlockWork);
  parallel_for(count, std::max<int64_t>(1, kParallelWork / n), [&](int64_t begin, int64_t end) {
    from.starts.runs(begin, end - begin, [&](int64_t x_run, int64_t run, int64_t done) {
      to.starts.runs(begin + done, run, [&](int64_t y_at, int64_t length, int64_t before) {
        for (int64_t g = 0; g < length; g += side_by_side) {
          LineGroup<T> group{x.as<T>() + x_run + (before + g) * x_step,
                             y.as<T>() + y_at + g * y_step,
                             x_step,
                             from.stride,
                             y_step,
                             to.stride};
          if (reverse) {
            group.x += (n - 1) * std::exchange(group.x_next, -from.stride);
            group.y += (n - 1) * std::exchange(group.y_next, -to.stride);
          }
          const int64_t width = std::min(side_by_side, length - g);
          if (width == 1)
            scan_group<T, 1>(group, 1, n, start, join);
          else
            scan_group<T, kGroup>(group, width, n, start, join);
        }
      });
    });
  });
}

template <typename T>
void scan_typed(const Array& x, const Array& y, int axis, bool reverse, bool product) {
  using Number = Total<T>;
  if (product)
    scan<T>(x, y, axis, reverse, Number(1), [](Number total, Number v) { return total * v; });
  else
    scan<T>(x, y, axis, reverse, Number(0), [](Number total, Number v) { return total + v; });
}

// ints: axis, reverse.
class Cumulate : public Primitive {
 public:
  explicit Cumulate(bool product) : product_(product) {}
  const char* name() const final { return product_ ? "cumprod" : "cumsum"; }
  bool batch(Batch& b) const final { return b.shifted({0}); }
  bool admits(const Claim& c) const final { return c.counts(1, 1, 2) && c.is_axis(0, *c.in[0]); }
  void run(Run& run) const final {
    const DType dtype = run.in[0]->dtype;
    const Compute compute = compute_of(dtype);
    const Array x = run.in[0]->to_dtype(stored_dtype(compute));
    const Array y = Array::empty(x.sizes, x.dtype);
    const bool reverse = run.attributes.ints[1];
    if (x.numel == 0) {
    } else if (compute == Compute::F32) {
      scan_typed<float>(x, y, axis_of(run.attributes), reverse, product_);
    } else if (compute == Compute::F64) {
      scan_typed<double>(x, y, axis_of(run.attributes), reverse, product_);
    } else {
      scan_typed<int64_t>(x, y, axis_of(run.attributes), reverse, product_);
    }
    run.out[0] = y.to_dtype(dtype);
  }

 private:
  bool product_;
};

struct Cumsum final : Cumulate {
  Cumsum() : Cumulate(false) {}
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool by_parts() const override { return true; }
  void vjp(Vjp& vjp) const override {
    const Attributes& a = vjp.attributes();
    vjp.set(0, cumsum(*vjp.grad(), axis_of(a), !a.ints[1]));
  }
};

// dy[i]/dx[k] = the product of all others up to i: of those before k, times a product from k on that a
// recurrence sums up with the gradients. Nothing is divided, so zeros do no harm.
struct Cumprod final : Cumulate {
  Cumprod() : Cumulate(true) {}
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 1}; }
  void vjp(Vjp& vjp) const override {
    const int axis = axis_of(vjp.attributes());
    const bool reverse = vjp.attributes().ints[1];
    const TensorRef x = vjp.input(0);
    const TensorRef before = shift(*cumprod(*x, axis, reverse), axis, reverse, 1.0);
    vjp.set(0, mul(before, recurrence(*x, *vjp.grad(), axis, true, !reverse)));
  }
};

// The part of `array` from `begin` on along an axis.
Array part(const Array& array, int axis, int64_t begin, int64_t count) {
  Dims sizes = array.sizes;
  sizes[axis] = count;
  return array.view(std::move(sizes), array.strides, begin * array.strides[axis]);
}

// ints: axis, reverse; floats: fill.
struct Shift final : Primitive {
  const char* name() const override { return "shift"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 2) && c.is_axis(0, *c.in[0]); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    Array& y = run.out[0] = Array::empty(x.sizes, x.dtype);
    const Scalar value = Scalar::of(run.attributes.floats[0]);
    if (x.rank() == 0) return fill(y, value);
    if (x.numel == 0) return;
    const int axis = axis_of(run.attributes);
    const bool reverse = run.attributes.ints[1];
    const int64_t rest = x.sizes[axis] - 1;
    copy_into(part(y, axis, reverse ? 0 : 1, rest), part(x, axis, reverse ? 1 : 0, rest));
    fill(part(y, axis, reverse ? rest : 0, 1), value);
  }
  void vjp(Vjp& vjp) const override {
    const Attributes& a = vjp.attributes();
    vjp.set(0, shift(*vjp.grad(), axis_of(a), !a.ints[1], 0.0));
  }
};

template <typename T>
void recur(const Array& a, const Array& b, const Array& s, int axis, bool lagged, bool reverse) {
  const Lines a_lines(a, axis), b_lines(b, axis), s_lines(s, axis);
  const int64_t n = s_lines.length;
  Unlocked unlocked(s.numel >= kUnlockWork);
  parallel_for(s_lines.starts.count, std::max<int64_t>(1, kParallelWork / n),
               [&](int64_t begin, int64_t end) {
                 for (int64_t line = begin; line < end; ++line) {
                   const T* p = a.as<T>() + a_lines.starts.offset(line);
                   const T* q = b.as<T>() + b_lines.starts.offset(line);
                   T* to = s.as<T>() + s_lines.starts.offset(line);
                   double total = 0, factor = 0;
                   for (int64_t i = 0; i < n; ++i) {
                     const int64_t k = reverse ? n - 1 - i : i;
                     const double own = p[k * a_lines.stride];
                     if (!lagged) factor = own;
                     total = i == 0 ? q[k * b_lines.stride] : q[k * b_lines.stride] + factor * total;
                     factor = own;
                     to[k * s_lines.stride] = static_cast<T>(total);
                   }
                 }
               });
}

// ints: axis, lagged, reverse.
struct Recurrence final : Primitive {
  const char* name() const override { return "recurrence"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override {
    return c.counts(2, 1, 3) && c.alike(0, 1) && is_floating(c.in[0]->dtype) && c.is_axis(0, *c.in[0]) &&
           c.within(1, 0, 1) && c.within(2, 0, 1);
  }
  void run(Run& run) const override {
    const DType dtype = run.in[1]->dtype;
    const DType wide = stored_dtype(compute_of(dtype));
    const Array a = run.in[0]->to_dtype(wide), b = run.in[1]->to_dtype(wide);
    const Array s = Array::empty(b.sizes, wide);
    const Dims& ints = run.attributes.ints;
    if (s.numel == 0) {
    } else if (wide == DType::Float64) {
      recur<double>(a, b, s, axis_of(run.attributes), ints[1], ints[2]);
    } else {
      recur<float>(a, b, s, axis_of(run.attributes), ints[1], ints[2]);
    }
    run.out[0] = s.to_dtype(dtype);
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {.inputs = 1, .outputs = needing & 1};
  }
  // The gradient h of b runs the other way: h[k] = g[k] + a[k + 1] h[k + 1], lagged: g[k] + a[k] h[k + 1].
  void vjp(Vjp& vjp) const override {
    const Dims& ints = vjp.attributes().ints;
    const int axis = axis_of(vjp.attributes());
    const bool lagged = ints[1], reverse = ints[2];
    const TensorRef h = recurrence(*vjp.input(0), *vjp.grad(), axis, !lagged, !reverse);
    if (vjp.needs(0)) {
      const TensorRef s = vjp.output();
      vjp.set(0, lagged ? mul(shift(*h, axis, !reverse, 0.0), s) : mul(h, shift(*s, axis, reverse, 0.0)));
    }
    if (vjp.needs(1)) vjp.set(1, h);
  }
};

const Cumsum kCumsum;
const Cumprod kCumprod;
const Shift kShift;
const Recurrence kRecurrence;

// After the step of length s, element i holds the product of the 2 s elements up to it.
TensorRef complex_cumprod(Tensor& x, int axis) {
  TensorRef y(&x);
  const int64_t n = x.rank() ? x.sizes[axis] : 1;
  for (int64_t s = 1; s < n; s *= 2) {
    const TensorRef kept = slice(*y, axis, 0, s);
    const TensorRef grown = mul(slice(*y, axis, s, n), slice(*y, axis, 0, n - s));
    Tensor* parts[] = {kept.get(), grown.get()};
    y = cat(parts, axis);
  }
  return y.get() == &x ? clone(x) : y;
}

TensorRef cumulate(Args& a, Tensor& x, TensorRef (*op)(Tensor&, int, bool)) {
  const int axis = wrap_axis(a.integer(1), x.rank(), a.name());
  return op(*cast(x, a.dtype(2).value_or(is_differentiable(x.dtype) ? x.dtype : DType::Int64)), axis, false);
}

Result cumulate_in_place(Args& a, TensorRef (*op)(Tensor&, int, bool)) {
  Tensor& x = a.tensor(0);
  // A gradient may read what the tensor held before.
  const TensorRef before = (modes.grad && needs_grad(x)) || x.wrapped ? clone(x) : TensorRef(&x);
  const TensorRef result = cumulate(a, *before, op);
  copy_(x, *result);
  return Result(TensorRef(&x));
}

const Function kCumsumFunction("cumsum", [](Args& a) { return Result(cumulate(a, a.tensor(0), cumsum)); });
const Function kCumprodFunction("cumprod", [](Args& a) { return Result(cumulate(a, a.tensor(0), cumprod)); });
const Function kCumsumInPlace("cumsum_", [](Args& a) { return cumulate_in_place(a, cumsum); });
const Function kCumprodInPlace("cumprod_", [](Args& a) { return cumulate_in_place(a, cumprod); });

}  // namespace

TensorRef cumsum(Tensor& x, int axis, bool reverse) {
  return apply(kCumsum, {&x}, {Dims{axis, reverse}, {}});
}
TensorRef cumprod(Tensor& x, int axis, bool reverse) {
  if (is_complex(x.dtype)) return complex_cumprod(x, axis);
  return apply(kCumprod, {&x}, {Dims{axis, reverse}, {}});
}
TensorRef shift(Tensor& x, int axis, bool reverse, double fill) {
  return apply(kShift, {&x}, {Dims{axis, reverse}, {fill, 0.0}});
}
TensorRef recurrence(Tensor& a, Tensor& b, int axis, bool lagged, bool reverse) {
  return apply(kRecurrence, {&a, &b}, {Dims{axis, lagged, reverse}, {}});
}

}  // namespace versant::ops
