// Random fills in place: uniform_, normal_, random_int_.
#include "machine/random.h"

#include <cmath>
#include <limits>

#include "machine/call.h"
#include "machine/complex.h"
#include "machine/draws.h"
#include "machine/ops.h"
#include "machine/tiles.h"

namespace versant {

Generator& default_generator() {
  static Generator generator;
  return generator;
}

namespace ops {

namespace {

constexpr int64_t kTile = Draws::kTileGroups * kGroupWords;

int64_t pack(uint64_t bits) { return static_cast<int64_t>(bits); }

// The words of a run. ints: seed, first block.
Draws draws_of(const Attributes& a, int64_t n, bool two_words) {
  return {static_cast<uint64_t>(a.ints[0]), static_cast<uint64_t>(a.ints[1]), n,
          two_words ? kGroupWords / 2 : kGroupWords};
}

// A fill leaves no gradient to what was there before: vjp sets nothing, which means zero.
struct Fill : Primitive {
  int draws_at(const Attributes&) const final { return 0; }
  void vjp(Vjp&) const final {}
};

// The largest number of `dtype` below `high`, but not below `low`.
double last_below(double high, double low, DType dtype) {
  double last = 0;
  if (dtype == DType::Float64) {
    last = std::nextafter(high, low);
  } else if (dtype == DType::Float32) {
    const auto h = static_cast<float>(high);
    last = h < high ? h : std::nextafter(h, static_cast<float>(low));
  } else {
    // Nearest of the 16-bit formats, then one step of the bits toward `low` if it is not below.
    auto step = [&](auto nearest) {
      if (static_cast<float>(nearest) >= high) {
        if (nearest.bits == 0)
          nearest.bits = 0x8001;
        else if (nearest.bits & 0x8000)
          ++nearest.bits;
        else
          --nearest.bits;
      }
      return static_cast<double>(static_cast<float>(nearest));
    };
    last = dtype == DType::Float16 ? step(Half::from(high)) : step(BFloat16::from(high));
  }
  return last < low ? low : last;
}

// Bits of a word that a fraction of this dtype takes.
int fraction_bits(DType dtype) { return dtype == DType::Float16 ? 11 : dtype == DType::BFloat16 ? 8 : 24; }

// floats: low, high.
struct Uniform final : Fill {
  const char* name() const override { return "uniform_"; }
  bool admits(const Claim& c) const override {
    return c.in_place && c.counts(1, 1, 2) && is_floating(c.in[0]->dtype);
  }
  void run(Run& run) const override {
    const Array& x = run.out[0];
    const double low = run.attributes.floats[0], high = run.attributes.floats[1];
    const double limit = last_below(high, low, x.dtype);
    const Compute compute = compute_of(x.dtype);
    const TileView view(x, compute);
    if (compute == Compute::F64) {
      draws_of(run.attributes, x.numel, true)
          .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
            double tile[kTile];
            for (int64_t i = 0; i < count; ++i)
              tile[i] = std::min(fraction(two_words(words, i)) * (high - low) + low, limit);
            view.write(begin, count, tile);
          });
      return;
    }
    const UniformRange range{fraction_bits(x.dtype), static_cast<float>(low), static_cast<float>(high - low),
                             static_cast<float>(limit)};
    draws_of(run.attributes, x.numel, false)
        .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
          float tile[kTile];
          void* to = view.place(begin, tile);
          kernels->uniform(static_cast<float*>(to), words, count, range);
          view.write(begin, count, to);
        });
  }
};

// floats: mean, standard deviation. Box and Muller (1958).
struct Normal final : Fill {
  const char* name() const override { return "normal_"; }
  bool admits(const Claim& c) const override {
    return c.in_place && c.counts(1, 1, 2) && is_floating(c.in[0]->dtype);
  }
  void run(Run& run) const override {
    const Array& x = run.out[0];
    const double mean = run.attributes.floats[0], deviation = run.attributes.floats[1];
    const Compute compute = compute_of(x.dtype);
    const TileView view(x, compute);
    if (compute == Compute::F64) {
      draws_of(run.attributes, x.numel, true)
          .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
            double tile[kTile];
            for (int64_t group = 0; group < count; group += 32) {
              for (int64_t i = group; i < group + 16; ++i) {
                const double u = 1 - fraction(two_words(words, i));
                const double angle = 2 * M_PI * fraction(two_words(words, i + 16));
                const double radius = std::sqrt(-2 * std::log(u)) * deviation;
                tile[i] = std::cos(angle) * radius + mean;
                tile[i + 16] = std::sin(angle) * radius + mean;
              }
            }
            view.write(begin, count, tile);
          });
      return;
    }
    draws_of(run.attributes, x.numel, false)
        .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
          float tile[kTile];
          const int64_t groups = (count + kGroupWords - 1) / kGroupWords;
          void* to = count % kGroupWords ? tile : view.place(begin, tile);
          kernels->normal(static_cast<float*>(to), words, groups, static_cast<float>(mean),
                          static_cast<float>(deviation));
          view.write(begin, count, to);
        });
  }
};

// ints: seed, first block, low, high.
struct RandomInt final : Fill {
  const char* name() const override { return "random_int_"; }
  bool admits(const Claim& c) const override {
    return c.in_place && c.counts(1, 1, 4) && !is_complex(c.in[0]->dtype) &&
           c.attributes.ints[2] < c.attributes.ints[3];
  }
  void run(Run& run) const override {
    const Array& x = run.out[0];
    const auto low = static_cast<uint64_t>(run.attributes.ints[2]);
    const uint64_t range = static_cast<uint64_t>(run.attributes.ints[3]) - low;
    const TileView view(x, Compute::I64);
    draws_of(run.attributes, x.numel, true)
        .for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
          int64_t tile[kTile];
          for (int64_t i = 0; i < count; ++i)
            tile[i] = static_cast<int64_t>(low + below(range, two_words(words, i)));
          view.write(begin, count, tile);
        });
  }
};

const Uniform kUniform;
const Normal kNormal;
const RandomInt kRandomInt;

void check_floating(const Tensor& x, const char* op) {
  if (!is_floating(x.dtype))
    fail(ErrorKind::DType, "[", op, "] expected a floating-point tensor, got ", name(x.dtype));
}

Attributes attributes_of(Generator& generator, const Tensor& x, bool two_words) {
  const Draws draws = Draws::take(generator, x.numel, two_words);
  Attributes a;
  a.ints = Dims{pack(draws.seed), pack(draws.first)};
  return a;
}

// One past the largest integer up to which `dtype` holds all; of int64, the largest one itself.
int64_t integers_held(DType dtype) {
  switch (dtype) {
    case DType::Float64:
      return (int64_t{1} << 53) + 1;
    case DType::Float32:
      return (int64_t{1} << 24) + 1;
    case DType::Float16:
      return (int64_t{1} << 11) + 1;
    case DType::BFloat16:
      return (int64_t{1} << 8) + 1;
    case DType::Int64:
      return std::numeric_limits<int64_t>::max();
    case DType::Bool:
      return 2;
    default:
      return int64_t{1} << (8 * itemsize(dtype) - (info(dtype).kind == DTypeKind::Unsigned ? 0 : 1));
  }
}

void check_int_range(DType dtype, int64_t low, int64_t high) {
  if (low >= high) fail(ErrorKind::Value, "[randint] expected low < high, got ", low, " and ", high);
  if (is_floating(dtype) || dtype == DType::Int64) return;
  const int bits = 8 * static_cast<int>(itemsize(dtype));
  const bool is_unsigned = info(dtype).kind == DTypeKind::Unsigned;
  const int64_t least = dtype == DType::Bool || is_unsigned ? 0 : -(int64_t{1} << (bits - 1));
  const int64_t most = dtype == DType::Bool ? 1 : (int64_t{1} << (is_unsigned ? bits : bits - 1)) - 1;
  if (low < least || high - 1 > most)
    fail(ErrorKind::Value, "[randint] the range from ", low, " to ", high, " does not fit ", name(dtype));
}

const Function kUniformFunction("uniform_", [](Args& a) {
  Tensor& x = a.tensor(0);
  uniform_(x, a.number(1), a.number(2), a.generator(3));
  return Result(TensorRef(&x));
});
const Function kNormalFunction("normal_", [](Args& a) {
  Tensor& x = a.tensor(0);
  normal_(x, a.number(1), a.number(2), a.generator(3));
  return Result(TensorRef(&x));
});
// random_(x), random_(x, to), random_(x, from, to)
const Function kRandomFunction("random_", [](Args& a) {
  Tensor& x = a.tensor(0);
  const std::optional<int64_t> first = a.optional_integer(1), last = a.optional_integer(2);
  if (is_complex(x.dtype))
    fail(ErrorKind::DType, "[random_] expected a tensor of real numbers, got ", name(x.dtype));
  const bool only_end = first && !last;
  const int64_t low = only_end ? 0 : first.value_or(0);
  random_int_(x, low, only_end ? *first : last.value_or(integers_held(x.dtype)), a.generator(3));
  return Result(TensorRef(&x));
});
const Function kRandomIntFunction("random_int_", [](Args& a) {
  Tensor& x = a.tensor(0);
  random_int_(x, a.integer(1), a.integer(2), a.generator(3));
  return Result(TensorRef(&x));
});

}  // namespace

void uniform_(Tensor& x, double low, double high, Generator& generator) {
  if (is_complex(x.dtype)) {
    TensorRef parts = as_real(x);
    return uniform_(*parts, low, high, generator);
  }
  check_floating(x, "uniform_");
  if (!(low <= high) || !std::isfinite(high - low))
    fail(ErrorKind::Value, "[uniform_] expected finite low <= high, got ", low, " and ", high);
  Attributes a = attributes_of(generator, x, x.dtype == DType::Float64);
  a.floats = {low, high};
  apply_in_place(kUniform, std::initializer_list<Tensor*>{&x}, a);
}

void normal_(Tensor& x, double mean, double deviation, Generator& generator) {
  if (is_complex(x.dtype)) {
    TensorRef parts = as_real(x);
    return normal_(*parts, mean, deviation / std::sqrt(2.0), generator);
  }
  check_floating(x, "normal_");
  if (!(deviation >= 0)) fail(ErrorKind::Value, "[normal_] expected std >= 0.0, got ", deviation);
  Attributes a = attributes_of(generator, x, x.dtype == DType::Float64);
  a.floats = {mean, deviation};
  apply_in_place(kNormal, std::initializer_list<Tensor*>{&x}, a);
}

void random_int_(Tensor& x, int64_t low, int64_t high, Generator& generator) {
  check_int_range(x.dtype, low, high);
  Attributes a = attributes_of(generator, x, true);
  a.ints.push_back(low);
  a.ints.push_back(high);
  apply_in_place(kRandomInt, std::initializer_list<Tensor*>{&x}, a);
}

}  // namespace ops
}  // namespace versant
