// Vector math, circular functions: sin, cos, tan, asin, acos, atan, atan2, hypot.
//
// float32 goes through double arithmetic, float64 through the C library.
#pragma once

#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

inline constexpr double kPi = 3.141592653589793;

// Up to this size the multiple of pi/2 has at most 20 bits and its product with the 33 high bits of pi/2 is
// exact. Beyond, the C library reduces.
inline constexpr float kReducible = 1.6e6F;

struct Quadrant {
  double r;            // x - n pi/2, |r| <= pi/4
  std::uint64_t turn;  // n, its low bits
};

inline Quadrant quadrant(double x) {
  const double shifted = fused(x, 0.6366197723675814, kRounder<double>);
  const double n = shifted - kRounder<double>;
  const double r = fused(n, -6.077100506506192e-11, fused(n, -1.5707963267341256, x));
  return {r, bits_of(shifted)};
}

inline double sin_of_rest(double r) {
  const double z = r * r;
  return r * fused(z,
                   horner(z, -0.16666666644130387, 0.008333329584890142, -0.0001983938313195955,
                          2.718678659544412e-06),
                   1.0);
}
inline double cos_of_rest(double r) {
  const double z = r * r;
  return fused(
      z, horner(z, -0.49999999724009625, 0.04166662319458122, -0.0013886759560392005, 2.439004239215156e-05),
      1.0);
}

// The sine of a quarter turn `turn` plus r.
inline double turned_sin(double r, std::uint64_t turn) {
  const double y = (turn & 1) != 0 ? cos_of_rest(r) : sin_of_rest(r);
  return from_bits(bits_of(y) ^ (turn & 2) << 62);
}

inline float sin(float x) {
  const Quadrant q = quadrant(static_cast<double>(x));
  return static_cast<float>(turned_sin(q.r, q.turn));
}
inline float cos(float x) {
  const Quadrant q = quadrant(static_cast<double>(x));
  return static_cast<float>(turned_sin(q.r, q.turn + 1));
}
inline float tan(float x) {
  const Quadrant q = quadrant(static_cast<double>(x));
  const double s = sin_of_rest(q.r);
  const double c = cos_of_rest(q.r);
  return static_cast<float>((q.turn & 1) != 0 ? -c / s : s / c);
}

// atan(x) for |x| <= 1
inline double atan_inner(double x) {
  const double z = x * x;
  const double p =
      horner(z, -0.33333332697741974, 0.19999947787240324, -0.1428442189411214, 0.11096006621981443,
             -0.08990161925317879, 0.07267212735918259, -0.05456213345669238, 0.03442552712193878,
             -0.01619163674641095, 0.004854444005829892, -0.0006805438068973677);
  return x * fused(z, p, 1.0);
}

inline float atan(float x) {
  const auto size = static_cast<double>(abs(x));
  const double inner = atan_inner(size > 1 ? 1 / size : size);
  return copysign(static_cast<float>(size > 1 ? kPi / 2 - inner : inner), x);
}

// The angle of the point (x, y).
inline float atan2(float y, float x) {
  const auto height = static_cast<double>(abs(y));
  const auto width = static_cast<double>(abs(x));
  const double larger = height > width ? height : width;
  const double smaller = height > width ? width : height;
  // 0/0 counts as 0, infinity/infinity as 1
  const double ratio = larger == 0 ? 0 : smaller == kInf<double> ? 1 : smaller / larger;
  const double inner = atan_inner(ratio);
  const double steep = height > width ? kPi / 2 - inner : inner;
  const double angle = copysign(1.0F, x) < 0 ? kPi - steep : steep;
  const float result = copysign(static_cast<float>(angle), y);
  return x != x || y != y ? x + y : result;
}

// asin(x) for 0 <= x <= 1/2, given z = x^2
inline double asin_inner(double x, double z) {
  const double p =
      horner(z, 0.1666666664559018, 0.07500003618802278, 0.044641039124791615, 0.030422988200145263,
             0.021882744959131558, 0.020621616692184166, 0.0019178318527653278, 0.03308186569932302);
  return x * fused(z, p, 1.0);
}

// Beyond 1/2: asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)).
inline float asin(float x) {
  const auto size = static_cast<double>(abs(x));
  const double z = size > 0.5 ? 0.5 - 0.5 * size : size * size;
  const double inner = asin_inner(size > 0.5 ? sqrt(z) : size, z);
  return copysign(static_cast<float>(size > 0.5 ? kPi / 2 - 2 * inner : inner), x);
}
inline float acos(float x) {
  const auto size = static_cast<double>(abs(x));
  const double z = size > 0.5 ? 0.5 - 0.5 * size : size * size;
  const double inner = asin_inner(size > 0.5 ? sqrt(z) : size, z);
  const double outer = x < 0 ? kPi - 2 * inner : 2 * inner;
  return static_cast<float>(size > 0.5 ? outer : kPi / 2 - (x < 0 ? -inner : inner));
}

// Squares of floats neither overflow nor vanish in double.
inline float hypot(float x, float y) {
  const double square =
      static_cast<double>(x) * static_cast<double>(x) + static_cast<double>(y) * static_cast<double>(y);
  const bool infinite = abs(x) == kInf<float> || abs(y) == kInf<float>;  // even beside NaN
  return infinite ? kInf<float> : static_cast<float>(sqrt(square));
}

}  // namespace versant::isa::VERSANT_ISA
