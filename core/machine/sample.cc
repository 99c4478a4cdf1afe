// Random choices and counts: bernoulli, poisson, binomial, gamma, randperm, multinomial, dropout.
#include <atomic>
#include <cmath>
#include <numeric>
#include <vector>

#include "machine/call.h"
#include "machine/draws.h"
#include "machine/ops.h"
#include "machine/tiles.h"
#include "machine/transforms/batching.h"

namespace versant::ops {

namespace {

constexpr int64_t kTile = Draws::kTileGroups * kGroupWords;

// 1 where a fraction drawn in [0, 1) is below the probability.
TensorRef bernoulli(Tensor& chances, Generator& generator) {
  const Array p = chances;  // held while the lock is given up
  if (!is_floating(p.dtype))
    fail(ErrorKind::DType, "[bernoulli] expected floating-point probabilities, got ", name(p.dtype));
  TensorRef result = empty(p.sizes, p.dtype);
  const bool wide = p.dtype == DType::Float64;
  const TileView from(p, Compute::F64), to(*result, Compute::F64);
  std::atomic<bool> outside{false};
  Draws::take(generator, p.numel, wide).for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
    double tile[kTile], out[kTile];
    const auto* chance = static_cast<const double*>(from.read(begin, count, tile));
    bool inside = true;
    for (int64_t i = 0; i < count; ++i) {
      const double u = wide ? fraction(two_words(words, i)) : words[i] * 0x1p-32;
      inside &= chance[i] >= 0 && chance[i] <= 1;
      out[i] = u < chance[i];
    }
    if (!inside) outside = true;
    to.write(begin, count, out);
  });
  if (outside) fail(ErrorKind::Runtime, "[bernoulli] expected probabilities from 0 to 1");
  return result;
}

// By inversion, outward from the most likely count, so in about sqrt(rate) steps; for huge rates from the
// normal distribution, corrected for skewness (Cornish and Fisher 1938).
double poisson_count(double rate, double u, double v) {
  if (rate == 0) return 0;
  if (rate > 0x1p30) {
    const double z = std::sqrt(-2 * std::log1p(-u)) * std::cos(2 * M_PI * v);
    return std::floor(rate + std::sqrt(rate) * z + (z * z - 1) / 6 + 0.5);
  }
  const double mode = std::floor(rate);
  double up = mode, down = mode;
  double likely = std::exp(mode * std::log(rate) - rate - std::lgamma(mode + 1)), likely_down = likely;
  double left = u - likely;
  if (left < 0) return mode;
  while (likely > 0 || likely_down > 0) {
    likely *= rate / ++up;
    if ((left -= likely) < 0) return up;
    likely_down *= down-- / rate;
    if ((left -= likely_down) < 0) return down;
  }
  return mode;
}

TensorRef poisson(Tensor& x, Generator& generator) {
  const Array rates = x;  // held while the lock is given up
  if (!is_floating(rates.dtype))
    fail(ErrorKind::DType, "[poisson] expected floating-point rates, got ", name(rates.dtype));
  const Array wide = rates.to_dtype(DType::Float64).to_contiguous();
  for (int64_t i = 0; i < wide.numel; ++i)
    if (!(wide.as<double>()[i] >= 0) || std::isinf(wide.as<double>()[i]))
      fail(ErrorKind::Runtime, "[poisson] expected finite rates of 0 or more, got ", wide.as<double>()[i]);
  TensorRef result = empty(rates.sizes, rates.dtype);
  const TileView to(*result, Compute::F64);
  // Two fractions for each element, of which the second counts for huge rates only.
  Draws::take(generator, 2 * wide.numel, true)
      .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
        double out[kTile];
        for (int64_t i = 0; i < count; i += 2)
          out[i / 2] = poisson_count(wide.as<double>()[(begin + i) / 2], fraction(two_words(words, i)),
                                     fraction(two_words(words, i + 1)));
        to.write(begin / 2, count / 2, out);
      });
  return result;
}

// By inversion, outward from the most likely count, as poisson_count.
double binomial_count(double n, double p, double u, double v) {
  if (n == 0 || p == 0) return 0;
  if (p == 1) return n;
  const double q = 1 - p, variance = n * p * q;
  if (variance > 0x1p30) {
    const double z = std::sqrt(-2 * std::log1p(-u)) * std::cos(2 * M_PI * v);
    return std::floor(n * p + std::sqrt(variance) * z + (q - p) * (z * z - 1) / 6 + 0.5);
  }
  const double mode = std::min(std::floor((n + 1) * p), n), odds = p / q;
  double up = mode, down = mode;
  int sign = 0;  // of the gamma function; lgamma would write it to a global
  double likely = std::exp(lgamma_r(n + 1, &sign) - lgamma_r(mode + 1, &sign) -
                           lgamma_r(n - mode + 1, &sign) + mode * std::log(p) + (n - mode) * std::log1p(-p));
  double likely_down = likely, left = u - likely;
  if (left < 0) return mode;
  while (likely > 0 || likely_down > 0) {
    likely *= (n - up) / (up + 1) * odds;  // 0 beyond n
    ++up;
    if ((left -= likely) < 0) return up;
    likely_down *= down / ((n - down + 1) * odds);  // 0 below 0
    --down;
    if ((left -= likely_down) < 0) return down;
  }
  return mode;
}

TensorRef binomial(Tensor& trials, Tensor& chances, Generator& generator) {
  if (!is_floating(trials.dtype) || trials.dtype != chances.dtype)
    fail(ErrorKind::DType, "[binomial] expected counts and probabilities of one floating-point dtype, got ",
         name(trials.dtype), " and ", name(chances.dtype));
  if (trials.sizes != chances.sizes)
    fail(ErrorKind::Shape, "[binomial] expected counts and probabilities of one shape, got ", trials.sizes,
         " and ", chances.sizes);
  const Array counts = trials.to_dtype(DType::Float64).to_contiguous();
  const Array odds = chances.to_dtype(DType::Float64).to_contiguous();
  for (int64_t i = 0; i < counts.numel; ++i) {
    const double n = counts.as<double>()[i], p = odds.as<double>()[i];
    if (!(n >= 0) || n != std::floor(n) || std::isinf(n))
      fail(ErrorKind::Runtime, "[binomial] expected whole counts of 0 or more, got ", n);
    if (!(p >= 0 && p <= 1))
      fail(ErrorKind::Runtime, "[binomial] expected probabilities from 0 to 1, got ", p);
  }
  TensorRef result = empty(trials.sizes, trials.dtype);
  const TileView to(*result, Compute::F64);
  Draws::take(generator, 2 * counts.numel, true)
      .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
        double out[kTile];
        for (int64_t i = 0; i < count; i += 2) {
          const int64_t at = (begin + i) / 2;
          out[i / 2] = binomial_count(counts.as<double>()[at], odds.as<double>()[at],
                                      fraction(two_words(words, i)), fraction(two_words(words, i + 1)));
        }
        to.write(begin / 2, count / 2, out);
      });
  return result;
}

// As many fractions as an element asks for: Philox again, with the element's own 64 bits as seed.
class OwnFractions {
 public:
  explicit OwnFractions(uint64_t seed) : seed_(seed) {}

  double next() {
    if (used_ == kGroupWords / 2) {
      kernels->philox(words_, seed_, block_, 1);
      block_ += kGroupBlocks;
      used_ = 0;
    }
    return fraction(two_words(words_, used_++));
  }

 private:
  alignas(64) uint32_t words_[kGroupWords];
  uint64_t seed_, block_ = 0;
  int64_t used_ = kGroupWords / 2;
};

// The logarithm of a draw of the gamma distribution, by squeeze and rejection (Marsaglia and Tsang 2000). A
// shape below 1 is raised by 1, and the draw multiplied by u^(1 / shape).
double log_gamma_draw(double shape, OwnFractions fractions) {
  if (shape == 0) return -INFINITY;
  double shift = 0;
  if (shape < 1) {
    shift = std::log1p(-fractions.next()) / shape;
    shape += 1;
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double radius = std::sqrt(-2 * std::log1p(-fractions.next()));
    const double z = radius * std::cos(2 * M_PI * fractions.next());
    const double root = 1 + c * z, u = 1 - fractions.next();
    if (root <= 0) continue;
    const double v = root * root * root, square = z * z;
    if (u < 1 - 0.0331 * square * square || std::log(u) < 0.5 * square + d * (1 - v + std::log(v)))
      return std::log(d * v) + shift;
  }
}

TensorRef gamma(Tensor& x, bool logarithms, Generator& generator) {
  if (!is_floating(x.dtype))
    fail(ErrorKind::DType, "[_standard_gamma] expected floating-point shapes, got ", name(x.dtype));
  const Array shapes = x.to_dtype(DType::Float64).to_contiguous();
  for (int64_t i = 0; i < shapes.numel; ++i)
    if (!(shapes.as<double>()[i] >= 0) || std::isinf(shapes.as<double>()[i]))
      fail(ErrorKind::Runtime, "[_standard_gamma] expected finite shapes of 0 or more, got ",
           shapes.as<double>()[i]);
  TensorRef result = empty(x.sizes, x.dtype);
  const TileView to(*result, Compute::F64);
  Draws::take(generator, shapes.numel, true)
      .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
        double out[kTile];
        for (int64_t i = 0; i < count; ++i) {
          const double drawn =
              log_gamma_draw(shapes.as<double>()[begin + i], OwnFractions(two_words(words, i)));
          out[i] = logarithms ? drawn : std::exp(drawn);
        }
        to.write(begin, count, out);
      });
  return result;
}

// Fisher and Yates, from the back.
TensorRef randperm(int64_t n, Generator& generator) {
  if (n < 0) fail(ErrorKind::Runtime, "[randperm] n must be non-negative, got ", n);
  TensorRef result = empty(Dims{n}, DType::Int64);
  auto* to = result->as<int64_t>();
  std::iota(to, to + n, 0);
  const Draws draws = Draws::take(generator, n, true);
  draws.in_order([&](int64_t begin, int64_t count, const uint32_t* words) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t last = n - 1 - (begin + i);
      std::swap(to[last], to[below(static_cast<uint64_t>(last) + 1, two_words(words, i))]);
    }
  });
  return result;
}

// Draws from one row of weights: with replacement by binary search in their running sums, without by the k
// smallest of -log(u) / weight (Efraimidis and Spirakis 2006).
class Multinomial {
 public:
  Multinomial(const double* weights, int64_t n, int64_t samples, bool replacement)
      : weights_(weights), n_(n), samples_(samples), replacement_(replacement), sums_(n) {
    double total = 0;
    int64_t positive = 0;
    for (int64_t i = 0; i < n; ++i) {
      if (!(weights[i] >= 0) || std::isinf(weights[i]))
        fail(ErrorKind::Runtime,
             "[multinomial] probability tensor contains either inf, nan or element < 0 (at index ", i, ")");
      sums_[i] = total += weights[i];
      positive += weights[i] > 0;
    }
    if (!(total > 0)) fail(ErrorKind::Runtime, "[multinomial] the weights sum to 0");
    if (!replacement && positive < samples)
      fail(ErrorKind::Runtime, "[multinomial] ", samples, " samples without replacement from ", positive,
           " categories of positive weight");
  }

  int64_t draws() const { return replacement_ ? samples_ : n_; }

  void sample(const Draws& draws, int64_t* to) {
    if (replacement_) {
      draws.in_order([&](int64_t begin, int64_t count, const uint32_t* words) {
        for (int64_t i = 0; i < count; ++i) {
          const double at = fraction(two_words(words, i)) * sums_.back();
          to[begin + i] = std::upper_bound(sums_.begin(), sums_.end(), at) - sums_.begin();
        }
      });
      return;
    }
    std::vector<std::pair<double, int64_t>> keys(n_);
    draws.in_order([&](int64_t begin, int64_t count, const uint32_t* words) {
      for (int64_t i = begin; i < begin + count; ++i)
        keys[i] = {-std::log1p(-fraction(two_words(words, i - begin))) / weights_[i], i};
    });
    // No weight: never, not even with u = 0, for which the quotient would be NaN.
    for (int64_t i = 0; i < n_; ++i)
      if (weights_[i] == 0) keys[i].first = INFINITY;
    std::partial_sort(keys.begin(), keys.begin() + samples_, keys.end());
    for (int64_t i = 0; i < samples_; ++i) to[i] = keys[i].second;
  }

 private:
  const double* weights_;
  int64_t n_, samples_;
  bool replacement_;
  std::vector<double> sums_;
};

TensorRef multinomial(Tensor& x, int64_t samples, bool replacement, Generator& generator) {
  if (!is_floating(x.dtype))
    fail(ErrorKind::DType, "[multinomial] expected floating-point weights, got ", name(x.dtype));
  if (x.rank() != 1 && x.rank() != 2)
    fail(ErrorKind::Shape, "[multinomial] expected weights of 1 or 2 dimensions, got shape ", x.sizes);
  const int64_t n = x.sizes.back(), rows = x.rank() == 2 ? x.sizes[0] : 1;
  if (samples <= 0) fail(ErrorKind::Runtime, "[multinomial] cannot sample ", samples, " values");
  if (!replacement && samples > n)
    fail(ErrorKind::Runtime, "[multinomial] cannot draw ", samples, " samples from ", n,
         " categories without replacement");
  const Array weights = x.to_dtype(DType::Float64).to_contiguous();
  Dims sizes = x.sizes;
  sizes[x.rank() - 1] = samples;
  TensorRef result = empty(sizes, DType::Int64);
  for (int64_t row = 0; row < rows; ++row) {
    Multinomial one(weights.as<double>() + row * n, n, samples, replacement);
    one.sample(Draws::take(generator, one.draws(), true), result->as<int64_t>() + row * samples);
  }
  return result;
}

// Zeros with probability p; the rest is scaled by 1 / (1 - p). The draw is remembered, not the mask: the
// gradient is the same dropout of the gradient. ints: seed, first block; floats: p.
struct Dropout final : Primitive {
  const char* name() const override { return "dropout"; }
  bool batch(Batch& b) const override { return b.leading(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  int draws_at(const Attributes&) const override { return 0; }
  bool admits(const Claim& c) const override {
    return c.counts(1, 1, 2) && is_floating(c.in[0]->dtype) && c.attributes.floats[0] >= 0 &&
           c.attributes.floats[0] <= 1;
  }
  void run(Run& run) const override {
    const Array x = *run.in[0];  // held while the lock is given up
    Array& y = run.out[0] = Array::empty(x.sizes, x.dtype);
    const double p = run.attributes.floats[0];
    if (p == 1) return fill(y, Scalar::of_int(0));
    const Compute compute = compute_of(x.dtype);
    const TileView from(x, compute), to(y, compute);
    const auto threshold = static_cast<uint32_t>(std::min(std::ldexp(p, 32), 0x1p32 - 1));
    const double scale = 1 / (1 - p);
    const Draws draws{static_cast<uint64_t>(run.attributes.ints[0]),
                      static_cast<uint64_t>(run.attributes.ints[1]), x.numel, kGroupWords};
    draws.for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
      alignas(64) double in_tile[kTile], out_tile[kTile];
      const void* source = from.read(begin, count, in_tile);
      void* q = to.place(begin, out_tile);
      if (compute == Compute::F32) {
        kernels->dropout(static_cast<float*>(q), static_cast<const float*>(source), words, count, threshold,
                         static_cast<float>(scale));
      } else {
        for (int64_t i = 0; i < count; ++i)
          static_cast<double*>(q)[i] =
              words[i] >= threshold ? static_cast<const double*>(source)[i] * scale : 0.0;
      }
      to.write(begin, count, q);
    });
  }
  void vjp(Vjp& vjp) const override;
};

const Dropout kDropout;

void Dropout::vjp(Vjp& vjp) const { vjp.set(0, apply(kDropout, {vjp.grad().get()}, vjp.attributes())); }

const Function kBernoulliFunction(
    "bernoulli", [](Args& a) { return Result(bernoulli(a.tensor(0), a.generator(1))); }, Opaque{true});
const Function kPoissonFunction(
    "poisson", [](Args& a) { return Result(poisson(a.tensor(0), a.generator(1))); }, Opaque{true});
const Function kBinomialFunction(
    "binomial", [](Args& a) { return Result(binomial(a.tensor(0), a.tensor(1), a.generator(2))); },
    Opaque{true});
const Function kGammaFunction(
    "gamma", [](Args& a) { return Result(gamma(a.tensor(0), a.flag(1), a.generator(2))); }, Opaque{true});
const Function kRandpermFunction(
    "randperm", [](Args& a) { return Result(randperm(a.integer(0), a.generator(1))); }, Opaque{true});
const Function kMultinomialFunction(
    "multinomial",
    [](Args& a) { return Result(multinomial(a.tensor(0), a.integer(1), a.flag(2), a.generator(3))); },
    Opaque{true});
const Function kDropoutFunction("dropout", [](Args& a) {
  return Result(dropout(a.tensor(0), a.number(1), a.flag(2), a.generator(3)));
});

}  // namespace

TensorRef dropout(Tensor& x, double p, bool train, Generator& generator) {
  if (!(p >= 0 && p <= 1)) fail(ErrorKind::Value, "[dropout] probability has to be between 0 and 1, got ", p);
  if (!is_floating(x.dtype))
    fail(ErrorKind::DType, "[dropout] expected a floating-point tensor, got ", name(x.dtype));
  if (!train || p == 0) return TensorRef(&x);
  const Draws draws = Draws::take(generator, x.numel, false);
  return apply(kDropout, {&x},
               {Dims{static_cast<int64_t>(draws.seed), static_cast<int64_t>(draws.first)}, {p, 0.0}});
}

}  // namespace versant::ops
