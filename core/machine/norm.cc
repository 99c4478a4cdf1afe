// layer_norm and batch_norm: each one pass for the moments and one for the values, forward and backward.
//
// Both normalise groups of elements: a layer_norm group is one row, a batch_norm group is one channel over
// batch and positions. Sums run in float64 over eight lanes by logical index, whatever the threads.
#include <cmath>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"

namespace versant {

namespace {

// Where the elements of group k lie: `blocks` runs of `run` neighbours, `jump` apart, from k * start on.
struct Layout {
  int64_t groups, start, blocks, run, jump;
  int64_t count() const { return blocks * run; }
};

// Rows of a contiguous (R, D).
Layout rows_layout(const Array& x, int64_t width) {
  return {x.numel / std::max<int64_t>(width, 1), width, 1, width, 0};
}
// Channels of a contiguous (N, C, ...).
Layout channels_layout(const Array& x) {
  int64_t positions = 1;
  for (int d = 2; d < x.rank(); ++d) positions *= x.sizes[d];
  return {x.sizes[1], positions, x.sizes[0], positions, x.sizes[1] * positions};
}

constexpr int kLanes = 8;

// The sum of term(offset of the element, its place in the group) over a group.
template <typename Term>
double sum_over(const Layout& layout, int64_t group, Term term) {
  double lanes[kLanes] = {};
  int64_t place = 0;
  for (int64_t b = 0; b < layout.blocks; ++b) {
    const int64_t base = group * layout.start + b * layout.jump;
    int64_t i = 0;
    for (; i < layout.run && place % kLanes != 0; ++i, ++place)
      lanes[place % kLanes] += term(base + i, place);
    for (; i + kLanes <= layout.run; i += kLanes, place += kLanes)
      for (int k = 0; k < kLanes; ++k) lanes[k] += term(base + i + k, place + k);
    for (; i < layout.run; ++i, ++place) lanes[place % kLanes] += term(base + i, place);
  }
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

template <typename Body>
void each_element(const Layout& layout, int64_t group, Body body) {
  int64_t place = 0;
  for (int64_t b = 0; b < layout.blocks; ++b) {
    const int64_t base = group * layout.start + b * layout.jump;
    for (int64_t i = 0; i < layout.run; ++i, ++place) body(base + i, place);
  }
}

template <typename Body>
void each_group(const Layout& layout, Body&& body) {
  Unlocked unlocked(layout.groups * layout.count() > 100000);
  parallel_for(layout.groups, std::max<int64_t>(1, 16384 / std::max<int64_t>(layout.count(), 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t group = begin; group < end; ++group) body(group);
               });
}

template <typename Body>
void by_dtype(DType dtype, Body&& body) {
  if (dtype == DType::Float64)
    body.template operator()<double>();
  else
    body.template operator()<float>();
}

const NamedOp kSquare("square"), kRsqrt("rsqrt");
TensorRef unary(const NamedOp& op, Tensor& x) {
  const Input inputs[] = {Input(x)};
  return apply(*op, inputs);
}

// ints: 0 layer_norm or 1 batch_norm, width of a row (layer_norm), whether a scale is given, whether moments
// are given; floats: eps. Inputs: x, scale?, shift?, mean?, variance?. Outputs: y, mean and 1 / sqrt(var +
// eps) of each group (float64).
struct Form {
  explicit Form(const Attributes& a)
      : channels(a.ints[0] != 0),
        width(a.ints[1]),
        scaled(a.ints[2] != 0),
        given(a.ints[3] != 0),
        eps(a.floats[0]) {}
  Layout layout(const Array& x) const { return channels ? channels_layout(x) : rows_layout(x, width); }
  // The element of scale and shift that goes with an element: its channel, or its place in the row.
  int64_t scale_at(int64_t group, int64_t place) const { return channels ? group : place; }
  bool channels;
  int64_t width;
  bool scaled, given;
  double eps;
};

struct Normalize final : Primitive {
  const char* name() const override { return "normalize_groups"; }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Form form(run.attributes);
    const Layout layout = form.layout(x);
    run.out[0] = Array::empty(x.sizes, x.dtype);
    run.out[1] = Array::empty(Dims{layout.groups}, DType::Float64);
    run.out[2] = Array::empty(Dims{layout.groups}, DType::Float64);
    run.n_outputs = 3;
    by_dtype(x.dtype, [&]<typename T>() {
      const T* from = x.as<T>();
      const T* scale = form.scaled ? run.in[1]->template as<T>() : nullptr;
      const T* shift = form.scaled ? run.in[2]->template as<T>() : nullptr;
      const size_t moments = form.scaled ? 3 : 1;
      const double* given_mean = form.given ? run.in[moments]->template as<double>() : nullptr;
      const double* given_var = form.given ? run.in[moments + 1]->template as<double>() : nullptr;
      T* to = run.out[0].template as<T>();
      double *means = run.out[1].template as<double>(), *rstds = run.out[2].template as<double>();
      const auto count = static_cast<double>(layout.count());
      each_group(layout, [&](int64_t g) {
        double mean, var;
        if (form.given) {
          mean = given_mean[g];
          var = given_var[g];
        } else {
          mean =
              sum_over(layout, g, [&](int64_t at, int64_t) { return static_cast<double>(from[at]); }) / count;
          var = sum_over(layout, g,
                         [&](int64_t at, int64_t) {
                           const double d = static_cast<double>(from[at]) - mean;
                           return d * d;
                         }) /
                count;
        }
        const double rstd = 1.0 / std::sqrt(var + form.eps);
        means[g] = mean;
        rstds[g] = rstd;
        each_element(layout, g, [&](int64_t at, int64_t place) {
          double y = (static_cast<double>(from[at]) - mean) * rstd;
          if (scale) {
            const int64_t s = form.scale_at(g, place);
            y = y * static_cast<double>(scale[s]) + static_cast<double>(shift[s]);
          }
          to[at] = static_cast<T>(y);
        });
      });
    });
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[2] ? 3u : 1u, 6u}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: gradient, x, mean, 1 / std, scale?. Outputs: gradients of x, scale and shift.
struct NormalizeBackward final : Primitive {
  const char* name() const override { return "normalize_groups_backward"; }
  void run(Run& run) const override {
    const Array &grad = *run.in[0], &x = *run.in[1];
    const Form form(run.attributes);
    const Layout layout = form.layout(x);
    run.out[0] = Array::empty(x.sizes, x.dtype);
    run.n_outputs = 1;
    by_dtype(x.dtype, [&]<typename T>() {
      const T *g = grad.as<T>(), *from = x.as<T>();
      const double *means = run.in[2]->template as<double>(), *rstds = run.in[3]->template as<double>();
      const T* scale = form.scaled ? run.in[4]->template as<T>() : nullptr;
      T* to = run.out[0].template as<T>();
      const auto count = static_cast<double>(layout.count());
      each_group(layout, [&](int64_t k) {
        const double mean = means[k], rstd = rstds[k];
        auto scaled = [&](int64_t at, int64_t place) {
          return static_cast<double>(g[at]) *
                 (scale ? static_cast<double>(scale[form.scale_at(k, place)]) : 1.0);
        };
        double sum = 0.0, along = 0.0;
        if (!form.given) {
          sum = sum_over(layout, k, scaled) / count;
          along = sum_over(layout, k,
                           [&](int64_t at, int64_t place) {
                             return scaled(at, place) * (static_cast<double>(from[at]) - mean) * rstd;
                           }) /
                  count;
        }
        each_element(layout, k, [&](int64_t at, int64_t place) {
          const double normal = (static_cast<double>(from[at]) - mean) * rstd;
          to[at] = static_cast<T>(rstd * (scaled(at, place) - sum - normal * along));
        });
      });
      if (form.scaled) scale_gradients<T>(run, form, layout, g, from, means, rstds);
    });
  }

  // Sums over batch and positions for channels, over rows for layer_norm: one column per scale, rows in
  // order.
  template <typename T>
  static void scale_gradients(Run& run, const Form& form, const Layout& layout, const T* g, const T* from,
                              const double* means, const double* rstds) {
    const int64_t n = form.channels ? layout.groups : layout.run;
    for (int k = 1; k < 3; ++k) run.out[k] = Array::empty(run.in[4]->sizes, run.in[1]->dtype);
    run.n_outputs = 3;
    T *d_scale = run.out[1].template as<T>(), *d_shift = run.out[2].template as<T>();
    const Layout sums = form.channels ? layout : Layout{n, 1, layout.groups, 1, layout.run};
    each_group(sums, [&](int64_t s) {
      auto group = [&](int64_t at) { return form.channels ? s : at / layout.run; };
      d_scale[s] = static_cast<T>(sum_over(sums, s, [&](int64_t at, int64_t) {
        return static_cast<double>(g[at]) * (static_cast<double>(from[at]) - means[group(at)]) *
               rstds[group(at)];
      }));
      d_shift[s] =
          static_cast<T>(sum_over(sums, s, [&](int64_t at, int64_t) { return static_cast<double>(g[at]); }));
    });
  }
  // Recorded passes are composed of ops instead (Normalize::vjp).
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

const Normalize kNormalize;
const NormalizeBackward kNormalizeBackward;

Input number(double value) { return Input(Scalar::of(value)); }

// The gradient as ops, for passes that are recorded themselves.
void composed_vjp(Vjp& vjp, const Form& form) {
  TensorRef x = vjp.input(0), grad = vjp.grad();
  const Layout layout = form.layout(*x);
  Dims axes, over;  // axes of a group; axes that share a scale
  Dims per_scale(x->rank(), 1), per_group(x->rank(), 1);
  int64_t width = 1;
  int row_axes = 0;
  for (int d = x->rank() - 1; !form.channels && width < form.width && d >= 0; --d)
    width *= x->sizes[d], ++row_axes;
  for (int d = 0; d < x->rank(); ++d) {
    const bool in_group = form.channels ? d != 1 : d >= x->rank() - row_axes;
    if (in_group)
      axes.push_back(d);
    else
      per_group[d] = x->sizes[d];
    const bool shares = form.channels ? d != 1 : d < x->rank() - row_axes;
    if (shares)
      over.push_back(d);
    else
      per_scale[d] = x->sizes[d];
  }
  const auto count = static_cast<double>(layout.count());
  auto mean_of = [&](Tensor& t) { return ops::div(ops::sum(t, axes, true), number(count)); };
  TensorRef centred, rstd;
  if (form.given) {
    TensorRef mean = vjp.output(1), inverse = vjp.output(2);
    GradMode quiet(false);
    TensorRef shaped = ops::cast(*mean, x->dtype);
    rstd = ops::cast(*inverse, x->dtype);
    rstd = ops::reshape(*rstd, per_group);
    shaped = ops::reshape(*shaped, per_group);
    GradMode loud(true);
    centred = ops::sub(x, shaped);
  } else {
    centred = ops::sub(x, mean_of(*x));
    TensorRef var = mean_of(*unary(kSquare, *centred));
    rstd = unary(kRsqrt, *ops::add(var, number(form.eps)));
  }
  TensorRef normal = ops::mul(centred, rstd);
  TensorRef scaled = grad;
  if (form.scaled) {
    TensorRef scale = vjp.input(1);
    scaled = ops::mul(grad, ops::reshape(*scale, per_scale));
    auto per_scale_sum = [&](TensorRef t) {
      if (!over.empty()) t = ops::sum(*t, over, false);
      return ops::reshape(*t, scale->sizes);
    };
    if (vjp.needs(1)) vjp.set(1, per_scale_sum(ops::mul(grad, normal)));
    if (vjp.needs(2)) vjp.set(2, per_scale_sum(grad));
  }
  if (!vjp.needs(0)) return;
  if (form.given) {
    vjp.set(0, ops::mul(scaled, rstd));
    return;
  }
  TensorRef inner = ops::sub(scaled, mean_of(*scaled));
  inner = ops::sub(inner, ops::mul(normal, mean_of(*ops::mul(scaled, normal))));
  vjp.set(0, ops::mul(rstd, inner));
}

void Normalize::vjp(Vjp& vjp) const {
  if (!vjp.grad()) return;
  const Form form(vjp.attributes());
  if (modes.grad) return composed_vjp(vjp, form);
  TensorRef grad = ops::contiguous(*vjp.grad()), x = vjp.input(0), mean = vjp.output(1), rstd = vjp.output(2);
  TensorRef scale = form.scaled ? vjp.input(1) : TensorRef();
  std::vector<Tensor*> inputs = {grad.get(), x.get(), mean.get(), rstd.get()};
  if (scale) inputs.push_back(scale.get());
  Outputs out = apply(kNormalizeBackward, inputs, vjp.attributes());
  if (vjp.needs(0)) vjp.set(0, std::move(out.tensor[0]));
  if (form.scaled && vjp.needs(1)) vjp.set(1, std::move(out.tensor[1]));
  if (form.scaled && vjp.needs(2)) vjp.set(2, std::move(out.tensor[2]));
}

// --- arguments
// ------------------------------------------------------------------------------------------------------------

// Scale and shift as contiguous tensors of x's dtype; a missing one becomes ones or zeros when the other is
// there.
struct Affine {
  TensorRef scale, shift;

  Affine(Tensor* weight, Tensor* bias, const Dims& sizes, DType dtype, const char* op) {
    if (!weight && !bias) return;
    scale = prepare(weight, sizes, dtype, 1, op, "weight");
    shift = prepare(bias, sizes, dtype, 0, op, "bias");
  }
  static TensorRef prepare(Tensor* given, const Dims& sizes, DType dtype, int64_t missing, const char* op,
                           const char* what) {
    if (!given) return ops::full(sizes, dtype, Scalar::of_int(missing));
    if (given->sizes != sizes)
      fail(ErrorKind::Shape, "[", op, "] expected ", what, " of shape ", sizes, ", got ", given->sizes);
    TensorRef tensor = ops::cast(*given, dtype);
    return ops::contiguous(*tensor);
  }
};

DType working_dtype(const Tensor& input, const char* op) {
  if (!is_floating(input.dtype))
    fail(ErrorKind::DType, "[", op, "] expected floating-point input, got ", name(input.dtype));
  return input.dtype == DType::Float64 ? DType::Float64 : DType::Float32;
}

// running = (1 - momentum) * running + momentum * fresh
void update_running(Tensor* running, const double* fresh, double momentum, double correction) {
  if (!running) return;
  begin_write(*running, "batch_norm");
  Array values = running->to_contiguous().to_dtype(DType::Float64);
  if (values.storage.get() == running->storage.get()) {
    Array copy = Array::empty(values.sizes, DType::Float64);
    copy_into(copy, values);
    values = copy;
  }
  for (int64_t c = 0; c < values.numel; ++c)
    values.as<double>()[c] = (1.0 - momentum) * values.as<double>()[c] + momentum * correction * fresh[c];
  copy_into(*running, values);
  bump_version(*running);
}

TensorRef moments_tensor(Tensor* running, int64_t channels, const char* what) {
  if (!running) fail(ErrorKind::Value, "[batch_norm] expected ", what, " in evaluation, got None");
  if (running->numel != channels)
    fail(ErrorKind::Shape, "[batch_norm] expected ", what, " of shape (", channels, ",), got ",
         running->sizes);
  GradMode quiet(false);
  TensorRef tensor = ops::cast(*running, DType::Float64);
  return ops::contiguous(*tensor);
}

// batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)
Result batch_norm(Args& args) {
  Tensor& input = args.tensor(0);
  const DType dtype = working_dtype(input, "batch_norm");
  if (input.rank() < 2)
    fail(ErrorKind::Shape, "[batch_norm] expected input of shape (N, C, ...), got ", input.sizes);
  const int64_t channels = input.sizes[1];
  const bool training = args.flag(5);
  Tensor *running_mean = args.optional_tensor(3), *running_var = args.optional_tensor(4);
  for (Tensor* running : {running_mean, running_var})
    if (running && running->numel != channels)
      fail(ErrorKind::Shape, "[batch_norm] expected running statistics of shape (", channels, ",), got ",
           running->sizes);
  TensorRef x = ops::cast(input, dtype);
  x = ops::contiguous(*x);
  Affine affine(args.optional_tensor(1), args.optional_tensor(2), Dims{channels}, dtype, "batch_norm");
  const Layout layout = channels_layout(*x);
  TensorRef mean, var;
  if (!training) {
    mean = moments_tensor(running_mean, channels, "running_mean");
    var = moments_tensor(running_var, channels, "running_var");
  } else if (layout.count() < 2) {
    fail(ErrorKind::Value,
         "[batch_norm] expected more than 1 value per channel when training, got input of shape ",
         input.sizes);
  }
  Attributes a;
  a.ints = Dims{1, 0, affine.scale ? 1 : 0, training ? 0 : 1};
  a.floats[0] = args.number(7);
  std::vector<Tensor*> inputs = {x.get()};
  if (affine.scale) inputs.insert(inputs.end(), {affine.scale.get(), affine.shift.get()});
  if (mean) inputs.insert(inputs.end(), {mean.get(), var.get()});
  Outputs out = apply(kNormalize, inputs, a);
  if (training && (running_mean || running_var)) {
    const auto count = static_cast<double>(layout.count());
    std::vector<double> fresh(channels);
    for (int64_t c = 0; c < channels; ++c) {
      const double rstd = out.tensor[2]->as<double>()[c];
      fresh[c] = 1.0 / (rstd * rstd) - a.floats[0];
    }
    update_running(running_mean, out.tensor[1]->as<double>(), args.number(6), 1.0);
    update_running(running_var, fresh.data(), args.number(6), count / (count - 1.0));
  }
  return Result(ops::cast(*out.tensor[0], input.dtype));
}

const Function kBatchNorm("batch_norm", batch_norm);

}  // namespace

}  // namespace versant
