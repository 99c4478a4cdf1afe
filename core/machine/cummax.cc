// Running maxima and minima along an axis, with where they were met.
#include "machine/along.h"
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/reduce.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"
#include "machine/walk.h"

namespace versant::ops {

namespace {

constexpr int64_t kParallelWork = 16384;  // elements worth a second thread
constexpr int64_t kUnlockWork = 100000;   // ... worth giving the bookkeeping lock up

// Of equal numbers the later one counts; NaN stays once it was met.
template <typename T>
void run_lines(const Array& x, const Array& values, const Array& indices, int axis, bool largest) {
  const Lines from(x, axis), to(values, axis);
  Unlocked unlocked(x.numel >= kUnlockWork);
  parallel_for(from.starts.count, std::max<int64_t>(1, kParallelWork / from.length),
               [&](int64_t begin, int64_t end) {
                 for (int64_t line = begin; line < end; ++line) {
                   const T* p = x.as<T>() + from.starts.offset(line);
                   const int64_t start = to.starts.offset(line);
                   T best = p[0];
                   int64_t at = 0;
                   for (int64_t k = 0; k < from.length; ++k) {
                     const T v = p[k * from.stride];
                     if (v != v || (best == best && (largest ? v >= best : v <= best))) {
                       best = v;
                       at = k;
                     }
                     values.as<T>()[start + k * to.stride] = best;
                     indices.as<int64_t>()[start + k * to.stride] = at;
                   }
                 }
               });
}

// ints: axis.
class RunningExtreme final : public Primitive {
 public:
  explicit RunningExtreme(bool largest) : largest_(largest) {}
  const char* name() const override { return largest_ ? "cummax" : "cummin"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override { return c.counts(1, 2, 1) && c.is_axis(0, *c.in[0]); }
  void run(Run& run) const override {
    const DType dtype = run.in[0]->dtype;
    const Array x = is_half(dtype) ? run.in[0]->to_dtype(DType::Float32) : *run.in[0];
    const Array values = Array::empty(x.sizes, x.dtype);
    run.out[1] = Array::empty(x.sizes, DType::Int64);
    if (x.numel > 0) {
      visit_number(x.dtype, [&]<typename T>() {
        run_lines<T>(x, values, run.out[1], static_cast<int>(run.attributes.ints[0]), largest_);
      });
    }
    run.out[0] = values.to_dtype(dtype);
    run.n_outputs = 2;
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.outputs = 2}; }
  void vjp(Vjp& vjp) const override {
    if (!vjp.grad()) return;
    const Dims& sizes = vjp.input_sizes(0);
    const int axis = static_cast<int>(vjp.attributes().ints[0]);
    vjp.set(0, put_along(*vjp.grad(), *vjp.output(1), axis, sizes.empty() ? 1 : sizes[axis]));
  }

 private:
  bool largest_;
};

const RunningExtreme kCummax(true), kCummin(false);

Result running(const RunningExtreme& primitive, Args& a) {
  Tensor& x = a.tensor(0);
  Outputs out = apply(primitive, {&x}, {Dims{wrap_axis(a.integer(1), x.rank(), primitive.name())}, {}});
  return Result({std::move(out.tensor[0]), std::move(out.tensor[1])}, "values indices");
}

const Function kCummaxFunction("cummax", [](Args& a) { return running(kCummax, a); });
const Function kCumminFunction("cummin", [](Args& a) { return running(kCummin, a); });

}  // namespace

}  // namespace versant::ops
