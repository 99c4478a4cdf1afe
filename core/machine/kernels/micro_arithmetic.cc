// Micro-ops of arithmetic, rounding and bits.
#include "machine/kernels/loops.h"
#include "machine/vecmath_arithmetic.h"

namespace versant::isa::VERSANT_ISA {

// What `Finish` makes of fmod(x, y), x and y.
template <class Finish>
struct FromFmod {
  template <class T>
  static bool rare(T x, T y) {
    return has_large_quotient(x, y);
  }
  template <class T>
  static T fast(T x, T y) {
    return Finish{}(fmod_of_small_quotient(x, y), x, y);
  }
  template <class T>
  static T slow(T x, T y) {
    return Finish{}(fmod(x, y), x, y);
  }
};
template <class Finish>
FromFmod<Finish> from_fmod(Finish) {
  return {};
}

void fill_arithmetic(Kernels& k) {
  open_all(k, Micro::Neg, [](auto x) { return neg(x); });
  open_all(k, Micro::Abs, [](auto x) { return abs(x); });
  open_all(k, Micro::Sign, [](auto x) { return sign(x); });
  open_all(k, Micro::Square, [](auto x) { return mul(x, x); });
  open_floats(k, Micro::Ceil, [](auto x) { return ceil(x); });
  open_floats(k, Micro::Floor, [](auto x) { return floor(x); });
  open_floats(k, Micro::Round, [](auto x) { return round(x); });
  open_floats(k, Micro::Trunc, [](auto x) { return trunc(x); });
  for (Micro op : {Micro::Ceil, Micro::Floor, Micro::Round, Micro::Trunc}) {
    ints(k, op, [](auto x) { return x; });
  }
  open_floats(k, Micro::Sqrt, [](auto x) { return sqrt(x); });
  open_floats(k, Micro::Rsqrt, [](auto x) { return 1 / sqrt(x); });
  open_floats(k, Micro::Reciprocal, [](auto x) { return 1 / x; });
  floats(k, Micro::RoundBF16, [](auto x) { return static_cast<float>(BFloat16::from(x)); });
  floats(k, Micro::RoundF16, [](auto x) { return static_cast<float>(Half::from(x)); });

  open_all(k, Micro::Add, [](auto x, auto y) { return add(x, y); });
  open_all(k, Micro::Sub, [](auto x, auto y) { return sub(x, y); });
  open_all(k, Micro::Mul, [](auto x, auto y) { return mul(x, y); });
  open_all(k, Micro::Div, [](auto x, auto y) { return div(x, y); });
  floats(k, Micro::Fmod, from_fmod([](auto r, auto, auto) { return r; }));
  floats(k, Micro::Remainder, from_fmod([](auto r, auto, auto y) { return remainder_of(r, y); }));
  floats(k, Micro::FloorDiv, from_fmod([](auto r, auto x, auto y) { return floordiv_of(r, x, y); }));
  ints(k, Micro::Fmod, [](auto x, auto y) { return fmod(x, y); });
  ints(k, Micro::Remainder, [](auto x, auto y) { return remainder(x, y); });
  ints(k, Micro::FloorDiv, [](auto x, auto y) { return floordiv(x, y); });
  open_all(k, Micro::Max, [](auto x, auto y) { return max(x, y); });
  open_all(k, Micro::Min, [](auto x, auto y) { return min(x, y); });
  open_all(k, Micro::Fmax, [](auto x, auto y) { return fmax(x, y); });
  open_all(k, Micro::Fmin, [](auto x, auto y) { return fmin(x, y); });
  open_floats(k, Micro::Copysign, [](auto x, auto y) { return copysign(x, y); });
  floats(k, Micro::Nextafter, [](auto x, auto y) { return nextafter(x, y); });

  ints(k, Micro::BitwiseNot, [](auto x) { return ~x; });
  ints(k, Micro::BitwiseAnd, [](auto x, auto y) { return x & y; });
  ints(k, Micro::BitwiseOr, [](auto x, auto y) { return x | y; });
  ints(k, Micro::BitwiseXor, [](auto x, auto y) { return x ^ y; });
  ints(k, Micro::ShiftLeft, [](auto x, auto y) { return shift_left(x, y); });
  ints(k, Micro::ShiftRight, [](auto x, auto y) { return shift_right(x, y); });
  ints(k, Micro::Gcd, [](auto x, auto y) { return gcd(x, y); });
  ints(k, Micro::Pow, [](auto x, auto y) { return pow(x, y); });
}

}  // namespace versant::isa::VERSANT_ISA
