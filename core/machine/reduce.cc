// Reductions over any axes: sum, mean, prod, amax, amin, any, all, and sum_to.
#include "machine/reduce.h"

#include "machine/call.h"
#include "machine/complex.h"
#include "machine/ops.h"
#include "machine/scan.h"
#include "machine/transforms/batching.h"

namespace versant::ops {

namespace {

constexpr int64_t kSmall = 256;  // gradients up to this size are written out rather than expanded

// ints: mask, keep, dtype of the result.
class Reduce : public Primitive {
 public:
  Reduce(const char* name, Reduction reduction) : name_(name), reduction_(reduction) {}
  const char* name() const final { return name_; }
  bool batch(Batch& b) const override { return b.reduced(); }
  bool admits(const Claim& c) const override {
    if (!c.counts(1, 1, 3) || !c.is_dtype(2)) return false;
    const bool chooses = reduction_ == Reduction::Max || reduction_ == Reduction::Min;
    if (chooses && reduced_count(c.in[0]->sizes, Axes::unpack(c.attributes.ints)) == 0) return false;
    return by_parts() || !is_complex(c.in[0]->dtype);
  }
  void run(Run& run) const override {
    Reducer reducer;
    reducer.reduction = reduction_;
    const DType dtype = real_dtype(static_cast<DType>(run.attributes.ints[2]));
    reducer.compute = compute(run.in[0]->dtype, dtype);
    run.out[0] = reducer.run(*run.in[0], Axes::unpack(run.attributes.ints), dtype);
  }

 protected:
  virtual Compute compute(DType, DType result) const { return compute_of(result); }

 private:
  const char* name_;
  Reduction reduction_;
};

// The value of every result at all the elements that it came from; a view. ints: mask, keep, the sizes.
struct Spread final : Primitive {
  const char* name() const override { return "expand"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    for (const int place : {0, 1})
      a.ints[place] = static_cast<int64_t>(static_cast<uint64_t>(a.ints[place]) << 1);
    a.ints.insert(2, b.size());
    return b.leading(a);
  }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool is_view() const override { return true; }
  void run(Run& run) const override {
    const Array& g = *run.in[0];
    const Axes axes = Axes::unpack(run.attributes.ints);
    const Dims& a = run.attributes.ints;
    Dims sizes(std::span<const int64_t>(a.begin() + 2, a.end())), strides(a.size() - 2);
    for (int d = 0, at = 0; d < sizes.size(); ++d) {
      strides[d] = axes.reduced(d) ? 0 : g.strides[at];
      if (!axes.reduced(d) || axes.kept(d)) ++at;
    }
    run.out[0] = g.view(std::move(sizes), std::move(strides));
  }
  void vjp(Vjp& vjp) const override;
};
const Spread kSpread;

// `g / divisor` at all elements of a sum or mean.
TensorRef spread_gradient(const TensorRef& g, Axes axes, const Dims& sizes, double divisor) {
  if (!modes.composes() && !modes.observed() && g->numel == 1 && !g->inference) {
    int64_t numel = 1;
    for (const int64_t size : sizes) numel *= size;
    if (numel <= kSmall) {
      Array full = Array::empty(sizes, g->dtype);
      if (g->dtype == DType::Float32) {
        std::fill_n(full.as<float>(), numel, *g->as<float>() / static_cast<float>(divisor));
      } else if (g->dtype == DType::Float64) {
        std::fill_n(full.as<double>(), numel, *g->as<double>() / divisor);
      } else if (is_complex(g->dtype)) {
        const Scalar value = item(*g);
        fill(full, Scalar::of_complex(value.f / divisor, value.imaginary / divisor));
      } else {
        const auto value = static_cast<float>(item(*g).as_double());
        fill(full, Scalar::of(value / static_cast<float>(divisor)));
      }
      return Tensor::make(std::move(full));
    }
  }
  const TensorRef part = divisor == 1 ? g : div(g, Scalar::of(divisor));
  return spread(*part, axes, sizes);
}

struct Sum final : Reduce {
  Sum() : Reduce("sum", Reduction::Sum) {}
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool by_parts() const override { return true; }
  void vjp(Vjp& vjp) const override {
    vjp.set(0, spread_gradient(vjp.grad(), Axes::unpack(vjp.attributes().ints), vjp.input_sizes(0), 1));
  }
};

struct Mean final : Reduce {
  Mean() : Reduce("mean", Reduction::Sum) {}
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool by_parts() const override { return true; }
  bool admits(const Claim& c) const override {
    return Reduce::admits(c) && is_differentiable(static_cast<DType>(c.attributes.ints[2]));
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Axes axes = Axes::unpack(run.attributes.ints);
    const DType dtype = real_dtype(static_cast<DType>(run.attributes.ints[2]));
    Reducer reducer;
    reducer.compute = compute_of(dtype);
    reducer.divisor = static_cast<double>(reduced_count(x.sizes, axes));
    run.out[0] = reducer.run(x, axes, dtype);
  }
  void vjp(Vjp& vjp) const override {
    const Axes axes = Axes::unpack(vjp.attributes().ints);
    const Dims& sizes = vjp.input_sizes(0);
    vjp.set(0, spread_gradient(vjp.grad(), axes, sizes, static_cast<double>(reduced_count(sizes, axes))));
  }
};

// The gradient of each factor is the product of all others: of those before it times those after it. That
// stays right when factors are zero.
struct Prod final : Reduce {
  Prod() : Reduce("prod", Reduction::Prod) {}
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 1}; }
  void vjp(Vjp& vjp) const override {
    const Axes axes = Axes::unpack(vjp.attributes().ints);
    const TensorRef x = vjp.input(0);
    Dims order, inverse(x->rank()), lines, spread_sizes;
    for (const bool last : {false, true})
      for (int d = 0; d < x->rank(); ++d)
        if (axes.reduced(d) == last) order.push_back(d);
    for (int i = 0; i < order.size(); ++i) {
      inverse[order[i]] = i;
      spread_sizes.push_back(x->sizes[order[i]]);
    }
    for (int d = 0; d < x->rank(); ++d)
      if (!axes.reduced(d)) lines.push_back(x->sizes[d]);
    lines.push_back(1);
    const TensorRef g = reshape(*cast(*vjp.grad(), x->dtype), lines);
    lines[lines.size() - 1] = reduced_count(x->sizes, axes);
    const TensorRef factors = reshape(*permute(*x, order), lines);
    const int axis = lines.size() - 1;
    const TensorRef before = shift(*cumprod(*factors, axis, false), axis, false, 1.0);
    const TensorRef after = shift(*cumprod(*factors, axis, true), axis, true, 1.0);
    const TensorRef each = mul(g, mul(before, after));
    vjp.set(0, permute(*reshape(*each, spread_sizes), inverse));
  }
};

// Largest or smallest. Elements that tie share the gradient evenly.
struct Extreme final : Reduce {
  using Reduce::Reduce;
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 1, .outputs = 1}; }
  void vjp(Vjp& vjp) const override {
    const Axes axes = Axes::unpack(vjp.attributes().ints);
    const TensorRef x = vjp.input(0), y = vjp.output(0);
    const TensorRef chosen = cast(*eq(x, spread(*y, axes, x->sizes)), x->dtype);
    const TensorRef ties = sum_over(*chosen, axes, x->dtype);
    vjp.set(0, mul(chosen, spread(*div(vjp.grad(), ties), axes, x->sizes)));
  }
};

struct Logical final : Reduce {
  using Reduce::Reduce;
  void vjp(Vjp&) const override {}
  Compute compute(DType x, DType) const override { return compute_of(x); }
};

const Sum kSum;
const Mean kMean;
const Prod kProd;
const Extreme kAmax("amax", Reduction::Max), kAmin("amin", Reduction::Min);
const Logical kAny("any", Reduction::Any), kAll("all", Reduction::All);

void Spread::vjp(Vjp& vjp) const {
  vjp.set(0, sum_over(*vjp.grad(), Axes::unpack(vjp.attributes().ints), vjp.grad()->dtype));
}

TensorRef reduce(const Reduce& primitive, Tensor& x, Axes axes, DType dtype) {
  Dims ints = axes.pack();
  ints.push_back(static_cast<int64_t>(dtype));
  return apply(primitive, {&x}, {ints, {}});
}

DType sum_dtype(DType dtype) { return is_differentiable(dtype) ? dtype : DType::Int64; }

TensorRef reduce(const Reduce& primitive, Args& a) {
  Tensor& given = a.tensor(0);
  const DType dtype = a.dtype(3).value_or(sum_dtype(given.dtype));
  const bool casts = is_complex(given.dtype) != is_complex(dtype);
  const TensorRef x = casts ? cast(given, dtype) : TensorRef(&given);
  return reduce(primitive, *x, parse_axes(a.ints(1), x->rank(), a.flag(2), primitive.name()), dtype);
}

// The product of complex numbers: halves of the factors are multiplied with each other until one is left.
TensorRef complex_prod(Tensor& x, Axes axes) {
  Dims order, sizes;
  for (const bool last : {false, true})
    for (int d = 0; d < x.rank(); ++d)
      if (axes.reduced(d) == last) order.push_back(d);
  for (int d = 0; d < x.rank(); ++d)
    if (!axes.reduced(d)) sizes.push_back(x.sizes[d]);
  int64_t count = reduced_count(x.sizes, axes);
  sizes.push_back(count);
  TensorRef factors = reshape(*permute(x, order), sizes);
  while (count > 1) {
    const int64_t half = count / 2;
    TensorRef product = mul(slice(*factors, -1, 0, half), slice(*factors, -1, half, 2 * half));
    if (count % 2) {
      const TensorRef rest = slice(*factors, -1, count - 1, count);
      Tensor* parts[] = {product.get(), rest.get()};
      product = cat(parts, -1);
    }
    factors = std::move(product);
    count = half + count % 2;
  }
  sizes = reduced_sizes(x.sizes, axes);
  if (count) return reshape(*factors, sizes);
  return add(full(sizes, x.dtype, Scalar::of(1.0)), sum_over(x, axes, x.dtype));  // a sum of nothing
}

TensorRef extreme(const Extreme& primitive, Args& a) {
  Tensor& x = a.tensor(0);
  const Axes axes = parse_axes(a.ints(1), x.rank(), a.flag(2), primitive.name());
  if (reduced_count(x.sizes, axes) == 0)
    fail(ErrorKind::Shape, "[", primitive.name(), "] no element to choose from: shape ", x.sizes,
         " is empty along a reduced axis");
  return reduce(primitive, x, axes, x.dtype);
}

TensorRef logical(const Logical& primitive, Args& a) {
  Tensor& x = a.tensor(0);
  const TensorRef plain = is_complex(x.dtype) ? cast(x, DType::Bool) : TensorRef(&x);
  return reduce(primitive, *plain, parse_axes(a.ints(1), x.rank(), a.flag(2), primitive.name()),
                x.dtype == DType::UInt8 ? DType::UInt8 : DType::Bool);
}

const Function kSumFunction("sum", [](Args& a) { return Result(reduce(kSum, a)); });
const Function kMeanFunction("mean", [](Args& a) {
  const DType dtype = a.dtype(3).value_or(a.tensor(0).dtype);
  if (!is_differentiable(dtype))
    fail(ErrorKind::DType, "[mean] expected a floating-point or complex input or dtype, got ", name(dtype),
         "; pass dtype=float32");
  return Result(reduce(kMean, a));
});
const Function kProdFunction("prod", [](Args& a) {
  Tensor& x = a.tensor(0);
  const DType dtype = a.dtype(3).value_or(x.dtype);
  if (!is_complex(dtype)) return Result(reduce(kProd, a));
  return Result(complex_prod(*cast(x, dtype), parse_axes(a.ints(1), x.rank(), a.flag(2), "prod")));
});
const Function kAmaxFunction("amax", [](Args& a) { return Result(extreme(kAmax, a)); });
const Function kAminFunction("amin", [](Args& a) { return Result(extreme(kAmin, a)); });
const Function kAnyFunction("any", [](Args& a) { return Result(logical(kAny, a)); });
const Function kAllFunction("all", [](Args& a) { return Result(logical(kAll, a)); });

}  // namespace

TensorRef sum_over(Tensor& x, Axes axes, DType dtype) { return reduce(kSum, x, axes, dtype); }

TensorRef mean_over(Tensor& x, Axes axes) { return reduce(kMean, x, axes, x.dtype); }

TensorRef spread(Tensor& x, Axes axes, const Dims& sizes) {
  Attributes a;
  a.ints = axes.pack();
  for (const int64_t size : sizes) a.ints.push_back(size);
  return apply(kSpread, {&x}, a);
}

TensorRef sum(Tensor& x, const Dims& axes, bool keepdim) {
  return sum_over(x, parse_axes(axes, x.rank(), keepdim, "sum"), sum_dtype(x.dtype));
}

TensorRef mean(Tensor& x, const Dims& axes, bool keepdim) {
  return mean_over(x, parse_axes(axes, x.rank(), keepdim, "mean"));
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
  return sum_over(x, axes, x.dtype);
}

}  // namespace versant::ops
