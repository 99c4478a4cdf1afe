// gather and scatter: each other's gradients.
#include "machine/call.h"
#include "machine/index_checks.h"
#include "machine/ops.h"
#include "machine/promote.h"
#include "machine/scatter.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

// Whether an index of these sizes reaches no further than `sizes` along all axes but one.
bool fits_beside(const Dims& index, const Dims& sizes, int axis) {
  if (index.size() != sizes.size()) return false;
  for (int d = 0; d < index.size(); ++d)
    if (d != axis && index[d] > sizes[d]) return false;
  return true;
}

// Inputs: x, index. ints: axis.
struct Gather final : Primitive {
  const char* name() const override { return "gather"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    return c.counts(2, 1, 1) && c.is_axis(0, *c.in[0]) &&
           fits_beside(c.in[1]->sizes, c.in[0]->sizes, static_cast<int>(c.attributes.ints[0]));
  }
  void run(Run& run) const override {
    const Array index = as_positions(name(), *run.in[1]);
    run.out[0] = Array::empty(index.sizes, run.in[0]->dtype);
    gather_into(name(), run.out[0], *run.in[0], static_cast<int>(run.attributes.ints[0]), index);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0b10}; }
  void vjp(Vjp& vjp) const override {
    TensorRef spread = ops::zeros(vjp.input_sizes(0), vjp.grad()->dtype);
    ops::scatter_add_(*spread, vjp.attributes().ints[0], *vjp.input(1), *vjp.grad());
    vjp.set(0, std::move(spread));
  }
};

// Inputs: x, index, src (without axes: one value for all). ints: axis.
struct ScatterInto final : Primitive {
  ScatterInto(const char* name, Scatter how) : name_(name), how_(how) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override {
    if (b.rank(2) == 0 && b.rank(0) > 0) return false;
    return b.shifted({0});
  }
  bool by_parts() const override { return how_ == Scatter::Add; }
  bool admits(const Claim& c) const override {
    return c.counts(3, 1, 1) && c.is_axis(0, *c.in[0]) && c.in[2]->dtype == c.in[0]->dtype &&
           fits_beside(c.in[1]->sizes, c.in[0]->sizes, static_cast<int>(c.attributes.ints[0])) &&
           (c.in[2]->rank() == 0 || fits_beside(c.in[1]->sizes, c.in[2]->sizes, -1));
  }
  void run(Run& run) const override {
    const int axis = static_cast<int>(run.attributes.ints[0]);
    const Array index = apart_from(as_positions(name_, *run.in[1]), *run.in[0]);
    check_bounds(name_, index, axis, axis_size(*run.in[0], axis));
    run.start_copy();
    const Array& x = run.out[0];
    const Array src = apart_from(*run.in[2], x);
    if (how_ == Scatter::Write || !is_half(x.dtype)) return scatter_into(how_, x, axis, index, src);
    // Sums of float16 and bfloat16 are rounded once, at the end.
    const Array sums = x.to_dtype(DType::Float32);
    scatter_into(how_, sums, axis, index, src.to_dtype(DType::Float32));
    copy_into(x, sums);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0b010}; }
  // A place that was written twice passes its gradient to both elements.
  void vjp(Vjp& vjp) const override {
    const int64_t axis = vjp.attributes().ints[0];
    TensorRef index = vjp.input(1);
    if (vjp.needs(0)) {
      vjp.set(0, how_ == Scatter::Add ? vjp.grad()
                                      : ops::scatter_value(*vjp.grad(), axis, *index, Scalar::of_int(0)));
    }
    if (vjp.needs(2)) {
      TensorRef taken = ops::gather(*vjp.grad(), axis, *index);
      vjp.set(2, ops::pad_to(*taken, vjp.input_sizes(2)));
    }
  }

  const char* name_;
  Scatter how_;
};

const Gather kGather;
const ScatterInto kScatter("scatter", Scatter::Write), kScatterAdd("scatter_add", Scatter::Add);

int rank_of(const Tensor& x) { return std::max(x.rank(), 1); }

}  // namespace

ScatterArguments::ScatterArguments(const char* op, const Tensor& x, int64_t wanted_axis, Tensor& index_in,
                                   Tensor* src_in)
    : axis(wrap_axis(wanted_axis, x.rank(), op)) {
  check_index_dtype(op, index_in.dtype);
  auto with_axes = [](Tensor& t) { return t.rank() ? TensorRef(&t) : ops::unsqueeze(t, 0); };
  index = with_axes(index_in);
  if (src_in) {
    src = with_axes(*src_in);
    if (src->dtype != x.dtype)
      fail(ErrorKind::DType, "[", op, "] expected src of the input's dtype ", name(x.dtype), ", got ",
           name(src->dtype));
  }
  if (index->numel == 0) return;
  if (index->rank() != rank_of(x))
    fail(ErrorKind::Shape, "[", op, "] the index must have as many dimensions as the input, got shapes ",
         index_in.sizes, " and ", x.sizes);
  for (int d = 0; d < x.rank(); ++d)
    if (d != axis && index->sizes[d] > x.sizes[d])
      fail(ErrorKind::Shape, "[", op, "] the index of shape ", index->sizes,
           " must not exceed the input of shape ", x.sizes, " apart from dimension ", axis);
  if (!src) return;
  if (src->rank() != index->rank())
    fail(ErrorKind::Shape, "[", op, "] the index must have as many dimensions as src, got shapes ",
         index_in.sizes, " and ", src_in->sizes);
  for (int d = 0; d < index->rank(); ++d)
    if (index->sizes[d] > src->sizes[d])
      fail(ErrorKind::Shape, "[", op, "] the index of shape ", index->sizes, " must not exceed src of shape ",
           src->sizes);
}

namespace ops {

TensorRef gather(Tensor& x, int64_t axis, Tensor& index) {
  const ScatterArguments checked("gather", x, axis, index, nullptr);
  return apply(kGather, {&x, &index}, {Dims{checked.axis}, {}});
}

namespace {

TensorRef scatter_copy(const ScatterInto& primitive, Tensor& x, const ScatterArguments& a, Tensor& src) {
  return apply(primitive, {&x, a.index.get(), &src}, {Dims{a.axis}, {}});
}

void scatter_in_place(const ScatterInto& primitive, Tensor& x, const ScatterArguments& a, Tensor& src) {
  Tensor* inputs[] = {&x, a.index.get(), &src};
  apply_in_place(primitive, inputs, {Dims{a.axis}, {}});
}

}  // namespace

TensorRef scatter(Tensor& x, int64_t axis, Tensor& index, Tensor& src) {
  const ScatterArguments checked("scatter", x, axis, index, &src);
  return scatter_copy(kScatter, x, checked, *checked.src);
}

void scatter_(Tensor& x, int64_t axis, Tensor& index, Tensor& src) {
  const ScatterArguments checked("scatter", x, axis, index, &src);
  scatter_in_place(kScatter, x, checked, *checked.src);
}

TensorRef scatter_value(Tensor& x, int64_t axis, Tensor& index, Scalar value) {
  check_range(value, x.dtype, "scatter");
  const ScatterArguments checked("scatter", x, axis, index, nullptr);
  return scatter_copy(kScatter, x, checked, *full({}, x.dtype, value));
}

void scatter_value_(Tensor& x, int64_t axis, Tensor& index, Scalar value) {
  check_range(value, x.dtype, "scatter");
  const ScatterArguments checked("scatter", x, axis, index, nullptr);
  scatter_in_place(kScatter, x, checked, *full({}, x.dtype, value));
}

TensorRef scatter_add(Tensor& x, int64_t axis, Tensor& index, Tensor& src) {
  const ScatterArguments checked("scatter_add", x, axis, index, &src);
  return scatter_copy(kScatterAdd, x, checked, *checked.src);
}

void scatter_add_(Tensor& x, int64_t axis, Tensor& index, Tensor& src) {
  const ScatterArguments checked("scatter_add", x, axis, index, &src);
  scatter_in_place(kScatterAdd, x, checked, *checked.src);
}

}  // namespace ops

namespace {

TensorRef changed(Tensor& x) { return TensorRef(&x); }

const Function kFunctions[] = {
    {"gather", [](Args& a) { return Result(ops::gather(a.tensor(0), a.integer(1), a.tensor(2))); }},
    {"scatter",
     [](Args& a) { return Result(ops::scatter(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3))); }},
    {"scatter_",
     [](Args& a) {
       ops::scatter_(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3));
       return Result(changed(a.tensor(0)));
     }},
    {"scatter_value",
     [](Args& a) { return Result(ops::scatter_value(a.tensor(0), a.integer(1), a.tensor(2), a.scalar(3))); }},
    {"scatter_value_",
     [](Args& a) {
       ops::scatter_value_(a.tensor(0), a.integer(1), a.tensor(2), a.scalar(3));
       return Result(changed(a.tensor(0)));
     }},
    {"scatter_add",
     [](Args& a) { return Result(ops::scatter_add(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3))); }},
    {"scatter_add_",
     [](Args& a) {
       ops::scatter_add_(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3));
       return Result(changed(a.tensor(0)));
     }},
};

}  // namespace

}  // namespace versant
