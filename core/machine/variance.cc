// Variance: the mean first, then the squared distances from it, which stays right when the mean is large.
#include "machine/call.h"
#include "machine/complex.h"
#include "machine/ops.h"
#include "machine/reduce.h"
#include "machine/transforms/batching.h"

namespace versant::ops {

namespace {

// What the sum of squared distances is divided by.
double degrees_of_freedom(const Dims& sizes, Axes axes, double correction) {
  return std::max(0.0, static_cast<double>(reduced_count(sizes, axes)) - correction);
}

// ints: mask, keep; floats: correction.
struct Var final : Primitive {
  const char* name() const override { return "var"; }
  bool batch(Batch& b) const override { return b.reduced(); }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 2) && is_floating(c.in[0]->dtype); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Axes axes = Axes::unpack(run.attributes.ints);
    Reducer reducer;
    reducer.compute = compute_of(x.dtype);
    reducer.divisor = static_cast<double>(reduced_count(x.sizes, axes));
    const Array mean = reducer.run(x, axes, stored_dtype(reducer.compute));
    reducer.reduction = Reduction::Deviation;
    reducer.center = mean.data;
    reducer.divisor = degrees_of_freedom(x.sizes, axes, run.attributes.floats[0]);
    run.out[0] = reducer.run(x, axes, x.dtype);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 1}; }
  void vjp(Vjp& vjp) const override {
    Axes axes = Axes::unpack(vjp.attributes().ints);
    const TensorRef x = vjp.input(0);
    const double degrees = degrees_of_freedom(x->sizes, axes, vjp.attributes().floats[0]);
    const TensorRef g = spread(*mul(vjp.grad(), Scalar::of(2 / degrees)), axes, x->sizes);
    axes.keep = ~uint64_t{0};
    vjp.set(0, mul(g, sub(x, mean_over(*x, axes))));
  }
};

const Var kVar;

const Function kVarFunction("var", [](Args& a) {
  Tensor& x = a.tensor(0);
  if (!is_differentiable(x.dtype))
    fail(ErrorKind::DType, "[var] expected a floating-point or complex input, got ", name(x.dtype));
  const Axes axes = parse_axes(a.ints(1), x.rank(), a.flag(3), "var");
  const Attributes attributes{axes.pack(), {a.number(2), 0.0}};
  if (!is_complex(x.dtype)) return Result(apply(kVar, {&x}, attributes));
  const TensorRef re = apply(kVar, {part_of(x, 0).get()}, attributes);
  const TensorRef im = apply(kVar, {part_of(x, 1).get()}, attributes);
  return Result(add(re, im));
});

}  // namespace

}  // namespace versant::ops
