// Sequences and simple matrices.
#include <cmath>

#include "machine/call.h"
#include "machine/index_checks.h"
#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

struct Source : Primitive {
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

// Fills out[i] = value(i), through float32 for the two 16-bit formats. Blocks of short counters let the
// compiler convert them to double in vectors.
template <typename Index, typename Value>
void fill_by(const Array& out, Value value) {
  const Array wide = is_half(out.dtype) ? Array::empty(out.sizes, DType::Float32) : out;
  constexpr int64_t kBlock = 256;
  visit_number(wide.dtype, [&]<typename T>() {
    T* to = wide.as<T>();
    Unlocked unlocked(wide.bytes() >= kUnlockBytes);
    parallel_for(wide.numel, kParallelBytes / 4, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; at += kBlock) {
        const Index base = static_cast<Index>(at);
        const auto n = static_cast<int32_t>(std::min(kBlock, end - at));
        for (int32_t i = 0; i < n; ++i) to[at + i] = static_cast<T>(value(base + static_cast<Index>(i)));
      }
    });
  });
  if (is_half(out.dtype)) copy_into(out, wide);
}

// ints: dtype, length, start, step (for integers). floats: start, step (for floating point).
struct Arange final : Source {
  const char* name() const override { return "arange"; }
  bool admits(const Claim& c) const override {
    return c.counts(0, 1, 4) && c.is_dtype(0) && c.attributes.ints[1] >= 0;
  }
  void run(Run& run) const override {
    const Dims& a = run.attributes.ints;
    run.out[0] = Array::empty(Dims{a[1]}, static_cast<DType>(a[0]));
    if (is_floating(run.out[0].dtype)) {
      const auto [start, step] = run.attributes.floats;
      fill_by<double>(run.out[0], [start, step](double i) { return start + i * step; });
    } else {
      // Unsigned, because narrow dtypes wrap around.
      const auto start = static_cast<uint64_t>(a[2]), step = static_cast<uint64_t>(a[3]);
      fill_by<int64_t>(run.out[0], [start, step](int64_t i) {
        return static_cast<int64_t>(start + static_cast<uint64_t>(i) * step);
      });
    }
  }
};

// Both halves count from their own end, so that the sequence is symmetric and its last element exact.
// ints: dtype, length. floats: start, end.
struct Linspace final : Source {
  const char* name() const override { return "linspace"; }
  bool admits(const Claim& c) const override {
    return c.counts(0, 1, 2) && c.is_dtype(0) && c.attributes.ints[1] >= 0;
  }
  void run(Run& run) const override {
    const int64_t n = run.attributes.ints[1];
    run.out[0] = Array::empty(Dims{n}, static_cast<DType>(run.attributes.ints[0]));
    const auto [start, end] = run.attributes.floats;
    const double step = n > 1 ? (end - start) / static_cast<double>(n - 1) : 0.0;
    const auto last = static_cast<double>(n - 1);
    const double half = n == 1 ? 1.0 : static_cast<double>(n / 2);
    fill_by<double>(run.out[0],
                    [=](double i) { return i < half ? start + step * i : end - step * (last - i); });
  }
};

// ints: dtype, rows, columns.
struct Eye final : Source {
  const char* name() const override { return "eye"; }
  bool admits(const Claim& c) const override {
    return c.counts(0, 1, 3) && c.is_dtype(0) && c.attributes.ints[1] >= 0 && c.attributes.ints[2] >= 0;
  }
  void run(Run& run) const override {
    const Dims& a = run.attributes.ints;
    run.out[0] = Array::full(Dims{a[1], a[2]}, static_cast<DType>(a[0]), Scalar::of_int(0));
    const int64_t count = std::min(a[1], a[2]);
    if (count) fill(run.out[0].view(Dims{count}, Dims{a[2] + 1}), Scalar::of_int(1));
  }
};

// ints: classes, or -1.
struct OneHot final : Source {
  const char* name() const override { return "one_hot"; }
  bool batch(Batch& b) const override { return b.attributes().ints[0] >= 0 && b.leading(); }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 1) && is_integral(c.in[0]->dtype); }
  void run(Run& run) const override {
    const Array positions = as_positions(name(), *run.in[0]).to_contiguous();
    const auto* at = positions.as<int64_t>();
    int64_t classes = run.attributes.ints[0];
    if (classes < 0) {
      int64_t largest = 0;
      for (int64_t i = 0; i < positions.numel; ++i) largest = std::max(largest, at[i]);
      classes = std::min(largest, INT64_MAX - 1) + 1;
    }
    for (int64_t i = 0; i < positions.numel; ++i)
      if (at[i] < 0 || at[i] >= classes)
        fail(ErrorKind::Value, "[one_hot] class values must be in [0, ", classes, "), got ", at[i]);
    Dims sizes = positions.sizes;
    sizes.push_back(classes);
    run.out[0] = Array::full(sizes, DType::Int64, Scalar::of_int(0));
    for (int64_t i = 0; i < positions.numel; ++i) run.out[0].as<int64_t>()[i * classes + at[i]] = 1;
  }
};

const Arange kArange;
const Linspace kLinspace;
const Eye kEye;
const OneHot kOneHot;

// How many steps lie in [start, end). Counts of integers are exact.
int64_t arange_length(Scalar start, Scalar end, Scalar step) {
  const bool whole = start.is_whole() && end.is_whole() && step.is_whole();
  const double by = step.as_double(), from = start.as_double(), to = end.as_double();
  if (by == 0.0) fail(ErrorKind::Value, "[arange] step must not be zero");
  if (!std::isfinite(from) || !std::isfinite(to) || !std::isfinite(by))
    fail(ErrorKind::Value, "[arange] start, end and step must be finite, got ", from, ", ", to, " and ", by);
  if ((by > 0) != (to >= from) && to != from)
    fail(ErrorKind::Value, "[arange] the step ", by, " leads away from the end: start ", from, ", end ", to);
  if (!whole) {
    const double count = std::ceil((to - from) / by);
    if (!(count < 9.2e18)) fail(ErrorKind::Shape, "[arange] ", count, " elements are too many");
    return static_cast<int64_t>(count);
  }
  const bool up = step.i > 0;
  const uint64_t span = up ? static_cast<uint64_t>(end.i) - static_cast<uint64_t>(start.i)
                           : static_cast<uint64_t>(start.i) - static_cast<uint64_t>(end.i);
  const uint64_t stride = up ? static_cast<uint64_t>(step.i) : -static_cast<uint64_t>(step.i);
  const uint64_t count = span / stride + (span % stride != 0);
  if (count > static_cast<uint64_t>(INT64_MAX))
    fail(ErrorKind::Shape, "[arange] ", count, " elements are too many");
  return static_cast<int64_t>(count);
}

}  // namespace

namespace ops {

TensorRef arange(Scalar start, Scalar end, Scalar step, DType dtype) {
  // Of int64, limits are cut to whole numbers before steps are counted, of narrower integers after it.
  const bool whole = !is_floating(dtype), narrow = whole && dtype != DType::Int64;
  int64_t length = narrow ? arange_length(start, end, step) : 0;
  if (whole)
    for (Scalar* number : {&start, &end, &step}) *number = Scalar::of_int(number->as_int());
  if (whole && step.i == 0) fail(ErrorKind::Value, "[arange] step must not be zero among integers");
  if (!narrow) length = arange_length(start, end, step);
  return apply(kArange, {},
               {Dims{static_cast<int64_t>(dtype), length, start.as_int(), step.as_int()},
                {start.as_double(), step.as_double()}});
}

TensorRef linspace(double start, double end, int64_t steps, DType dtype) {
  if (steps < 0) fail(ErrorKind::Value, "[linspace] the number of steps must not be negative, got ", steps);
  return apply(kLinspace, {}, {Dims{static_cast<int64_t>(dtype), steps}, {start, end}});
}

TensorRef eye(int64_t rows, int64_t columns, DType dtype) {
  if (rows < 0 || columns < 0)
    fail(ErrorKind::Value, "[eye] sizes must not be negative, got ", rows, " and ", columns);
  return apply(kEye, {}, {Dims{static_cast<int64_t>(dtype), rows, columns}, {}});
}

TensorRef one_hot(Tensor& x, int64_t classes) {
  check_index_dtype("one_hot", x.dtype);
  if (classes < -1 || (classes == 0 && x.numel > 0) || (classes == -1 && x.numel == 0))
    fail(ErrorKind::Value, "[one_hot] num_classes must be positive",
         x.numel == 0 ? " for a tensor without elements" : " (or -1 to infer it)", ", got ", classes);
  return apply(kOneHot, {&x}, {Dims{classes}, {}});
}

}  // namespace ops

namespace {

const Function kFunctions[] = {
    {"arange_fill",
     [](Args& a) {
       return Result(ops::arange(a.scalar(0), a.scalar(1), a.scalar(2), a.dtype(3).value_or(DType::Int64)));
     }},
    {"linspace_fill",
     [](Args& a) {
       return Result(
           ops::linspace(a.number(0), a.number(1), a.integer(2), a.dtype(3).value_or(DType::Float32)));
     }},
    {"eye",
     [](Args& a) {
       return Result(ops::eye(a.integer(0), a.integer(1), a.dtype(2).value_or(DType::Float32)));
     }},
    {"one_hot", [](Args& a) { return Result(ops::one_hot(a.tensor(0), a.integer(1))); }},
};

}  // namespace

}  // namespace versant
