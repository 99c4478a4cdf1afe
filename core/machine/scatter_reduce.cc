// scatter_reduce: sums, products, means and extremes of the elements of src that an index sends to one place.
#include <cmath>
#include <limits>

#include "machine/call.h"
#include "machine/complex.h"
#include "machine/index_checks.h"
#include "machine/nest.h"
#include "machine/ops.h"
#include "machine/scatter.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

enum class Reduction : int64_t { Sum, Prod, Mean, Amax, Amin };

constexpr std::string_view kReductions[] = {"sum", "prod", "mean", "amax", "amin"};

Scatter step_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::Prod:
      return Scatter::Multiply;
    case Reduction::Amax:
      return Scatter::Max;
    case Reduction::Amin:
      return Scatter::Min;
    default:
      return Scatter::Add;
  }
}

// What a place that leaves its own value out starts from.
Scalar identity_of(Reduction reduction, DType dtype) {
  if (reduction == Reduction::Prod) return Scalar::of_int(1);
  if (reduction != Reduction::Amax && reduction != Reduction::Amin) return Scalar::of_int(0);
  const bool lowest = reduction == Reduction::Amax;
  if (is_floating(dtype)) return Scalar::of(lowest ? -INFINITY : INFINITY);
  if (dtype == DType::Bool) return Scalar::of_int(!lowest);
  return visit_number(dtype, [&]<typename T>() {
    if constexpr (std::is_integral_v<T>)
      return Scalar::of_int(lowest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max());
    else
      return Scalar::of(0);
  });
}

// sums /= counts where counts is not 0; integers round down.
template <typename T>
void divide(const Array& sums, const Array& counts) {
  const Nest<2> nest(sums.sizes, {&sums.strides, &counts.strides});
  nest.for_all([&](const int64_t(&start)[2], int64_t n) {
    T* sum = sums.as<T>() + start[0];
    const int64_t* count = counts.as<int64_t>() + start[1];
    for (int64_t i = 0; i < n; ++i) {
      T& value = sum[i * nest.step(0)];
      const int64_t by = count[i * nest.step(1)];
      if (by == 0) continue;
      if constexpr (std::is_integral_v<T>) {
        const int64_t whole = static_cast<int64_t>(value);
        value = static_cast<T>(whole / by - (whole % by < 0));
      } else {
        value /= static_cast<T>(by);
      }
    }
  });
}

// Inputs: x, index, src. ints: axis, reduction, whether x itself takes part.
struct ScatterReduce final : Primitive {
  const char* name() const override { return "scatter_reduce"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override {
    if (!c.counts(3, 1, 3) || !c.is_axis(0, *c.in[0]) || !c.within(1, 0, 4) || !c.within(2, 0, 1))
      return false;
    const Array &x = *c.in[0], &index = *c.in[1], &src = *c.in[2];
    const int rank = std::max(x.rank(), 1);
    if (index.rank() != rank || src.rank() != rank || src.dtype != x.dtype) return false;
    for (int d = 0; d < rank; ++d)
      if (index.sizes[d] > src.sizes[d] || (d != c.attributes.ints[0] && index.sizes[d] > x.sizes[d]))
        return false;
    return true;
  }
  void run(Run& run) const override {
    const int axis = static_cast<int>(run.attributes.ints[0]);
    const auto reduction = static_cast<Reduction>(run.attributes.ints[1]);
    const bool include_self = run.attributes.ints[2];
    const Array index = apart_from(as_positions(name(), *run.in[1]), *run.in[0]);
    check_bounds(name(), index, axis, axis_size(*run.in[0], axis));
    run.start_copy();
    const Array& x = run.out[0];
    const DType compute = is_half(x.dtype) ? DType::Float32 : x.dtype;
    const Array result = x.to_dtype(compute);
    const Array src = apart_from(*run.in[2], x).to_dtype(compute);
    if (!include_self) {
      const Array start = Array::full({}, compute, identity_of(reduction, compute));
      scatter_into(Scatter::Write, result, axis, index, start);
    }
    scatter_into(step_of(reduction), result, axis, index, src);
    if (reduction == Reduction::Mean) {
      if (is_complex(compute))
        fail(ErrorKind::DType, "[scatter_reduce] mean is not implemented for complex numbers");
      const Array counts = Array::full(x.sizes, DType::Int64, Scalar::of_int(include_self));
      scatter_into(Scatter::Add, counts, axis, index, Array::full({}, DType::Int64, Scalar::of_int(1)));
      visit_number(compute, [&]<typename T>() { divide<T>(result, counts); });
    }
    if (compute != x.dtype) copy_into(x, result);
  }
  Saves saves(const Attributes& attributes, uint32_t) const override {
    const auto reduction = static_cast<Reduction>(attributes.ints[1]);
    if (reduction == Reduction::Sum || reduction == Reduction::Mean) return {0b010};
    return {0b111, 1};
  }
  void vjp(Vjp& vjp) const override;
};

const ScatterReduce kScatterReduce;

// The gradient rules below are written on whole tensors; `at` and `spread` go between places and elements of
// src.
struct Rules {
  explicit Rules(Vjp& vjp)
      : grad(vjp.grad()), axis(vjp.attributes().ints[0]), include_self(vjp.attributes().ints[2]) {
    index = vjp.input(1);
  }
  TensorRef at(const TensorRef& places) const { return ops::gather(*places, axis, *index); }
  // The leading part of src that the index covers.
  TensorRef covered(const TensorRef& src) const {
    TensorRef part = src;
    for (int d = 0; d < index->rank(); ++d)
      if (part->sizes[d] != index->sizes[d]) part = ops::slice(*part, d, 0, index->sizes[d]);
    return part;
  }
  // x with zeros at the places that are written, when these leave their own value out.
  TensorRef self_part(TensorRef x) const {
    return include_self ? x : ops::scatter_value(*x, axis, *index, Scalar::of_int(0));
  }
  void extreme(TensorRef x, TensorRef src, TensorRef result, TensorRef* to_x, TensorRef* to_src) const;
  void product(TensorRef x, TensorRef src, TensorRef result, TensorRef* to_x, TensorRef* to_src) const;

  TensorRef grad, index;
  int64_t axis;
  bool include_self;
};

// Shared evenly by all that equal the result.
void Rules::extreme(TensorRef x, TensorRef src, TensorRef result, TensorRef* to_x, TensorRef* to_src) const {
  TensorRef x_wins = self_part(ops::cast(*ops::eq(x, result), x->dtype));
  TensorRef src_wins = ops::cast(*ops::eq(src, at(result)), x->dtype);
  TensorRef winners = ops::scatter_add(*x_wins, axis, *index, *src_wins);
  TensorRef share = ops::div(grad, winners);
  *to_x = ops::mul(x_wins, share);
  *to_src = ops::mul(src_wins, at(share));
}

// The product of all the others: the result over the element, or the product with the only zero taken out.
void Rules::product(TensorRef x, TensorRef src, TensorRef result, TensorRef* to_x, TensorRef* to_src) const {
  const Input zero = Scalar::of_int(0), one = Scalar::of_int(1);
  auto reduced = [&](TensorRef into, TensorRef from) {
    return ops::scatter_reduce(*into, axis, *index, *from, "prod", include_self);
  };
  TensorRef filled_x = ops::where(ops::eq(x, zero), one, x);
  *to_x = self_part(ops::div(ops::mul(grad, reduced(filled_x, src)), filled_x));

  TensorRef is_zero = ops::eq(src, zero);
  TensorRef zeros =
      ops::scatter_add(*ops::zeros(x->sizes, x->dtype), axis, *index, *ops::cast(*is_zero, x->dtype));
  TensorRef only_zero = ops::mul(is_zero, ops::eq(at(zeros), one));
  TensorRef others = reduced(x, ops::where(only_zero, one, src));
  *to_src = ops::where(only_zero, at(ops::mul(grad, others)),
                       ops::div(at(ops::mul(grad, result)), ops::where(is_zero, one, src)));
}

void ScatterReduce::vjp(Vjp& vjp) const {
  const auto reduction = static_cast<Reduction>(vjp.attributes().ints[1]);
  const Rules rules(vjp);
  TensorRef to_x, to_src;
  if (reduction == Reduction::Sum) {
    to_x = rules.self_part(rules.grad);
    to_src = rules.at(rules.grad);
  } else if (reduction == Reduction::Mean) {
    const Tensor& like = *rules.grad;
    TensorRef counts = ops::full(like.sizes, like.dtype, Scalar::of_int(rules.include_self));
    TensorRef ones = ops::full(rules.index->sizes, like.dtype, Scalar::of_int(1));
    ops::scatter_add_(*counts, rules.axis, *rules.index, *ones);
    counts = ops::where(ops::eq(counts, Scalar::of_int(0)), Scalar::of_int(1), counts);
    TensorRef share = ops::div(rules.grad, counts);
    to_x = rules.self_part(share);
    to_src = rules.at(share);
  } else {
    // Of complex numbers the gradient is the conjugate derivative.
    TensorRef x = ops::conj(*vjp.input(0)), src = ops::conj(*rules.covered(vjp.input(2)));
    TensorRef result = ops::conj(*vjp.output());
    if (reduction == Reduction::Prod)
      rules.product(x, src, result, &to_x, &to_src);
    else
      rules.extreme(x, src, result, &to_x, &to_src);
  }
  if (vjp.needs(0)) vjp.set(0, to_x);
  if (vjp.needs(2)) vjp.set(2, ops::pad_to(*to_src, vjp.input_sizes(2)));
}

Reduction reduction_of(std::string_view reduce) {
  const auto* found = std::find(std::begin(kReductions), std::end(kReductions), reduce);
  if (found == std::end(kReductions))
    fail(ErrorKind::Value, "[scatter_reduce] reduce must be sum, prod, mean, amax or amin, got '", reduce,
         "'");
  return static_cast<Reduction>(found - std::begin(kReductions));
}

Attributes pack(int axis, Reduction reduction, bool include_self) {
  return {Dims{axis, static_cast<int64_t>(reduction), include_self}, {}};
}

}  // namespace

namespace ops {

TensorRef scatter_reduce(Tensor& x, int64_t axis, Tensor& index, Tensor& src, std::string_view reduce,
                         bool include_self) {
  const Reduction reduction = reduction_of(reduce);
  const ScatterArguments checked("scatter_reduce", x, axis, index, &src);
  return apply(kScatterReduce, {&x, checked.index.get(), checked.src.get()},
               pack(checked.axis, reduction, include_self));
}

void scatter_reduce_(Tensor& x, int64_t axis, Tensor& index, Tensor& src, std::string_view reduce,
                     bool include_self) {
  const Reduction reduction = reduction_of(reduce);
  const bool reads_x = reduction != Reduction::Sum && reduction != Reduction::Mean;
  if (modes.grad && reads_x && (needs_grad(x) || needs_grad(src) || x.wrapped)) {
    // The gradient reads the old values, which are about to be overwritten.
    TensorRef old = clone(x);
    copy_(x, scatter_reduce(*old, axis, index, src, reduce, include_self));
    return;
  }
  const ScatterArguments checked("scatter_reduce", x, axis, index, &src);
  Tensor* inputs[] = {&x, checked.index.get(), checked.src.get()};
  apply_in_place(kScatterReduce, inputs, pack(checked.axis, reduction, include_self));
}

}  // namespace ops

namespace {

const Function kFunctions[] = {
    {"scatter_reduce",
     [](Args& a) {
       return Result(
           ops::scatter_reduce(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), a.text(4), a.flag(5)));
     }},
    {"scatter_reduce_",
     [](Args& a) {
       ops::scatter_reduce_(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), a.text(4), a.flag(5));
       return Result(TensorRef(&a.tensor(0)));
     }},
};

}  // namespace

}  // namespace versant
