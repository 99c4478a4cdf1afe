// The micro-ops: the scalar instructions that tile programs are made of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace versant {

// The type of a tile program's registers.
enum class Compute : std::uint8_t { F32, F64, I64 };
inline constexpr std::size_t kComputeCount = 3;

enum class Micro : std::uint8_t {
  // one operand
  Neg,
  Abs,
  Sign,
  Square,
  LogicalNot,
  BitwiseNot,
  Ceil,
  Floor,
  Round,
  Trunc,
  Sqrt,
  Rsqrt,
  Reciprocal,
  Exp,
  Exp2,
  Expm1,
  Log,
  Log2,
  Log10,
  Log1p,
  Sin,
  Cos,
  Tan,
  Asin,
  Acos,
  Atan,
  Sinh,
  Cosh,
  Tanh,
  Asinh,
  Acosh,
  Atanh,
  Sigmoid,
  Erf,
  Erfc,
  Erfinv,
  Erfcx,
  Lgamma,
  Digamma,
  I0,
  I0e,
  I1,
  I1e,
  Isnan,
  Isinf,
  Isfinite,
  Signbit,
  RoundBF16,
  RoundF16,
  // two operands
  Add,
  Sub,
  Mul,
  Div,
  FloorDiv,
  Remainder,
  Fmod,
  Pow,
  Atan2,
  Hypot,
  Max,
  Min,
  Fmax,
  Fmin,
  Copysign,
  Nextafter,
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  BitwiseAnd,
  BitwiseOr,
  BitwiseXor,
  ShiftLeft,
  ShiftRight,
  LogicalAnd,
  LogicalOr,
  LogicalXor,
  Gcd,
  Polygamma,
  Zeta,
  Gammainc,
  Gammaincc,
  GammaSlope,
  // three operands
  BetaSlope,
  Select,
};
inline constexpr std::size_t kMicroCount = static_cast<std::size_t>(Micro::Select) + 1;

struct MicroInfo {
  Micro op;
  std::string_view name;
  std::uint8_t arity;
  bool floats;  // there are F32 and F64 kernels
  bool ints;    // there is an I64 kernel
};

// Comparisons, tests and logical ops give 0 or 1 in the compute type. Integer arithmetic wraps.
inline constexpr std::array<MicroInfo, kMicroCount> kMicro = {{
    {Micro::Neg, "neg", 1, true, true},
    {Micro::Abs, "abs", 1, true, true},
    {Micro::Sign, "sign", 1, true, true},      // -1, 0 or 1; sign(-0) = 0, sign(NaN) = NaN
    {Micro::Square, "square", 1, true, true},  // x * x
    {Micro::LogicalNot, "logical_not", 1, true, true},
    {Micro::BitwiseNot, "bitwise_not", 1, false, true},
    {Micro::Ceil, "ceil", 1, true, true},
    {Micro::Floor, "floor", 1, true, true},
    {Micro::Round, "round", 1, true, true},  // ties to even
    {Micro::Trunc, "trunc", 1, true, true},
    {Micro::Sqrt, "sqrt", 1, true, false},
    {Micro::Rsqrt, "rsqrt", 1, true, false},  // 1 / sqrt(x), rounded twice
    {Micro::Reciprocal, "reciprocal", 1, true, false},
    {Micro::Exp, "exp", 1, true, false},
    {Micro::Exp2, "exp2", 1, true, false},
    {Micro::Expm1, "expm1", 1, true, false},
    {Micro::Log, "log", 1, true, false},
    {Micro::Log2, "log2", 1, true, false},
    {Micro::Log10, "log10", 1, true, false},
    {Micro::Log1p, "log1p", 1, true, false},
    {Micro::Sin, "sin", 1, true, false},
    {Micro::Cos, "cos", 1, true, false},
    {Micro::Tan, "tan", 1, true, false},
    {Micro::Asin, "asin", 1, true, false},
    {Micro::Acos, "acos", 1, true, false},
    {Micro::Atan, "atan", 1, true, false},
    {Micro::Sinh, "sinh", 1, true, false},
    {Micro::Cosh, "cosh", 1, true, false},
    {Micro::Tanh, "tanh", 1, true, false},
    {Micro::Asinh, "asinh", 1, true, false},
    {Micro::Acosh, "acosh", 1, true, false},
    {Micro::Atanh, "atanh", 1, true, false},
    {Micro::Sigmoid, "sigmoid", 1, true, false},  // 1 / (1 + exp(-x))
    {Micro::Erf, "erf", 1, true, false},
    {Micro::Erfc, "erfc", 1, true, false},
    {Micro::Erfinv, "erfinv", 1, true, false},
    {Micro::Erfcx, "erfcx", 1, true, false},    // exp(x^2) erfc(x)
    {Micro::Lgamma, "lgamma", 1, true, false},  // log |gamma(x)|
    {Micro::Digamma, "digamma", 1, true, false},
    {Micro::I0, "i0", 1, true, false},    // modified Bessel functions of the first kind
    {Micro::I0e, "i0e", 1, true, false},  // i0(x) exp(-|x|)
    {Micro::I1, "i1", 1, true, false},
    {Micro::I1e, "i1e", 1, true, false},
    {Micro::Isnan, "isnan", 1, true, true},
    {Micro::Isinf, "isinf", 1, true, true},
    {Micro::Isfinite, "isfinite", 1, true, true},
    {Micro::Signbit, "signbit", 1, true, true},
    {Micro::RoundBF16, "round_bf16", 1, true, false},  // the nearest bfloat16
    {Micro::RoundF16, "round_f16", 1, true, false},    // the nearest float16
    {Micro::Add, "add", 2, true, true},
    {Micro::Sub, "sub", 2, true, true},
    {Micro::Mul, "mul", 2, true, true},
    {Micro::Div, "div", 2, true, true},              // integers: toward zero
    {Micro::FloorDiv, "floordiv", 2, true, true},    // Python's //
    {Micro::Remainder, "remainder", 2, true, true},  // Python's %: the sign of the divisor
    {Micro::Fmod, "fmod", 2, true, true},            // C's %: the sign of the dividend
    {Micro::Pow, "pow", 2, true, true},  // integers: modulo 2^64; a negative exponent gives 0 unless |a| = 1
    {Micro::Atan2, "atan2", 2, true, false},
    {Micro::Hypot, "hypot", 2, true, false},
    {Micro::Max, "max", 2, true, true},  // NaN wins; -0 < +0
    {Micro::Min, "min", 2, true, true},
    {Micro::Fmax, "fmax", 2, true, true},  // a number wins over NaN; -0 < +0
    {Micro::Fmin, "fmin", 2, true, true},
    {Micro::Copysign, "copysign", 2, true, false},
    {Micro::Nextafter, "nextafter", 2, true, false},
    {Micro::Eq, "eq", 2, true, true},
    {Micro::Ne, "ne", 2, true, true},
    {Micro::Lt, "lt", 2, true, true},
    {Micro::Le, "le", 2, true, true},
    {Micro::Gt, "gt", 2, true, true},
    {Micro::Ge, "ge", 2, true, true},
    {Micro::BitwiseAnd, "bitwise_and", 2, false, true},
    {Micro::BitwiseOr, "bitwise_or", 2, false, true},
    {Micro::BitwiseXor, "bitwise_xor", 2, false, true},
    {Micro::ShiftLeft, "shift_left", 2, false, true},    // by < 0 or > 63: 0
    {Micro::ShiftRight, "shift_right", 2, false, true},  // keeps the sign; by < 0 or > 63: 0 or -1
    {Micro::LogicalAnd, "logical_and", 2, true, true},
    {Micro::LogicalOr, "logical_or", 2, true, true},
    {Micro::LogicalXor, "logical_xor", 2, true, true},
    {Micro::Gcd, "gcd", 2, false, true},
    {Micro::Polygamma, "polygamma", 2, true, false},  // (order, x)
    {Micro::Zeta, "zeta", 2, true, false},            // (exponent, first term)
    {Micro::Gammainc, "gammainc", 2, true, false},    // (a, x): regularised, lower and upper
    {Micro::Gammaincc, "gammaincc", 2, true, false},
    {Micro::GammaSlope, "gamma_slope", 2, true, false},  // (a, x): dx/da where gammainc(a, x) is kept
    {Micro::BetaSlope, "beta_slope", 3, true, false},    // (x, a, b): of beta's, over 1 - x
    {Micro::Select, "select", 3, true, true},            // a != 0 ? b : c
}};

static_assert(
    [] {
      for (std::size_t i = 0; i < kMicroCount; ++i) {
        if (kMicro[i].op != static_cast<Micro>(i)) return false;
      }
      return true;
    }(),
    "kMicro lists the micro-ops in the order of the enum");

constexpr const MicroInfo& info(Micro op) { return kMicro[static_cast<std::size_t>(op)]; }

// The micro-op of that name, if there is one.
constexpr std::optional<Micro> find_micro(std::string_view name) {
  for (const MicroInfo& row : kMicro) {
    if (row.name == name) return row.op;
  }
  return std::nullopt;
}

}  // namespace versant
