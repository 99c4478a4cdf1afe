// Micro-ops that compare, test and choose. Truth is 1 and 0 in the compute type.
#include "machine/kernels/loops.h"
#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

void fill_compare(Kernels& k) {
  open_all(k, Micro::Eq, [](auto x, auto y) { return x == y; });
  open_all(k, Micro::Ne, [](auto x, auto y) { return x != y; });
  open_all(k, Micro::Lt, [](auto x, auto y) { return x < y; });
  open_all(k, Micro::Le, [](auto x, auto y) { return x <= y; });
  open_all(k, Micro::Gt, [](auto x, auto y) { return x > y; });
  open_all(k, Micro::Ge, [](auto x, auto y) { return x >= y; });

  // `&` and `|` on truths: both sides are evaluated, so the loops stay without branches.
  open_all(k, Micro::LogicalNot, [](auto x) { return x == 0; });
  open_all(k, Micro::LogicalAnd, [](auto x, auto y) { return (x != 0) & (y != 0); });
  open_all(k, Micro::LogicalOr, [](auto x, auto y) { return (x != 0) | (y != 0); });
  open_all(k, Micro::LogicalXor, [](auto x, auto y) { return (x != 0) != (y != 0); });

  open_floats(k, Micro::Isnan, [](auto x) { return x != x; });
  open_floats(k, Micro::Isinf, [](auto x) { return abs(x) == kInf<decltype(x)>; });
  open_floats(k, Micro::Isfinite, [](auto x) { return abs(x) < kInf<decltype(x)>; });
  open_floats(k, Micro::Signbit, [](auto x) { return copysign(decltype(x)(1), x) < 0; });
  ints(k, Micro::Isnan, [](auto) { return false; });
  ints(k, Micro::Isinf, [](auto) { return false; });
  ints(k, Micro::Isfinite, [](auto) { return true; });
  ints(k, Micro::Signbit, [](auto x) { return x < 0; });

  open_all(k, Micro::Select, [](auto x, auto y, auto z) { return choose(x != 0, y, z); });
}

}  // namespace versant::isa::VERSANT_ISA
