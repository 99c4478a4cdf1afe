// Connectionist temporal classification (Graves et al. 2006): the likelihood of a sequence of labels, summed
// over all ways to stretch it over time with blanks between.
//
// The states are the labels with a blank before, between and after them: 2 S + 1. All sums are of float64 in
// the log domain; each sequence is computed by itself, so it does not depend on its batch.
#include <cmath>
#include <limits>

#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"

namespace versant {

namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

// One sequence of the batch. log_probs: (T, N, C) of which it is sequence n; log_alpha: (T, 2 S + 1), the log
// likelihood of all beginnings that end at a time in a state.
template <typename T>
class Sequence {
 public:
  // Inputs: log_probs (T, N, C), labels (N, S), lengths in time (N), lengths of labels (N). ints: blank.
  Sequence(std::span<const Array* const> in, const Attributes& a, int64_t n, double* log_alpha)
      : batch_(in[0]->sizes[1]),
        classes_(in[0]->sizes[2]),
        times_(in[2]->as<int64_t>()[n]),
        states_(2 * in[3]->as<int64_t>()[n] + 1),
        x_(in[0]->as<T>() + n * classes_),
        log_alpha_(log_alpha),
        class_of_(states_, a.ints[0]),
        skips_(states_, false),
        rows_(6 * states_) {
    const int64_t* labels = in[1]->as<int64_t>() + n * in[1]->sizes[1];
    for (int64_t s = 1; s < states_; s += 2) {
      class_of_[s] = labels[s / 2];
      skips_[s] = s > 1 && class_of_[s] != class_of_[s - 2];
    }
  }

  // The negative log likelihood; fills log_alpha.
  double forward() {
    if (times_ == 0) return states_ == 1 ? 0.0 : -kImpossible;
    double* row = log_alpha_;
    for (int64_t s = 0; s < states_; ++s) row[s] = s < 2 ? emitted(0, s) : kImpossible;
    for (int64_t t = 1; t < times_; ++t, row += states_) {
      double *stay = part(0), *step = part(1), *skip = part(2);
      for (int64_t s = 0; s < states_; ++s) {
        stay[s] = row[s];
        step[s] = s > 0 ? row[s - 1] : kImpossible;
        skip[s] = skips_[s] ? row[s - 2] : kImpossible;
      }
      double* next = row + states_;
      log_sum(next);
      for (int64_t s = 0; s < states_; ++s) next[s] += emitted(t, s);
    }
    return negative_log_likelihood();
  }

  // Of the log_alpha that forward filled.
  double negative_log_likelihood() const {
    if (times_ == 0) return states_ == 1 ? 0.0 : -kImpossible;
    const double* last = log_alpha_ + (times_ - 1) * states_;
    const double a = last[states_ - 1], b = states_ > 1 ? last[states_ - 2] : kImpossible;
    const double top = std::max(a, b);
    return top == kImpossible ? -kImpossible : -(top + std::log(std::exp(a - top) + std::exp(b - top)));
  }

  // By logits whose log_softmax log_probs are: probability minus the share of the paths that pass through
  // the class. to: (T, N, C), of zeros.
  void gradient(double loss, double scale, T* to) {
    const int64_t stride = batch_ * classes_;
    double *beta = part(4), *share = part(5);  // beta: the log likelihood of all endings after a time
    std::vector<double> shares(classes_), probabilities(classes_);
    for (int64_t s = 0; s < states_; ++s) beta[s] = s + 2 >= states_ ? 0.0 : kImpossible;
    const MicroKernel exp = kernels->micro_of(Micro::Exp, Compute::F64);
    for (int64_t t = times_ - 1; t >= 0; --t) {
      for (int64_t s = 0; s < states_; ++s) share[s] = log_alpha_[t * states_ + s] + beta[s] + loss;
      exp(share, share, nullptr, nullptr, states_);
      std::fill(shares.begin(), shares.end(), 0.0);
      for (int64_t s = 0; s < states_; ++s) shares[class_of_[s]] += share[s];
      const T* x = x_ + t * stride;
      for (int64_t c = 0; c < classes_; ++c) probabilities[c] = static_cast<double>(x[c]);
      exp(probabilities.data(), probabilities.data(), nullptr, nullptr, classes_);
      T* out = to + t * stride;
      for (int64_t c = 0; c < classes_; ++c) out[c] = static_cast<T>(scale * (probabilities[c] - shares[c]));
      if (t == 0) break;
      for (int64_t s = 0; s < states_; ++s) beta[s] += emitted(t, s);
      double *stay = part(0), *step = part(1), *skip = part(2);
      for (int64_t s = 0; s < states_; ++s) {
        stay[s] = beta[s];
        step[s] = s + 1 < states_ ? beta[s + 1] : kImpossible;
        skip[s] = s + 2 < states_ && skips_[s + 2] ? beta[s + 2] : kImpossible;
      }
      log_sum(beta);
    }
  }

  // The gradient where no path has any likelihood.
  void fill(double value, T* to) const {
    for (int64_t t = 0; t < times_; ++t)
      std::fill_n(to + t * batch_ * classes_, classes_, static_cast<T>(value));
  }

 private:
  double* part(int i) { return rows_.data() + i * states_; }
  double emitted(int64_t t, int64_t s) const {
    return static_cast<double>(x_[t * batch_ * classes_ + class_of_[s]]);
  }

  // log(exp(part 0) + exp(part 1) + exp(part 2))
  void log_sum(double* to) {
    const MicroKernel exp = kernels->micro_of(Micro::Exp, Compute::F64);
    const MicroKernel log = kernels->micro_of(Micro::Log, Compute::F64);
    double *a = part(0), *b = part(1), *c = part(2), *top = part(3);
    for (int64_t s = 0; s < states_; ++s) {
      const double largest = std::max(std::max(a[s], b[s]), c[s]);
      top[s] = largest == kImpossible ? 0.0 : largest;
      a[s] -= top[s];
      b[s] -= top[s];
      c[s] -= top[s];
    }
    exp(a, a, nullptr, nullptr, 3 * states_);
    for (int64_t s = 0; s < states_; ++s) a[s] += b[s] + c[s];
    log(a, a, nullptr, nullptr, states_);
    for (int64_t s = 0; s < states_; ++s) to[s] = a[s] + top[s];
  }

  int64_t batch_, classes_, times_, states_;
  const T* x_;
  double* log_alpha_;
  std::vector<int64_t> class_of_;
  std::vector<bool> skips_;  // whether a state is reached from the second one before it
  std::vector<double> rows_;
};

// Calls body.operator()<T>() for the dtype, and over the sequences `each(n)` of it.
template <typename Each>
void each_sequence(const Array& log_probs, int64_t states, Each&& each) {
  const int64_t times = log_probs.sizes[0], batch = log_probs.sizes[1];
  const int64_t work = 16 * times * states + times * log_probs.sizes[2];
  Unlocked unlocked(batch * work > 100000);
  parallel_for(batch, std::max<int64_t>(1, 20000 / std::max<int64_t>(work, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t n = begin; n < end; ++n) {
                   if (log_probs.dtype == DType::Float64)
                     each.template operator()<double>(n);
                   else
                     each.template operator()<float>(n);
                 }
               });
}

// Whether all values lie in [least, most].
bool within(const int64_t* values, int64_t count, int64_t least, int64_t most) {
  return std::all_of(values, values + count, [&](int64_t v) { return v >= least && v <= most; });
}

// Refuses lengths and classes that lead out of the arrays.
void check_labels(const Array& x, const Array& labels, const Array& input_lengths,
                  const Array& target_lengths) {
  const int64_t batch = x.sizes[1], most = labels.sizes[1], classes = x.sizes[2];
  if (!within(input_lengths.as<int64_t>(), batch, 0, x.sizes[0]))
    fail(ErrorKind::Runtime, "[ctc_loss] input_lengths must lie between 0 and ", x.sizes[0]);
  if (!within(target_lengths.as<int64_t>(), batch, 0, most))
    fail(ErrorKind::Runtime, "[ctc_loss] target_lengths must lie between 0 and ", most);
  for (int64_t n = 0; n < batch; ++n)
    if (!within(labels.as<int64_t>() + n * most, target_lengths.as<int64_t>()[n], 0, classes - 1))
      fail(ErrorKind::Index, "[ctc_loss] targets must be classes from 0 to ", classes - 1);
}

// What the loops below rely on, but for the values of labels and lengths.
bool admits_sequences(const Claim& c) {
  constexpr int64_t kMost = int64_t{1} << 31;  // of times and of labels, so that their product is a number
  const Array &x = *c.in[0], &labels = *c.in[1];
  if ((x.dtype != DType::Float32 && x.dtype != DType::Float64) || x.rank() != 3 || !x.contiguous ||
      labels.dtype != DType::Int64 || labels.rank() != 2 || !labels.contiguous)
    return false;
  const int64_t batch = x.sizes[1];
  return labels.sizes[0] == batch && c.is_row(2, batch, DType::Int64) && c.is_row(3, batch, DType::Int64) &&
         c.within(0, 0, x.sizes[2] - 1) && c.within(1, 0, 1) && x.sizes[0] < kMost &&
         labels.sizes[1] < kMost / 4;
}

// Inputs as of Sequence; ints: blank, whether an infinite loss counts as zero. Outputs: the losses (N,), and
// log_alpha (N, T, 2 S + 1).
struct CtcLoss final : Primitive {
  const char* name() const override { return "ctc_loss"; }
  bool admits(const Claim& c) const override { return c.counts(4, 2, 2) && admits_sequences(c); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    check_labels(x, *run.in[1], *run.in[2], *run.in[3]);
    const int64_t states = 2 * run.in[1]->sizes[1] + 1, size = x.sizes[0] * states;
    run.out[0] = Array::empty(Dims{x.sizes[1]}, x.dtype);
    run.out[1] = Array::empty(Dims{x.sizes[1], x.sizes[0], states}, DType::Float64);
    run.n_outputs = 2;
    double* log_alpha = run.out[1].as<double>();
    each_sequence(x, states, [&]<typename T>(int64_t n) {
      const double loss = Sequence<T>(run.in, run.attributes, n, log_alpha + n * size).forward();
      run.out[0].as<T>()[n] = static_cast<T>(std::isinf(loss) && run.attributes.ints[1] ? 0.0 : loss);
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {15u, 2u}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: those of CtcLoss, the gradient of the losses, log_alpha.
struct CtcLossBackward final : Primitive {
  const char* name() const override { return "ctc_loss_backward"; }
  bool admits(const Claim& c) const override {
    if (!c.counts(6, 1, 2) || !admits_sequences(c)) return false;
    const Array &x = *c.in[0], &log_alpha = *c.in[5];
    return c.is_row(4, x.sizes[1], x.dtype) && log_alpha.dtype == DType::Float64 && log_alpha.contiguous &&
           log_alpha.sizes == Dims{x.sizes[1], x.sizes[0], 2 * c.in[1]->sizes[1] + 1};
  }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes&) const override {
    check_labels(in[0], in[1], in[2], in[3]);
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const int64_t states = 2 * run.in[1]->sizes[1] + 1, size = x.sizes[0] * states;
    run.out[0] = Array::full(x.sizes, x.dtype, Scalar::of_int(0));
    each_sequence(x, states, [&]<typename T>(int64_t n) {
      double* log_alpha = const_cast<double*>(run.in[5]->template as<double>()) + n * size;
      Sequence<T> sequence(run.in, run.attributes, n, log_alpha);
      const double loss = sequence.negative_log_likelihood();
      T* to = run.out[0].template as<T>() + n * x.sizes[2];
      if (std::isinf(loss))
        sequence.fill(run.attributes.ints[1] ? 0.0 : std::numeric_limits<double>::quiet_NaN(), to);
      else
        sequence.gradient(loss, static_cast<double>(run.in[4]->template as<T>()[n]), to);
    });
  }
  void vjp(Vjp&) const override { fail(ErrorKind::NotImplemented, "[ctc_loss] has first derivatives only"); }
};

const CtcLoss kCtcLoss;
const CtcLossBackward kCtcLossBackward;

void CtcLoss::vjp(Vjp& vjp) const {
  if (!vjp.needs(0) || !vjp.grad()) return;
  TensorRef x = vjp.input(0), labels = vjp.input(1), times = vjp.input(2), lengths = vjp.input(3);
  TensorRef grad = ops::contiguous(*vjp.grad()), log_alpha = vjp.output(1);
  vjp.set(0, apply(kCtcLossBackward,
                   {x.get(), labels.get(), times.get(), lengths.get(), grad.get(), log_alpha.get()},
                   vjp.attributes()));
}

// ctc_loss.each(log_probs (T, N, C), targets (N, S), input_lengths (N), target_lengths (N), blank,
// zero_infinity)
const Function kCtcLossFunction("ctc_loss", [](Args& args) {
  Tensor& log_probs = args.tensor(0);
  const int64_t blank = args.integer(4);
  TensorRef of[3];
  for (int i = 0; i < 3; ++i) of[i] = ops::contiguous(*ops::cast(args.tensor(i + 1), DType::Int64));
  if (!is_floating(log_probs.dtype) || log_probs.rank() != 3 || of[0]->rank() != 2)
    fail(ErrorKind::Shape, "[ctc_loss] expected floating-point log_probs (T, N, C) and targets (N, S), got ",
         name(log_probs.dtype), " ", log_probs.sizes, " and ", of[0]->sizes);
  const int64_t batch = log_probs.sizes[1], classes = log_probs.sizes[2];
  if (of[0]->sizes[0] != batch || of[1]->sizes != Dims{batch} || of[2]->sizes != Dims{batch})
    fail(ErrorKind::Shape, "[ctc_loss] expected targets and lengths for each of the ", batch,
         " sequences, got shapes ", of[0]->sizes, ", ", of[1]->sizes, " and ", of[2]->sizes);
  if (blank < 0 || blank >= classes)
    fail(ErrorKind::Runtime, "[ctc_loss] blank must be one of the ", classes, " classes, got ", blank);
  TensorRef x = ops::cast(log_probs, log_probs.dtype == DType::Float64 ? DType::Float64 : DType::Float32);
  x = ops::contiguous(*x);
  Attributes a;
  a.ints = Dims{blank, args.flag(5) ? 1 : 0};
  TensorRef losses = apply(kCtcLoss, {x.get(), of[0].get(), of[1].get(), of[2].get()}, a).tensor[0];
  return Result(ops::cast(*losses, log_probs.dtype));
});

}  // namespace

}  // namespace versant
