// Superinstructions: micro-ops that often occur together, in one loop.
//
// Each is written once, as a function of its operands. Applied to numbers it is the kernel; applied to
// symbols it lists the micro-ops that it stands for. The longer ones come first: a program takes the first
// that fits.
#include "machine/kernels/loops.h"
#include "machine/vecmath_arithmetic.h"
#include "machine/vecmath_erf.h"
#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

namespace {

using Kind = Superinstruction::Kind;

// The superinstruction whose terms the symbols are.
Superinstruction* listed = nullptr;

// A term. Equal terms are one.
struct Symbol {
  std::uint8_t term;

  Symbol(double value) : term(find({Kind::Constant, Micro::Neg, {0, 0, 0}, value})) {}
  static Symbol operand(int number) {
    return Symbol({Kind::Operand, Micro::Neg, {static_cast<std::uint8_t>(number), 0, 0}, 0});
  }
  static Symbol of(Micro micro, Symbol a, Symbol b = no_symbol(), Symbol c = no_symbol()) {
    return Symbol({Kind::Result, micro, {a.term, b.term, c.term}, 0});
  }

 private:
  struct None {};
  explicit Symbol(None) : term(0) {}
  explicit Symbol(const Superinstruction::Term& wanted) : term(find(wanted)) {}
  static Symbol no_symbol() { return Symbol(None{}); }

  static std::uint8_t find(const Superinstruction::Term& wanted) {
    for (int t = 0; t < listed->n_terms; ++t) {
      const Superinstruction::Term& term = listed->terms[t];
      if (term.kind == wanted.kind && term.micro == wanted.micro && term.at[0] == wanted.at[0] &&
          term.at[1] == wanted.at[1] && term.at[2] == wanted.at[2] && term.value == wanted.value)
        return static_cast<std::uint8_t>(t);
    }
    listed->terms[listed->n_terms] = wanted;
    return static_cast<std::uint8_t>(listed->n_terms++);
  }
};

}  // namespace

// Beside the functions of numbers, so that either are found.
static Symbol operator+(Symbol x, Symbol y) { return Symbol::of(Micro::Add, x, y); }
static Symbol operator-(Symbol x, Symbol y) { return Symbol::of(Micro::Sub, x, y); }
static Symbol operator*(Symbol x, Symbol y) { return Symbol::of(Micro::Mul, x, y); }
static Symbol operator/(Symbol x, Symbol y) { return Symbol::of(Micro::Div, x, y); }
static Symbol operator<(Symbol x, Symbol y) { return Symbol::of(Micro::Lt, x, y); }
static Symbol operator<=(Symbol x, Symbol y) { return Symbol::of(Micro::Le, x, y); }
static Symbol operator>(Symbol x, Symbol y) { return Symbol::of(Micro::Gt, x, y); }
static Symbol operator>=(Symbol x, Symbol y) { return Symbol::of(Micro::Ge, x, y); }
static Symbol abs(Symbol x) { return Symbol::of(Micro::Abs, x); }
static Symbol exp(Symbol x) { return Symbol::of(Micro::Exp, x); }
static Symbol expm1(Symbol x) { return Symbol::of(Micro::Expm1, x); }
static Symbol tanh(Symbol x) { return Symbol::of(Micro::Tanh, x); }
static Symbol sigmoid(Symbol x) { return Symbol::of(Micro::Sigmoid, x); }
static Symbol erf(Symbol x) { return Symbol::of(Micro::Erf, x); }
static Symbol max(Symbol x, Symbol y) { return Symbol::of(Micro::Max, x, y); }
static Symbol min(Symbol x, Symbol y) { return Symbol::of(Micro::Min, x, y); }

static Symbol square(Symbol x) { return Symbol::of(Micro::Square, x); }
template <class T>
static T square(T x) {
  return x * x;
}

static Symbol choose(Symbol truth, Symbol x, Symbol y) { return Symbol::of(Micro::Select, truth, x, y); }

namespace {

// max(x, 0): NaN stays, and of two zeros the positive one wins.
Symbol above_zero(Symbol x) { return max(x, 0); }
template <class T>
T above_zero(T x) {
  return x <= 0 ? T(0) : x;
}

// min(x, 0), and min(x, high) for a number other than 0
Symbol below_zero(Symbol x) { return min(x, 0); }
template <class T>
T below_zero(T x) {
  return x > 0 ? T(0) : x;
}
Symbol up_to(Symbol x, Symbol high) { return min(x, high); }
template <class T>
T up_to(T x, T high) {
  return x > high ? high : x;
}

template <class F>
constexpr int arity_of() {
  if constexpr (requires(float x) { F{}(x); }) return 1;
  if constexpr (requires(float x) { F{}(x, x); }) return 2;
  return 3;
}

template <class F>
void add_super(Kernels& k, F) {
  const int number = k.n_supers++;
  Superinstruction& entry = k.supers[number];
  listed = &entry;
  entry.n_operands = arity_of<F>();
  const Symbol x = Symbol::operand(0);
  if constexpr (arity_of<F>() == 1) {
    F{}(x);
  } else if constexpr (arity_of<F>() == 2) {
    F{}(x, Symbol::operand(1));
  } else {
    const Symbol y = Symbol::operand(1);
    F{}(x, y, Symbol::operand(2));
  }
  floats(k, super_code(number), F{});
}

void fill_activations(Kernels& k) {
  // gelu, and its gradient
  add_super(k, [](auto g, auto x) {
    using T = decltype(x);
    const T phi = T(0.5) * (1 + erf(x * T(0.7071067811865476)));
    return g * (phi + x * exp(T(-0.5) * x * x) * T(0.3989422804014327));
  });
  add_super(k, [](auto x) {
    using T = decltype(x);
    return T(0.5) * x * (1 + erf(x * T(0.7071067811865476)));
  });
  // its approximation by tanh
  add_super(k, [](auto g, auto x) {
    using T = decltype(x);
    const T t = tanh(T(0.7978845608028654) * (x + T(0.044715) * x * x * x));
    const T slope = T(0.3989422804014327) * x * (1 - t * t) * (1 + T(0.134145) * x * x);
    return g * (T(0.5) * (1 + t) + slope);
  });
  add_super(k, [](auto x) {
    using T = decltype(x);
    return T(0.5) * x * (1 + tanh(T(0.7978845608028654) * (x + T(0.044715) * x * x * x)));
  });
  // silu
  add_super(k, [](auto g, auto x) {
    const auto s = sigmoid(x);
    return g * (s * (1 + x * (1 - s)));
  });
  add_super(k, [](auto x) { return x * sigmoid(x); });
  // hardswish
  add_super(k, [](auto g, auto x) {
    using T = decltype(x);
    return choose(x <= -3, T(0), choose(x >= 3, g, g * ((2 * x + 3) / 6)));
  });
  add_super(k, [](auto x) {
    using T = decltype(x);
    return x * up_to(above_zero(x + 3), T(6)) / 6;
  });
  add_super(k, [](auto x) {
    using T = decltype(x);
    return up_to(above_zero(x + 3), T(6)) / 6;
  });
  // elu
  add_super(k, [](auto x, auto alpha) { return choose(x > 0, x, expm1(below_zero(x)) * alpha); });
  add_super(k, [](auto g, auto x, auto alpha) { return choose(x > 0, g, g * (exp(below_zero(x)) * alpha)); });
  // the loss of Huber
  add_super(k, [](auto x, auto y, auto delta) {
    using T = decltype(x);
    const T d = x - y, size = abs(d);
    return choose(size <= delta, T(0.5) * square(d), delta * (size - T(0.5) * delta));
  });
  add_super(k, [](auto x, auto y, auto beta) {
    using T = decltype(x);
    const T d = x - y, size = abs(d);
    return choose(size < beta, T(0.5) * square(d) / beta, size - T(0.5) * beta);
  });
  // tanh, sigmoid: gradients
  add_super(k, [](auto g, auto y) { return g * (1 - y * y); });
  add_super(k, [](auto g, auto y) { return g * (y * (1 - y)); });
  // leaky_relu, and its gradient
  add_super(k, [](auto x, auto slope) { return choose(x > 0, x, x * slope); });
  add_super(k, [](auto g, auto x, auto slope) { return choose(x > 0, g, g * slope); });
  add_super(k, [](auto x) { return above_zero(x); });
}

void fill_pairs(Kernels& k) {
  add_super(k, [](auto x, auto y, auto z) { return min(max(x, y), z); });
  add_super(k, [](auto x, auto y) {
    using T = decltype(x);
    return choose(x <= 0, T(0), y);
  });
  add_super(k, [](auto x, auto y, auto z) { return choose(x > 0, y, z); });
  add_super(k, [](auto x, auto y, auto z) { return choose(x <= 0, y, z); });
  add_super(k, [](auto x, auto y) { return square(x - y); });
  add_super(k, [](auto x, auto y) { return abs(x - y); });
  add_super(k, [](auto x, auto y, auto z) { return x * y + z; });
  add_super(k, [](auto x, auto y, auto z) { return x * y - z; });
  add_super(k, [](auto x, auto y, auto z) { return z - x * y; });
  add_super(k, [](auto x, auto y, auto z) { return x * y * z; });
  add_super(k, [](auto x, auto y, auto z) { return (x + y) * z; });
  add_super(k, [](auto x, auto y, auto z) { return (x - y) * z; });
  add_super(k, [](auto x, auto y, auto z) { return x + y + z; });
}

}  // namespace

void fill_super(Kernels& k) {
  fill_activations(k);
  fill_pairs(k);
}

}  // namespace versant::isa::VERSANT_ISA
