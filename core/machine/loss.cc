// Classification losses: nll_loss and cross_entropy, each one pass forward and one backward over rows of
// classes.
#include <cmath>
#include <limits>

#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/loss.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/trace.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

using loss::kMean, loss::kNone, loss::kSum, loss::Reduction;

Reduction parse_reduction(std::string_view text, const char* op) {
  if (text == "mean") return kMean;
  if (text == "sum") return kSum;
  if (text == "none") return kNone;
  fail(ErrorKind::Value, "[", op, "] reduction must be 'none', 'mean' or 'sum', got '", text, "'");
}

constexpr int64_t kLanes = 8;  // partial sums of a row, by class index modulo this
constexpr int64_t kRowsWork = 32768;

template <typename T>
constexpr Compute kComputeOf = std::is_same_v<T, float> ? Compute::F32 : Compute::F64;

template <typename T>
class Lanes {
 public:
  void add(int64_t index, T value) { sums_[index % kLanes] += static_cast<double>(value); }
  double total() const {
    return ((sums_[0] + sums_[1]) + (sums_[2] + sums_[3])) + ((sums_[4] + sums_[5]) + (sums_[6] + sums_[7]));
  }

 private:
  double sums_[kLanes] = {};
};

// log(sum(exp(x))) of a row, in blocks.
template <typename T>
double log_sum_exp(const T* x, int64_t classes) {
  constexpr auto compute = static_cast<size_t>(kComputeOf<T>);
  constexpr int64_t kBlock = kReductionBlock;
  const auto rows = [&](versant::Reduction reduction, const T* numbers, int64_t n) {
    T result;
    kernels->reduce_rows[static_cast<size_t>(reduction)][compute]({&result, numbers, n, 1, n, nullptr, 0});
    return result;
  };
  T top = -std::numeric_limits<T>::infinity();
  for (int64_t at = 0; at < classes; at += kBlock) {
    const T larger = rows(versant::Reduction::Max, x + at, std::min(kBlock, classes - at));
    if (!(larger <= top)) top = larger;
    if (std::isnan(top)) return static_cast<double>(top);
  }
  if (std::isinf(top)) return static_cast<double>(top);
  double total = 0.0;
  T shifted[kBlock];
  for (int64_t at = 0; at < classes; at += kBlock) {
    const int64_t n = std::min(kBlock, classes - at);
    kernels->lines[static_cast<size_t>(LinesOp::ExpShifted)][compute](
        {shifted, x + at, nullptr, &top, nullptr, 1, n});
    total += static_cast<double>(rows(versant::Reduction::Sum, shifted, n));
  }
  return static_cast<double>(top) + std::log(total);
}

// The arguments of one loss. `weight` is null for all ones. Targets are classes, or (soft) a probability per
// class.
template <typename T>
struct Rows {
  int64_t rows, classes;
  const T* x;
  const int64_t* classes_of = nullptr;  // one per row ...
  const T* probabilities = nullptr;     // ... or rows of them
  const T* weight = nullptr;
  int64_t ignored;
  double smoothing;

  double weight_of(int64_t c) const { return weight ? static_cast<double>(weight[c]) : 1.0; }
  bool counts(int64_t r) const { return !classes_of || classes_of[r] != ignored; }
  // How much class c of row r is wanted: the loss of a row is sum(wanted * (lse - x)).
  double wanted(int64_t r, int64_t c) const {
    const double target =
        classes_of ? (classes_of[r] == c ? 1.0 : 0.0) : static_cast<double>(probabilities[r * classes + c]);
    return weight_of(c) * ((1.0 - smoothing) * target + smoothing / static_cast<double>(classes));
  }
  bool one_hot() const { return classes_of && smoothing == 0.0; }
};

// ints: reduction, ignored class, whether a weight is given; floats: label smoothing. Inputs: x (R, C),
// target, weight.
template <typename T>
Rows<T> rows_of(const Run& run) {
  const Array &x = *run.in[0], &target = *run.in[1];
  Rows<T> rows;
  rows.rows = x.sizes[0];
  rows.classes = x.sizes[1];
  rows.x = x.as<T>();
  if (target.dtype == DType::Int64)
    rows.classes_of = target.as<int64_t>();
  else
    rows.probabilities = target.as<T>();
  if (run.attributes.ints[2]) rows.weight = run.in[2]->template as<T>();
  rows.ignored = run.attributes.ints[1];
  rows.smoothing = run.attributes.floats[0];
  return rows;
}

template <typename Body>
void by_dtype(DType dtype, Body&& body) {
  if (dtype == DType::Float64)
    body.template operator()<double>();
  else
    body.template operator()<float>();
}

void check_classes(const Array& target, int64_t classes, int64_t ignored, const char* op) {
  for (int64_t r = 0; r < target.numel; ++r) {
    const int64_t c = target.as<int64_t>()[r];
    if (c != ignored && (c < 0 || c >= classes))
      fail(ErrorKind::Index, "[", op, "] target ", c, " is out of bounds for ", classes, " classes");
  }
}

// The sum of row losses, in row order; mean divides by `normaliser`.
template <typename T>
void reduce_rows(const Array& losses, double normaliser, int64_t reduction, Array& out) {
  double total = 0.0;
  for (int64_t r = 0; r < losses.numel; ++r) total += static_cast<double>(losses.as<T>()[r]);
  out = Array::empty(Dims{}, losses.dtype);
  *out.as<T>() = static_cast<T>(reduction == kMean ? total / normaliser : total);
}

// What a mean divides by: the weights of the targets' classes, or the number of rows for soft targets.
template <typename T>
double normaliser_of(const Rows<T>& rows) {
  if (!rows.classes_of) return static_cast<double>(rows.rows);
  double total = 0.0;
  for (int64_t r = 0; r < rows.rows; ++r)
    if (rows.counts(r)) total += rows.weight_of(rows.classes_of[r]);
  return total;
}

Array scalar_array(double value) {
  Array array = Array::empty(Dims{}, DType::Float64);
  *array.as<double>() = value;
  return array;
}

// The factor of row r in the gradient.
template <typename T>
double factor(const Array& grad, int64_t reduction, double normaliser, int64_t r) {
  const double g = static_cast<double>(grad.as<T>()[reduction == kNone ? r : 0]);
  return reduction == kMean ? g / normaliser : g;
}

// Whether input i of a saved program holds a class for each row.
bool is_classes(const Claim& c, size_t i, int64_t rows) {
  return c.in[i]->dtype == DType::Int64 && c.in[i]->numel == rows && c.in[i]->contiguous;
}

// Whether the claims of a saved program about rows of scores hold: x, target and perhaps a weight, and `more`
// inputs behind them.
bool admits_rows(const Claim& c, size_t outputs, size_t more, bool soft) {
  if (c.in.size() < 2 || c.out.size() != outputs || c.attributes.ints.size() != 3) return false;
  const Array &x = *c.in[0], &target = *c.in[1];
  const bool weighted = c.attributes.ints[2] != 0;
  if (c.in.size() != 2u + weighted + more || !c.within(0, 0, kSum) || x.rank() != 2 || x.sizes[1] < 1 ||
      !x.contiguous || (x.dtype != DType::Float32 && x.dtype != DType::Float64))
    return false;
  if (weighted && !c.is_row(2, x.sizes[1], x.dtype)) return false;
  return is_classes(c, 1, x.sizes[0]) || (soft && c.alike(0, 1) && target.contiguous);
}

// The gradient of a loss: one number, or one for each row.
bool is_factor(const Array& grad, const Attributes& a, int64_t rows) {
  return a.ints[0] == kNone ? grad.numel == rows && grad.contiguous : grad.numel == 1;
}

// The numbers of classes that a saved program reads are those of its scores.
void check_target(const Array& target, int64_t classes, const Attributes& a, const char* op) {
  if (target.dtype == DType::Int64) check_classes(target, classes, a.ints[1], op);
}

// --- nll_loss
// ---------------------------------------------------------------------------------------------------------

// Outputs: the loss, and what a mean divides by.
struct NllLoss final : Primitive {
  const char* name() const override { return "nll_loss"; }
  bool batch(Batch& b) const override { return loss::batched(*this, b); }
  bool admits(const Claim& c) const override { return admits_rows(c, 2, 0, false); }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    check_target(in[1], in[0].sizes[1], a, name());
  }
  void run(Run& run) const override {
    by_dtype(run.in[0]->dtype, [&]<typename T>() {
      const Rows<T> rows = rows_of<T>(run);
      Array losses = Array::empty(Dims{rows.rows}, run.in[0]->dtype);
      for (int64_t r = 0; r < rows.rows; ++r) {
        const int64_t c = rows.classes_of[r];
        losses.as<T>()[r] =
            rows.counts(r) ? static_cast<T>(-rows.weight_of(c) * rows.x[r * rows.classes + c]) : T(0);
      }
      const double normaliser = normaliser_of(rows);
      if (run.attributes.ints[0] == kNone)
        run.out[0] = losses;
      else
        reduce_rows<T>(losses, normaliser, run.attributes.ints[0], run.out[0]);
      run.out[1] = scalar_array(normaliser);
      run.n_outputs = 2;
    });
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[2] ? 6u : 2u, 2u}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: gradient of the loss, target, weight or nothing, normaliser. ints: as above, then the number of
// classes.
struct NllLossBackward final : Primitive {
  const char* name() const override { return "nll_loss_backward"; }
  bool admits(const Claim& c) const override {
    const bool weighted = c.attributes.ints.size() == 4 && c.attributes.ints[2] != 0;
    if (!c.counts(3u + weighted, 1, 4) || !c.within(0, 0, kSum) || !c.within(3, 1, INT32_MAX)) return false;
    const DType dtype = c.in[0]->dtype;
    if (dtype != DType::Float32 && dtype != DType::Float64) return false;
    const int64_t rows = c.in[1]->numel, classes = c.attributes.ints[3];
    const Array& normaliser = *c.in[c.in.size() - 1];
    return is_classes(c, 1, rows) && (!weighted || c.is_row(2, classes, dtype)) &&
           is_factor(*c.in[0], c.attributes, rows) && normaliser.numel == 1 &&
           normaliser.dtype == DType::Float64;
  }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    check_target(in[1], a.ints[3], a, name());
  }
  void run(Run& run) const override {
    const Array &grad = *run.in[0], &target = *run.in[1];
    const auto& ints = run.attributes.ints;
    by_dtype(grad.dtype, [&]<typename T>() {
      const T* weight = ints[2] ? run.in[2]->template as<T>() : nullptr;
      const double normaliser = *run.in[ints[2] ? 3 : 2]->template as<double>();
      run.out[0] = Array::full(Dims{target.numel, ints[3]}, grad.dtype, Scalar::of_int(0));
      for (int64_t r = 0; r < target.numel; ++r) {
        const int64_t c = target.as<int64_t>()[r];
        if (c == ints[1]) continue;
        const double w = weight ? static_cast<double>(weight[c]) : 1.0;
        run.out[0].template as<T>()[r * ints[3] + c] =
            static_cast<T>(-w * factor<T>(grad, ints[0], normaliser, r));
      }
    });
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[2] ? 6u : 2u, 0u}; }
  void vjp(Vjp& vjp) const override;
};

const NllLoss kNllLoss;
const NllLossBackward kNllLossBackward;

void NllLoss::vjp(Vjp& vjp) const {
  if (!vjp.needs(0) || !vjp.grad()) return;
  Attributes a = vjp.attributes();
  a.ints.push_back(vjp.input_sizes(0)[1]);
  TensorRef grad = ops::contiguous(*vjp.grad()), target = vjp.input(1), normaliser = vjp.output(1);
  if (a.ints[2]) {
    TensorRef weight = vjp.input(2);
    vjp.set(0, apply(kNllLossBackward, {grad.get(), target.get(), weight.get(), normaliser.get()}, a));
  } else {
    vjp.set(0, apply(kNllLossBackward, {grad.get(), target.get(), normaliser.get()}, a));
  }
}

// Linear in the gradient of the loss: its own gradient is the loss again, of the gradient that arrives.
void NllLossBackward::vjp(Vjp& vjp) const {
  if (!vjp.needs(0)) return;
  Attributes a = vjp.attributes();
  a.ints.resize(3);
  TensorRef grad = ops::contiguous(*vjp.grad()), target = vjp.input(1);
  if (a.ints[2]) {
    TensorRef weight = vjp.input(2);
    vjp.set(0, apply(kNllLoss, {grad.get(), target.get(), weight.get()}, a));
  } else {
    vjp.set(0, apply(kNllLoss, {grad.get(), target.get()}, a));
  }
}

// --- cross_entropy
// ------------------------------------------------------------------------------------------------------

// Outputs: the loss, log(sum(exp(x))) of each row in float64, and what a mean divides by.
struct CrossEntropy final : Primitive {
  const char* name() const override { return "cross_entropy"; }
  bool batch(Batch& b) const override { return loss::batched(*this, b); }
  bool admits(const Claim& c) const override { return admits_rows(c, 3, 0, true); }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    check_target(in[1], in[0].sizes[1], a, name());
  }
  void run(Run& run) const override {
    by_dtype(run.in[0]->dtype, [&]<typename T>() {
      const Rows<T> rows = rows_of<T>(run);
      Array losses = Array::empty(Dims{rows.rows}, run.in[0]->dtype);
      run.out[1] = Array::empty(Dims{rows.rows}, DType::Float64);
      T* loss = losses.as<T>();
      double* lse = run.out[1].as<double>();
      {
        Unlocked unlocked(rows.rows * rows.classes > 8 * kRowsWork);
        parallel_for(rows.rows, std::max<int64_t>(1, kRowsWork / (4 * rows.classes)),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t r = begin; r < end; ++r) {
                         lse[r] = log_sum_exp(rows.x + r * rows.classes, rows.classes);
                         loss[r] = static_cast<T>(row_loss(rows, r, lse[r]));
                       }
                     });
      }
      const double normaliser = normaliser_of(rows);
      if (run.attributes.ints[0] == kNone)
        run.out[0] = losses;
      else
        reduce_rows<T>(losses, normaliser, run.attributes.ints[0], run.out[0]);
      run.out[2] = scalar_array(normaliser);
      run.n_outputs = 3;
    });
  }
  template <typename T>
  static double row_loss(const Rows<T>& rows, int64_t r, double lse) {
    const T* x = rows.x + r * rows.classes;
    if (!rows.counts(r)) return 0.0;
    if (rows.one_hot()) {
      const int64_t c = rows.classes_of[r];
      return rows.weight_of(c) * (lse - static_cast<double>(x[c]));
    }
    Lanes<double> lanes;
    for (int64_t c = 0; c < rows.classes; ++c) {
      const double q = rows.wanted(r, c);
      lanes.add(c, q == 0.0 ? 0.0 : q * (lse - static_cast<double>(x[c])));
    }
    return lanes.total();
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[2] ? 7u : 3u, 6u}; }
  void vjp(Vjp& vjp) const override;
};

// d loss / dx = factor * (sum(wanted) * softmax(x) - wanted). Inputs: as CrossEntropy, then the gradient of
// the loss, the rows' log-sum-exp and the normaliser.
struct CrossEntropyBackward final : Primitive {
  const char* name() const override { return "cross_entropy_backward"; }
  bool admits(const Claim& c) const override {
    if (!admits_rows(c, 1, 3, true)) return false;
    const size_t more = c.in.size() - 3;
    const int64_t rows = c.in[0]->sizes[0];
    return c.in[more]->dtype == c.in[0]->dtype && is_factor(*c.in[more], c.attributes, rows) &&
           c.is_row(more + 1, rows, DType::Float64) && c.in[more + 2]->numel == 1 &&
           c.in[more + 2]->dtype == DType::Float64;
  }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    check_target(in[1], in[0].sizes[1], a, name());
  }
  void run(Run& run) const override {
    by_dtype(run.in[0]->dtype, [&]<typename T>() {
      const Rows<T> rows = rows_of<T>(run);
      const size_t more = run.attributes.ints[2] ? 3 : 2;
      const Array& grad = *run.in[more];
      const double* lse = run.in[more + 1]->template as<double>();
      const double normaliser = *run.in[more + 2]->template as<double>();
      run.out[0] = Array::empty(run.in[0]->sizes, run.in[0]->dtype);
      T* out = run.out[0].template as<T>();
      const LinesKernel exp_scaled =
          kernels->lines[static_cast<size_t>(LinesOp::ExpScaled)][static_cast<size_t>(kComputeOf<T>)];
      Unlocked unlocked(rows.rows * rows.classes > 8 * kRowsWork);
      parallel_for(rows.rows, std::max<int64_t>(1, kRowsWork / (4 * rows.classes)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t r = begin; r < end; ++r) {
                       const T* x = rows.x + r * rows.classes;
                       T* to = out + r * rows.classes;
                       const double scale = factor<T>(grad, run.attributes.ints[0], normaliser, r);
                       if (!rows.counts(r)) {
                         std::fill_n(to, rows.classes, T(0));
                         continue;
                       }
                       double mass = 0.0;
                       if (rows.one_hot())
                         mass = rows.weight_of(rows.classes_of[r]);
                       else
                         for (int64_t c = 0; c < rows.classes; ++c) mass += rows.wanted(r, c);
                       const T shift = static_cast<T>(lse[r]), all = static_cast<T>(scale * mass);
                       exp_scaled({to, x, nullptr, &shift, &all, 1, rows.classes});
                       if (rows.one_hot())
                         to[rows.classes_of[r]] -= all;
                       else
                         for (int64_t c = 0; c < rows.classes; ++c)
                           to[c] -= static_cast<T>(scale * rows.wanted(r, c));
                     }
                   });
    });
  }
  // Recorded passes are composed of ops instead (CrossEntropy::vjp).
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

const CrossEntropy kCrossEntropy;
const CrossEntropyBackward kCrossEntropyBackward;

// Rows of how much each class is wanted, without a gradient. Inputs: x, target, weight if there is one.
struct Wanted final : Primitive {
  const char* name() const override { return "cross_entropy_wanted"; }
  bool batch(Batch& b) const override {
    if (b.has(2)) return false;
    const bool soft = b.held(1).dtype != DType::Int64;
    const TensorRef x = b.folded(0), target = soft ? b.folded(1) : ops::reshape(b.whole(1), Dims{-1});
    std::vector<Tensor*> inputs = {x.get(), target.get()};
    if (b.count() > 2) inputs.push_back(&b.held(2));
    b.set(0, b.unfolded(*apply(*this, inputs, b.attributes()).tensor[0]));
    return true;
  }
  bool admits(const Claim& c) const override { return admits_rows(c, 1, 0, true); }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    check_target(in[1], in[0].sizes[1], a, name());
  }
  void run(Run& run) const override {
    run.out[0] = Array::empty(run.in[0]->sizes, run.in[0]->dtype);
    by_dtype(run.in[0]->dtype, [&]<typename T>() {
      const Rows<T> rows = rows_of<T>(run);
      for (int64_t r = 0; r < rows.rows; ++r)
        for (int64_t c = 0; c < rows.classes; ++c)
          run.out[0].as<T>()[r * rows.classes + c] =
              rows.counts(r) ? static_cast<T>(rows.wanted(r, c)) : T(0);
    });
  }
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

const Wanted kWanted;

TensorRef wanted_tensor(const Attributes& a, Tensor& x, Tensor& target, Tensor* weight) {
  std::vector<Tensor*> in = {&x, &target};
  if (weight) in.push_back(weight);
  return apply(kWanted, in, a);
}

void CrossEntropy::vjp(Vjp& vjp) const {
  if (!vjp.needs(0) || !vjp.grad()) return;
  const Attributes& a = vjp.attributes();
  TensorRef x = vjp.input(0), target = vjp.input(1), weight = a.ints[2] ? vjp.input(2) : TensorRef();
  TensorRef lse = vjp.output(1), normaliser = vjp.output(2);
  if (!modes.composes()) {
    TensorRef grad = ops::contiguous(*vjp.grad());
    std::vector<Tensor*> inputs = {x.get(), target.get()};
    if (weight) inputs.push_back(weight.get());
    inputs.insert(inputs.end(), {grad.get(), lse.get(), normaliser.get()});
    vjp.set(0, apply(kCrossEntropyBackward, inputs, a));
    return;
  }
  TensorRef wanted = wanted_tensor(a, *x, *target, weight.get());
  TensorRef mass = ops::sum(*wanted, Dims{1}, true);
  TensorRef grad = vjp.grad();
  if (a.ints[0] == kNone) grad = ops::unsqueeze(*grad, 1);
  if (a.ints[0] == kMean) {
    const DType dtype = grad->dtype, wide = dtype == DType::Float64 ? dtype : DType::Float32;
    TensorRef by = ops::cast(*normaliser, wide), share = ops::div(*grad, *by);
    grad = ops::cast(*share, dtype);
  }
  TensorRef soft = ops::softmax(*x, 1);
  vjp.set(0, ops::mul(grad, ops::sub(ops::mul(mass, soft), wanted)));
}

// --- arguments
// ------------------------------------------------------------------------------------------------------------

// x with its classes last, as rows: (N, C), (C,) and (N, C, d1, ...) become (R, C).
TensorRef as_rows(Tensor& x) {
  if (x.rank() == 1) return ops::unsqueeze(x, 0);
  TensorRef moved(&x);
  if (x.rank() > 2) {
    Dims axes{0};
    for (int d = 2; d < x.rank(); ++d) axes.push_back(d);
    axes.push_back(1);
    moved = ops::permute(x, axes);
  }
  return moved->rank() == 2 ? moved : ops::reshape(*moved, Dims{-1, x.sizes[1]});
}

// Soft targets that want a gradient of their own: the loss as ops over both.
TensorRef composed_soft_loss(Tensor& x, Tensor& target, Tensor* weight, Reduction reduction,
                             double smoothing) {
  const auto number = [](double value) { return Input(Scalar::of(value)); };
  TensorRef log_probs = ops::log_softmax(x, 1);
  TensorRef wanted = ops::mul(target, number(1.0 - smoothing));
  wanted = ops::add(wanted, number(smoothing / static_cast<double>(x.sizes[1])));
  if (weight) wanted = ops::mul(wanted, *weight);
  TensorRef loss = ops::neg(ops::sum(*ops::mul(wanted, log_probs), Dims{1}, false));
  if (reduction == kNone) return loss;
  loss = ops::sum(*loss, Dims{}, false);
  return reduction == kSum ? loss : ops::div(loss, number(static_cast<double>(x.sizes[0])));
}

Result classification_loss(Args& args, bool fused) {
  // nll_loss(input, target, weight, ignore_index, reduction)
  // cross_entropy(input, target, weight, reduction, ignore_index, label_smoothing)
  const char* op = fused ? "cross_entropy" : "nll_loss";
  Tensor& input = args.tensor(0);
  Tensor& target = args.tensor(1);
  Tensor* weight = args.optional_tensor(2);
  const Reduction reduction = parse_reduction(args.text(fused ? 3 : 4), op);
  const int64_t ignored = args.integer(fused ? 4 : 3);
  const double smoothing = fused ? args.number(5) : 0.0;
  if (input.rank() == 0)
    fail(ErrorKind::Shape, "[", op, "] expected input of shape (N, C), got a 0-d tensor");
  if (!is_floating(input.dtype))
    fail(ErrorKind::DType, "[", op, "] expected floating-point input, got ", name(input.dtype));
  if (smoothing < 0.0 || smoothing > 1.0)
    fail(ErrorKind::Runtime, "[", op, "] label_smoothing must be between 0 and 1, got ", smoothing);
  const int64_t classes = input.sizes[input.rank() == 1 ? 0 : 1];
  const bool soft = is_floating(target.dtype);
  if (soft && !fused)
    fail(ErrorKind::DType, "[nll_loss] expected target classes of an integer dtype, got ",
         name(target.dtype));
  Dims expected = input.sizes;
  if (!soft) expected.erase(input.rank() == 1 ? 0 : 1);
  if (target.sizes != expected)
    fail(ErrorKind::Shape, "[", op, "] expected target of shape ", expected, " for input of shape ",
         input.sizes, ", got ", target.sizes);
  if (weight && weight->sizes != Dims{classes})
    fail(ErrorKind::Shape, "[", op, "] weight must have one element for each of the ", classes,
         " classes, got shape ", weight->sizes);

  const DType dtype = input.dtype == DType::Float64 ? DType::Float64 : DType::Float32;
  TensorRef x = ops::cast(input, dtype);
  x = as_rows(*x);
  x = ops::contiguous(*x);
  TensorRef rows_target;
  {
    GradMode quiet(false);
    if (soft) {
      rows_target = ops::cast(target, dtype);
      rows_target = as_rows(*rows_target);
      rows_target = ops::contiguous(*rows_target);
    } else {
      rows_target = ops::cast(target, DType::Int64);
      rows_target = ops::contiguous(*rows_target);
      trace::reach({&target, rows_target.get()});
      const Array* const read[] = {rows_target.get()};
      trace::perform("check_classes", read, {}, [classes, ignored, op](std::span<const Array> arrays) {
        check_classes(arrays[0], classes, ignored, op);
      });
    }
  }
  TensorRef row_weight;
  if (weight) {
    GradMode quiet(false);
    row_weight = ops::cast(*weight, dtype);
    row_weight = ops::contiguous(*row_weight);
  }
  TensorRef loss;
  if (soft && ((modes.grad && needs_grad(target)) || target.wrapped)) {
    TensorRef probabilities = ops::cast(target, dtype);
    loss = composed_soft_loss(*x, *as_rows(*probabilities), row_weight.get(), reduction, smoothing);
  } else {
    Attributes a;
    a.ints = Dims{reduction, ignored, weight ? 1 : 0};
    a.floats[0] = smoothing;
    std::vector<Tensor*> inputs = {x.get(), rows_target.get()};
    if (weight) inputs.push_back(row_weight.get());
    loss = fused ? apply(kCrossEntropy, inputs, a).tensor[0] : apply(kNllLoss, inputs, a).tensor[0];
  }
  if (reduction == kNone) {
    Dims sizes = input.sizes;
    sizes.erase(input.rank() == 1 ? 0 : 1);
    loss = ops::reshape(*loss, sizes);
  }
  return Result(ops::cast(*loss, input.dtype));
}

const Function kNllLossFunction("nll_loss", [](Args& args) { return classification_loss(args, false); });
const Function kCrossEntropyFunction("cross_entropy",
                                     [](Args& args) { return classification_loss(args, true); });

}  // namespace

}  // namespace versant
