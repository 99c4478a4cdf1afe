// batch_norm: one pass over memory for the sums and one for the values, forward and backward, for channels in
// any place.
//
// Note [Sums over positions]
// The positions of a sample are cut into blocks, a block is summed in the compute type over a few lanes by
// position, and the blocks' sums are added in float64: in order within each of a number of stretches that the
// shape alone decides, then over the stretches. So neither threads nor the place of the channels in memory
// reach a bit.
//
// Moments are sums of distances from a value near the mean (the mean of the first block), which is exact
// where they lie far from zero. Means are kept as two numbers of the compute type for the same reason.
#include <cmath>
#include <vector>

#include "machine/batch_norm_statistics.h"
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/norm_moments.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/tiles.h"
#include "machine/trace.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

constexpr int64_t kBlock = 1024;          // positions
constexpr int64_t kStretches = 32;        // at most
constexpr int64_t kPiece = 16384;         // elements that a kernel is given at once
constexpr int64_t kParallelWork = 16384;  // elements worth a second thread
constexpr int64_t kUnlockWork = 100000;

// Where the elements of an array (N, C, ...) lie: contiguous, or rows of channels.
struct Place {
  explicit Place(const Array& x) : batch(x.sizes[0]), channels(x.sizes[1]) {
    for (int d = 2; d < x.rank(); ++d) positions *= x.sizes[d];
    last = !x.contiguous && rows_of_channels(x);
  }
  static bool rows_of_channels(const Array& x) {
    int64_t expected = x.sizes[1];
    if (x.sizes[1] != 1 && x.strides[1] != 1) return false;
    for (int d = x.rank() - 1; d >= 0; --d) {
      if (d == 1) continue;
      if (x.sizes[d] != 1 && x.strides[d] != expected) return false;
      expected *= x.sizes[d];
    }
    return true;
  }
  int64_t count() const { return batch * positions; }  // of one channel
  int64_t blocks() const { return (positions + kBlock - 1) / kBlock; }
  int64_t batch, channels, positions = 1;
  bool last = false;
};

// x itself where its elements lie in one of the two ways, else a contiguous copy.
Array placed(const Array& x) { return x.contiguous || Place::rows_of_channels(x) ? x : x.to_contiguous(); }
// The same elements where those of `like` lie.
Array placed_like(const Array& x, const Array& like) {
  if (x.strides == like.strides || (x.contiguous && like.contiguous)) return x;
  Array copy = Array::empty_like_layout(like, x.dtype);
  copy_into(copy, x);
  return copy;
}

// Elements as numbers of the compute type: in place, or by way of a thread's own memory.
class Elements {
 public:
  Elements(const Array& x, Compute compute)
      : data_(x.as<char>()),
        item_(itemsize(x.dtype)),
        direct_(x.dtype == stored_dtype(compute)),
        load_(kernels->load_of(x.dtype, compute)),
        store_(kernels->store_of(x.dtype, compute)) {}
  const void* read(int64_t at, int64_t n, void* room) const {
    if (direct_) return data_ + at * item_;
    load_(room, data_ + at * item_, 1, n);
    return room;
  }
  void* place(int64_t at, void* room) const { return direct_ ? data_ + at * item_ : room; }
  void write(int64_t at, int64_t n, const void* from) const {
    if (!direct_) store_(data_ + at * item_, 1, from, n);
  }

 private:
  char* data_;
  int64_t item_;
  bool direct_;
  LoadKernel load_;
  StoreKernel store_;
};

// One number for each channel, in the compute type.
template <typename T>
struct PerChannel {
  explicit PerChannel(int64_t channels) : values(static_cast<size_t>(channels)) {}
  T& operator[](int64_t c) { return values[static_cast<size_t>(c)]; }
  const T* at(int64_t c) const { return values.data() + c; }
  std::vector<T> values;
};

// The centre of each channel as two numbers, and up to three factors.
template <typename T>
struct Factors {
  explicit Factors(int64_t channels) : high(channels), low(channels), a(channels), b(channels), c(channels) {}
  void centre(int64_t channel, double mean) {
    high[channel] = static_cast<T>(mean);
    low[channel] = static_cast<T>(mean - static_cast<double>(high[channel]));
  }
  void point(ChannelJob& job, int64_t channel) const {
    job.high = high.at(channel);
    job.low = low.at(channel);
    job.a = a.at(channel);
    job.b = b.at(channel);
    job.c = c.at(channel);
  }
  PerChannel<T> high, low, a, b, c;
};

// Two sums for each channel.
struct Sums {
  explicit Sums(int64_t channels)
      : first(static_cast<size_t>(channels)), second(static_cast<size_t>(channels)) {}
  std::vector<double> first, second;
};

template <typename T>
class Work {
 public:
  Work(const Place& place, const Array& x, const Array* grad)
      : place_(place),
        x_(x, kCompute),
        grad_(grad ? std::optional<Elements>(std::in_place, *grad, kCompute) : std::nullopt),
        kernels_(kernels->channels[static_cast<int>(kCompute)]),
        width_(place.last ? place.channels : 1),
        rows_(std::max<int64_t>(kChannelLanes, kPiece / width_ / kChannelLanes * kChannelLanes)) {}

  // The sums over all positions, or over those of the first block.
  Sums sums(const ChannelKernel (&kernel)[2], const Factors<T>& factors, bool first_block = false) const {
    Sums total(place_.channels);
    const int64_t units = first_block ? 1 : place_.batch * place_.blocks();
    const int64_t stretches = std::min(kStretches, units);
    const auto begin_of = [&](int64_t s) { return s * units / stretches; };
    const int64_t n = place_.channels;
    if (place_.last) {
      std::vector<double> partial(static_cast<size_t>(2 * stretches * n));
      const int64_t each = units / std::max<int64_t>(stretches, 1) * std::min(place_.positions, kBlock) * n;
      parallel_for(stretches, grain(each), [&](int64_t begin, int64_t end) {
        Room room(*this);
        for (int64_t s = begin; s < end; ++s)
          for (int64_t u = begin_of(s); u < begin_of(s + 1); ++u)
            add_block(kernel[1], factors, u, 0, room, partial.data() + 2 * s * n);
      });
      for (int64_t s = 0; s < stretches; ++s) {
        for (int64_t c = 0; c < n; ++c) {
          total.first[static_cast<size_t>(c)] += partial[static_cast<size_t>(2 * s * n + c)];
          total.second[static_cast<size_t>(c)] += partial[static_cast<size_t>((2 * s + 1) * n + c)];
        }
      }
      return total;
    }
    parallel_for(n, grain(first_block ? kBlock : place_.count()), [&](int64_t begin, int64_t end) {
      Room room(*this);
      for (int64_t c = begin; c < end; ++c) {
        for (int64_t s = 0; s < stretches; ++s) {
          double partial[2] = {};
          for (int64_t u = begin_of(s); u < begin_of(s + 1); ++u)
            add_block(kernel[0], factors, u, c, room, partial);
          total.first[static_cast<size_t>(c)] += partial[0];
          total.second[static_cast<size_t>(c)] += partial[1];
        }
      }
    });
    return total;
  }

  // y = kernel(x, gradient) everywhere.
  void map(const ChannelKernel (&kernel)[2], const Factors<T>& factors, const Array& y,
           Follower* follower = nullptr) const {
    const Elements to(y, kCompute);
    const int64_t planes = place_.last ? 1 : place_.batch * place_.channels;
    const int64_t count = place_.last ? place_.count() : place_.positions;  // positions of a plane
    const int64_t pieces = (count + rows_ - 1) / rows_;
    parallel_for(planes * pieces, grain(std::min(count, rows_) * width_), [&](int64_t begin, int64_t end) {
      Room room(*this);
      for (int64_t piece = begin; piece < end; ++piece) {
        const int64_t plane = piece / pieces, row = piece % pieces * rows_;
        ChannelJob job;
        job.count = std::min(rows_, count - row);
        job.channels = width_;
        factors.point(job, place_.last ? 0 : plane % place_.channels);
        const int64_t at = (plane * count + row) * width_, n = job.count * width_;
        job.x = x_.read(at, n, room.x());
        if (grad_) job.grad = grad_->read(at, n, room.grad());
        job.y = to.place(at, room.x());
        kernel[place_.last](job);
        to.write(at, n, job.y);
        if (follower) follower->follow(at, at + n);
      }
    });
  }

  const ChannelKernels& kernels_of() const { return kernels_; }

 private:
  static constexpr Compute kCompute = sizeof(T) == 4 ? Compute::F32 : Compute::F64;

  // A thread's own memory: the lanes of sums, and converted elements.
  class Room {
   public:
    explicit Room(const Work& work)
        : width_(work.width_),
          lanes_(static_cast<size_t>(2 * kChannelLanes * width_)),
          converted_(static_cast<size_t>(2 * work.rows_ * width_ + 64)) {}
    void* x() { return converted_.data(); }
    void* grad() { return converted_.data() + converted_.size() / 2; }
    T* lanes() { return lanes_.data(); }
    void clear() { std::fill(lanes_.begin(), lanes_.end(), T(0)); }
    // The sum over the lanes of channel c; k: 0 the first sums, 1 the second.
    double fold(int k, int64_t c) const {
      const T* const p = lanes_.data() + k * kChannelLanes * width_ + c;
      const auto lane = [&](int l) { return p[l * width_]; };
      return static_cast<double>(((lane(0) + lane(4)) + (lane(2) + lane(6))) +
                                 ((lane(1) + lane(5)) + (lane(3) + lane(7))));
    }

   private:
    int64_t width_;
    std::vector<T> lanes_, converted_;
  };

  // Adds block u of the positions, of channel c or of all, to sums[0 .. width) and the width after it.
  void add_block(ChannelKernel kernel, const Factors<T>& factors, int64_t u, int64_t c, Room& room,
                 double* sums) const {
    const int64_t sample = u / place_.blocks(), from = u % place_.blocks() * kBlock;
    const int64_t to = std::min(place_.positions, from + kBlock);
    room.clear();
    ChannelJob job;
    job.channels = width_;
    factors.point(job, c);
    job.first = room.lanes();
    job.second = room.lanes() + kChannelLanes * width_;
    for (int64_t row = from; row < to; row += rows_) {
      job.count = std::min(rows_, to - row);
      const int64_t at = place_.last ? (sample * place_.positions + row) * width_
                                     : (sample * place_.channels + c) * place_.positions + row;
      job.x = x_.read(at, job.count * width_, room.x());
      if (grad_) job.grad = grad_->read(at, job.count * width_, room.grad());
      kernel(job);
    }
    for (int64_t k = 0; k < width_; ++k) {
      sums[k] += room.fold(0, k);
      sums[width_ + k] += room.fold(1, k);
    }
  }

  static int64_t grain(int64_t elements) {
    return std::max<int64_t>(1, kParallelWork / std::max<int64_t>(elements, 1));
  }

  Place place_;
  Elements x_;
  std::optional<Elements> grad_;
  const ChannelKernels& kernels_;
  int64_t width_, rows_;
};

template <typename Body>
void by_compute(DType dtype, Body&& body) {
  if (compute_of(dtype) == Compute::F64)
    body.template operator()<double>();
  else
    body.template operator()<float>();
}

const NamedOp kSquare("square"), kRsqrt("rsqrt");
TensorRef unary(const NamedOp& op, Tensor& x) {
  const Input inputs[] = {Input(x)};
  return apply(*op, inputs);
}

// ints: whether scale and shift are given, whether moments are (norm_moments.h). floats: eps.
struct Form {
  explicit Form(const Attributes& a)
      : scaled(a.ints[0] != 0),
        given(a.ints[1] != kOwnMoments),
        inverted(a.ints[1] == kGivenInverse),
        eps(a.floats[0]) {}
  bool scaled, given, inverted;
  double eps;
};

// Inputs: x, scale and shift?, mean and variance? (float64). Outputs: y, mean and 1 / sqrt(var + eps).
struct NormalizeChannels final : Primitive {
  const char* name() const override { return "normalize_channels"; }
  bool leads() const override { return true; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override {
    if (c.in.empty() || c.out.size() != 3 || c.attributes.ints.size() != 2) return false;
    const Form form(c.attributes);
    const Array& x = *c.in[0];
    if (x.rank() < 2 || !is_floating(x.dtype) || c.in.size() != 1 + 2 * form.scaled + 2u * form.given)
      return false;
    const DType scale = stored_dtype(compute_of(x.dtype));
    for (size_t i = 1; i < c.in.size(); ++i)
      if (!c.is_row(i, x.sizes[1], form.scaled && i < 3 ? scale : DType::Float64)) return false;
    return true;
  }
  void run(Run& run) const override {
    const Array x = placed(*run.in[0]);
    const Form form(run.attributes);
    const Place place(x);
    const int64_t channels = place.channels;
    run.n_outputs = 3;
    run.out[0] = Array::empty_like_layout(x, x.dtype);
    run.out[1] = Array::empty(Dims{channels}, DType::Float64);
    run.out[2] = Array::empty(Dims{channels}, DType::Float64);
    if (run.follower) run.follower->begin(run.out[0]);
    double *const means = run.out[1].as<double>(), *const inverses = run.out[2].as<double>();
    const size_t moments = form.scaled ? 3 : 1;
    by_compute(x.dtype, [&]<typename T>() {
      const T* const scale = form.scaled ? run.in[1]->template as<T>() : nullptr;
      const T* const shift = form.scaled ? run.in[2]->template as<T>() : nullptr;
      const double* const given_mean = form.given ? run.in[moments]->template as<double>() : nullptr;
      const double* const given_var = form.given ? run.in[moments + 1]->template as<double>() : nullptr;
      Unlocked unlocked(x.numel >= kUnlockWork);
      const Work<T> work(place, x, nullptr);
      Factors<T> factors(channels);
      const auto count = static_cast<double>(place.count());
      if (!form.given && x.numel) {
        const Sums first = work.sums(work.kernels_of().moments, factors, true);
        const auto some = static_cast<double>(std::min(place.positions, kBlock));
        for (int64_t c = 0; c < channels; ++c)
          factors.high[c] = static_cast<T>(first.first[static_cast<size_t>(c)] / some);
        const Sums sums = work.sums(work.kernels_of().moments, factors);
        for (int64_t c = 0; c < channels; ++c) {
          const double rest = sums.first[static_cast<size_t>(c)] / count;
          const double square = sums.second[static_cast<size_t>(c)] / count - rest * rest;
          means[c] = static_cast<double>(factors.high[c]) + rest;
          inverses[c] = std::isnan(square) ? square : std::fmax(square, 0.0);
        }
      }
      for (int64_t c = 0; c < channels; ++c) {
        if (form.given) means[c] = given_mean[c], inverses[c] = given_var[c];
        if (!x.numel && !form.given) means[c] = inverses[c] = 0;
        if (!form.inverted) inverses[c] = 1.0 / std::sqrt(inverses[c] + form.eps);
        factors.centre(c, means[c]);
        factors.a[c] = static_cast<T>(scale ? inverses[c] * static_cast<double>(scale[c]) : inverses[c]);
        factors.b[c] = shift ? shift[c] : T(0);
      }
      work.map(work.kernels_of().map, factors, run.out[0], run.follower);
    });
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[0] ? 3u : 1u, 6u}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: gradient, x, mean, 1 / std, scale?. Outputs: gradients of x, scale and shift.
struct NormalizeChannelsBackward final : Primitive {
  const char* name() const override { return "normalize_channels_backward"; }
  bool admits(const Claim& c) const override {
    if (c.in.size() < 4 || c.attributes.ints.size() != 2) return false;
    const Form form(c.attributes);
    const Array& x = *c.in[1];
    if (c.in.size() != 4u + form.scaled || c.out.size() != (form.scaled ? 3 : 1)) return false;
    return x.rank() >= 2 && is_floating(x.dtype) && c.alike(0, 1) &&
           c.is_row(2, x.sizes[1], DType::Float64) && c.is_row(3, x.sizes[1], DType::Float64) &&
           (!form.scaled || c.is_row(4, x.sizes[1], stored_dtype(compute_of(x.dtype))));
  }
  void run(Run& run) const override {
    const Array x = placed(*run.in[1]);
    const Array grad = placed_like(*run.in[0], x);
    const Form form(run.attributes);
    const Place place(x);
    const int64_t channels = place.channels;
    run.n_outputs = form.scaled ? 3 : 1;
    run.out[0] = Array::empty_like_layout(x, x.dtype);
    for (int k = 1; k < run.n_outputs; ++k) run.out[k] = Array::empty(Dims{channels}, run.in[4]->dtype);
    const double *const means = run.in[2]->as<double>(), *const inverses = run.in[3]->as<double>();
    by_compute(x.dtype, [&]<typename T>() {
      const T* const scale = form.scaled ? run.in[4]->template as<T>() : nullptr;
      Unlocked unlocked(x.numel >= kUnlockWork);
      const Work<T> work(place, x, &grad);
      Factors<T> factors(channels);
      for (int64_t c = 0; c < channels; ++c) factors.centre(c, means[c]);
      const bool sums_needed = form.scaled || !form.given;
      const Sums sums = sums_needed ? work.sums(work.kernels_of().gradient_sums, factors) : Sums(channels);
      const auto count = static_cast<double>(place.count());
      for (int64_t c = 0; c < channels; ++c) {
        const double of_grad = sums.first[static_cast<size_t>(c)],
                     along = sums.second[static_cast<size_t>(c)];
        const double factor = scale ? static_cast<double>(scale[c]) : 1.0;
        factors.a[c] = static_cast<T>(inverses[c] * factor);
        factors.b[c] = static_cast<T>(of_grad / count);
        factors.c[c] = static_cast<T>(along / count * inverses[c] * inverses[c]);
        if (form.scaled) {
          run.out[1].template as<T>()[c] = static_cast<T>(along * inverses[c]);
          run.out[2].template as<T>()[c] = static_cast<T>(of_grad);
        }
      }
      if (!form.given) return work.map(work.kernels_of().gradient, factors, run.out[0]);
      // With given moments the op is linear in x.
      Factors<T> linear(channels);
      linear.a = factors.a;
      Work<T>(place, grad, nullptr).map(work.kernels_of().map, linear, run.out[0]);
    });
  }
  // Recorded passes are composed of ops instead (composed_vjp).
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

const NormalizeChannels kNormalizeChannels;
const NormalizeChannelsBackward kNormalizeChannelsBackward;

// The channels of all samples side by side.
bool NormalizeChannels::batch(Batch& b) const {
  if (b.size() == 0) return false;
  const TensorRef moved = ops::move_axis(b.whole(0), 0, 1);  // (N, samples, C, ...)
  Dims sizes = moved->sizes;
  sizes.erase(1);
  sizes[1] *= b.size();
  std::vector<TensorRef> held = {ops::reshape(*moved, sizes)};
  std::vector<Tensor*> inputs = {held[0].get()};
  for (int i = 1; i < b.count(); ++i) held.push_back(ops::reshape(b.whole(i), Dims{-1}));
  for (int i = 1; i < b.count(); ++i) inputs.push_back(held[static_cast<size_t>(i)].get());
  Outputs out = apply(*this, inputs, b.attributes());
  out.tensor[0] = ops::move_axis(*ops::reshape(*out.tensor[0], moved->sizes), 1, 0);
  for (int k = 1; k < 3; ++k) out.tensor[k] = ops::reshape(*out.tensor[k], Dims{b.size(), -1});
  b.set_all(std::move(out));
  return true;
}

Input number(double value) { return Input(Scalar::of(value)); }

// The gradient as ops, for passes that are recorded themselves.
void composed_vjp(Vjp& vjp, const Form& form) {
  TensorRef x = vjp.input(0), grad = vjp.grad();
  Dims axes, shape(x->rank(), 1);  // all axes but the channels'; a number for each channel
  for (int d = 0; d < x->rank(); ++d) {
    if (d != 1) axes.push_back(d);
  }
  shape[1] = x->sizes[1];
  const double count = static_cast<double>(x->numel) / static_cast<double>(x->sizes[1]);
  auto mean_of = [&](Tensor& t) { return ops::div(ops::sum(t, axes, true), number(count)); };
  TensorRef centred, inverse;
  if (form.given) {
    TensorRef mean = vjp.output(1), given = vjp.output(2);
    GradMode quiet(false);
    TensorRef shaped = ops::cast(*mean, x->dtype);
    inverse = ops::cast(*given, x->dtype);
    inverse = ops::reshape(*inverse, shape);
    shaped = ops::reshape(*shaped, shape);
    GradMode loud(true);
    centred = ops::sub(x, shaped);
  } else {
    centred = ops::sub(x, mean_of(*x));
    TensorRef var = mean_of(*unary(kSquare, *centred));
    inverse = unary(kRsqrt, *ops::add(var, number(form.eps)));
  }
  TensorRef normal = ops::mul(centred, inverse);
  TensorRef scaled = grad;
  if (form.scaled) {
    TensorRef scale = vjp.input(1);
    scaled = ops::mul(grad, ops::reshape(*scale, shape));
    auto per_channel = [&](TensorRef t) {
      t = ops::sum(*t, axes, false);
      return ops::cast(*t, scale->dtype);
    };
    if (vjp.needs(1)) vjp.set(1, per_channel(ops::mul(grad, normal)));
    if (vjp.needs(2)) vjp.set(2, per_channel(grad));
  }
  if (!vjp.needs(0)) return;
  auto in_its_dtype = [&](TensorRef t) { return ops::cast(*t, x->dtype); };
  if (form.given) return vjp.set(0, in_its_dtype(ops::mul(scaled, inverse)));
  TensorRef inner = ops::sub(scaled, mean_of(*scaled));
  inner = ops::sub(inner, ops::mul(normal, mean_of(*ops::mul(scaled, normal))));
  vjp.set(0, in_its_dtype(ops::mul(inverse, inner)));
}

void NormalizeChannels::vjp(Vjp& vjp) const {
  if (!vjp.grad()) return;
  const Form form(vjp.attributes());
  if (modes.composes()) return composed_vjp(vjp, form);
  TensorRef grad = vjp.grad(), x = vjp.input(0), mean = vjp.output(1), inverse = vjp.output(2);
  TensorRef scale = form.scaled ? vjp.input(1) : TensorRef();
  std::vector<Tensor*> inputs = {grad.get(), x.get(), mean.get(), inverse.get()};
  if (scale) inputs.push_back(scale.get());
  Outputs out = apply(kNormalizeChannelsBackward, inputs, vjp.attributes());
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

// That of scale, shift and moments.
DType working_dtype(const Tensor& input, const char* op) {
  if (!is_floating(input.dtype))
    fail(ErrorKind::DType, "[", op, "] expected floating-point input, got ", name(input.dtype));
  return input.dtype == DType::Float64 ? DType::Float64 : DType::Float32;
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

// batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, batches=None)
// batches: running statistics are averages over so many batches before this one, instead of by momentum.
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
  Affine affine(args.optional_tensor(1), args.optional_tensor(2), Dims{channels}, dtype, "batch_norm");
  const int64_t values = channels ? input.numel / channels : 0;  // of one channel
  TensorRef mean, var;
  if (!training) {
    mean = moments_tensor(running_mean, channels, "running_mean");
    var = moments_tensor(running_var, channels, "running_var");
  } else if (values == 1) {
    fail(ErrorKind::Value,
         "[batch_norm] expected more than 1 value per channel when training, got input of shape ",
         input.sizes);
  }
  Attributes a;
  a.ints = Dims{affine.scale ? 1 : 0, training ? 0 : 1};
  a.floats[0] = args.number(7);
  std::vector<Tensor*> inputs = {&input};
  if (affine.scale) inputs.insert(inputs.end(), {affine.scale.get(), affine.shift.get()});
  if (mean) inputs.insert(inputs.end(), {mean.get(), var.get()});
  Outputs out = apply(kNormalizeChannels, inputs, a);
  if (training && values > 0 && out.tensor[1]->wrapped && (running_mean || running_var)) {
    ops::update_running(*out.tensor[1], *out.tensor[2], running_mean, running_var, args.optional_tensor(8),
                        values, args.number(6), a.floats[0]);
  } else if (training && values > 0 && (running_mean || running_var)) {
    std::vector<const Array*> written;
    for (Tensor* running : {running_mean, running_var}) {
      if (!running) continue;
      begin_write(*running, "batch_norm");
      trace::reach({running});
      written.push_back(running);
    }
    Tensor* const batches = args.optional_tensor(8);
    trace::reach({batches});
    std::vector<const Array*> read = {out.tensor[1].get(), out.tensor[2].get()};
    if (batches) read.push_back(batches);
    trace::perform(batch_norm_statistics,
                   {Dims{values, running_mean != nullptr, batches != nullptr}, {args.number(6), a.floats[0]}},
                   read, written);
    for (Tensor* running : {running_mean, running_var})
      if (running) bump_version(*running);
  }
  return Result(std::move(out.tensor[0]));
}

const Function kBatchNorm("batch_norm", batch_norm);

}  // namespace

}  // namespace versant
