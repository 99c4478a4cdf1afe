// Vector math, circular functions: sin, cos, tan, asin, acos, atan, atan2, hypot.
//
// float32 goes through double arithmetic. float64: sin, cos and tan here (within 1 ulp, tan 2), the rest from
// the C library.
#pragma once

#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

// Up to this size the multiple of pi/2 is so short (20 or 14 bits) that its products with the leading parts
// of pi/2 are exact. Beyond, the C library reduces.
template <class T>
inline constexpr T kReducible = sizeof(T) == 4 ? T(1.6e6) : T(2.5e4);

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

// The same for double: pi/2 in three parts, the rest in two, polynomials with the rounding of their first
// terms kept.
struct WideQuadrant {
  double r;
  double lost;  // x - n pi/2 = r + lost
  std::uint64_t turn;
};

inline WideQuadrant wide_quadrant(double x) {
  const double shifted = fused(x, 0.6366197723675814, kRounder<double>);
  const double n = shifted - kRounder<double>;
  const double first = fused(n, -0x1.921fb5444p+0, x);
  const double second = n * 0x1.68c234c4c4p-39;
  const double r = first - second;
  const double back = first - r;  // the error of that difference, whichever is larger
  const double lost = (first - (r + back)) + (back - second);
  return {r, fused(n, -0x1.3145c06e0e689p-78, lost), bits_of(shifted)};
}

inline Sum<double> sin_of_rest(double r, double lost) {
  const double z = r * r;
  const double p = horner(z, 0.008333333333323624, -0.00019841269830108815, 2.7557313638500214e-06,
                          -2.5050732378961625e-08, 1.5894579740654464e-10);
  return {r, fused(r * z, fused(z, p, -0.1666666666666664), fused(-0.5 * z, lost, lost))};
}
inline Sum<double> cos_of_rest(double r, double lost) {
  const double z = r * r;
  const double p = horner(z, 0.04166666666666665, -0.0013888888888882816, 2.4801587294605744e-05,
                          -2.755731573025875e-07, 2.0875896367140662e-09, -1.1367900016364881e-11);
  const Sum<double> head = fast_sum(1.0, -0.5 * z);
  return {head.high, head.low + fused(z * z, p, -r * lost)};
}

inline double turned_sin(WideQuadrant q, std::uint64_t turn) {
  const Sum<double> s = sin_of_rest(q.r, q.lost);
  const Sum<double> c = cos_of_rest(q.r, q.lost);
  const double y = (turn & 1) != 0 ? c.high + c.low : s.high + s.low;
  return from_bits(bits_of(y) ^ (turn & 2) << 62);
}

inline double sin(double x) {
  const WideQuadrant q = wide_quadrant(x);
  return x == 0 ? x : turned_sin(q, q.turn);
}
inline double cos(double x) {
  const WideQuadrant q = wide_quadrant(x);
  return turned_sin(q, q.turn + 1);
}
inline double tan(double x) {
  const WideQuadrant q = wide_quadrant(x);
  const Sum<double> s = sin_of_rest(q.r, q.lost);
  const Sum<double> c = cos_of_rest(q.r, q.lost);
  const bool odd = (q.turn & 1) != 0;
  const double above = odd ? -c.high : s.high;
  const double above_low = odd ? -c.low : s.low;
  const double below = odd ? s.high : c.high;
  const double below_low = odd ? s.low : c.low;
  const double y = quotient(fast_sum(above, above_low), fast_sum(below, below_low));
  return x == 0 ? x : y;
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

// Angles in two parts: the quarter and half turns that the functions below subtract from.
inline constexpr double kHalfPi = 1.5707963267948966;
inline constexpr double kHalfPiLow = 6.123233995736766e-17;

// The angle whose tangent is a / b, for 0 <= a <= b and b > 0, of moderate size: atan(a / b), above tan(pi/8)
// as pi/4 + atan((a - b) / (a + b)).
inline double atan_of_ratio(double a, double b) {
  const bool upper = a > 0.41421356237309503 * b;
  const Sum<double> difference = fast_sum(-b, a);
  const Sum<double> total = fast_sum(b, a);
  const Sum<double> t = quotient_parts(Sum<double>{upper ? difference.high : a, upper ? difference.low : 0.0},
                                       Sum<double>{upper ? total.high : b, upper ? total.low : 0.0});
  const double z = t.high * t.high;
  const double p =
      horner(z, -0.3333333333333333, 0.19999999999998538, -0.14285714285468826, 0.1111111109185048,
             -0.09090908238361156, 0.07692284184907877, -0.06666239573276717, 0.05877081923672161,
             -0.05218448246981634, 0.04502582535463164, -0.033429946026637763, 0.015131423926268877);
  const double rest = fused(t.high * z, p, t.low + (upper ? 0.5 * kHalfPiLow : 0.0));
  const Sum<double> sum = fast_sum(upper ? 0.5 * kHalfPi : 0.0, t.high);
  return sum.high + (sum.low + rest);
}

inline double atan(double x) {
  const double size = abs(x);
  const bool steep = size > 1;
  const double angle = atan_of_ratio(steep ? 1.0 : size, steep ? size : 1.0);
  const double y = steep ? kHalfPi - (angle - kHalfPiLow) : angle;
  return copysign(size == kInf<double> ? kHalfPi : y, x);
}

inline double atan2(double y, double x) {
  const double height = abs(y);
  const double width = abs(x);
  const double larger = height > width ? height : width;
  const double smaller = height > width ? width : height;
  // Both times a power of two, so that sum and reciprocal stay in range; 0/0 counts as 0, infinity/infinity
  // as 1.
  const double factor = larger > 0x1p1000 ? 0x1p-30 : larger < 0x1p-900 ? 0x1p200 : 1.0;
  const bool infinite = larger == kInf<double>;
  const double a = infinite ? (smaller == kInf<double> ? 1.0 : 0.0) : smaller * factor;
  const double b = infinite || larger == 0 ? 1.0 : larger * factor;
  const double angle = atan_of_ratio(a, b);
  const double steep = height > width ? kHalfPi - (angle - kHalfPiLow) : angle;
  const double turned = copysign(1.0, x) < 0 ? kPi - (steep - 2 * kHalfPiLow) : steep;
  const double result = copysign(turned, y);
  return x != x || y != y ? x + y : result;
}

// asin(x) - x for 0 <= x <= 1/2, given z = x^2
inline double asin_tail(double x, double z) {
  const double p = horner(z, 0.16666666666666702, 0.07499999999984304, 0.04464285716384, 0.030381943134870755,
                          0.02237220520472212, 0.017351751725067085, 0.013979530616538411,
                          0.011406657234165162, 0.010750904843222142, 0.0037697388025577957,
                          0.021657046521153682, -0.021059642870234232, 0.03274085357102122);
  return x * z * p;
}

// |x| for sizes up to 1/2, above sqrt((1 - |x|) / 2) with its rounding error.
struct AsinArgument {
  bool outer;
  double z;
  Sum<double> root;
};
inline AsinArgument asin_argument(double x) {
  const double size = abs(x);
  const bool outer = size > 0.5;
  const double z = outer ? 0.5 - 0.5 * size : size * size;
  const double root = outer ? sqrt(z) : size;
  const double lost = outer && z > 0 && kFma ? fused(-root, root, z) / (2 * root) : 0.0;
  return {outer, z, {root, lost}};
}

inline double asin(double x) {
  const AsinArgument a = asin_argument(x);
  const double tail = asin_tail(a.root.high, a.z) + a.root.low;
  const Sum<double> sum = fast_sum(kHalfPi, -2 * a.root.high);
  const double outer = sum.high + (sum.low + (kHalfPiLow - 2 * tail));
  return copysign(a.outer ? outer : a.root.high + tail, x);
}
inline double acos(double x) {
  const AsinArgument a = asin_argument(x);
  const double tail = asin_tail(a.root.high, a.z) + a.root.low;
  const double near_one = 2 * (a.root.high + tail);
  const double near_minus_one = kPi - (2 * a.root.high + (2 * tail - 2 * kHalfPiLow));
  const double inner = kHalfPi - (copysign(a.root.high, x) + (copysign(tail, x) - kHalfPiLow));
  const double outer = x < 0 ? near_minus_one : near_one;
  return a.outer ? outer : inner;
}

// The larger side scaled near 1 where its square would leave the range.
inline double hypot(double x, double y) {
  const double larger = abs(x) > abs(y) ? abs(x) : abs(y);
  const bool huge = larger > 0x1p500;
  const bool tiny = larger < 0x1p-450;
  const double factor = huge ? 0x1p-600 : tiny ? 0x1p600 : 1.0;
  const double back = huge ? 0x1p600 : tiny ? 0x1p-600 : 1.0;
  const double a = x * factor;
  const double b = y * factor;
  const bool infinite = abs(x) == kInf<double> || abs(y) == kInf<double>;
  return infinite ? kInf<double> : sqrt(fused(a, a, b * b)) * back;
}

}  // namespace versant::isa::VERSANT_ISA
