// The element types of tensors: their sizes, names, kinds and C++ types, and the two 16-bit floating formats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace versant {

// New types are appended: the values index tables (promotion, loads, stores).
enum class DType : std::uint8_t {
  Bool,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64,
  Complex64,
  Complex128
};
inline constexpr std::size_t kDTypeCount = 12;
// Those before the complex ones: what kernels know. A complex array is two real ones to them (complex.h).
inline constexpr std::size_t kRealDTypeCount = 10;

enum class DTypeKind : std::uint8_t { Bool, Unsigned, Signed, Floating, Complex };

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  std::uint8_t itemsize;  // bytes
  DTypeKind kind;
};

inline constexpr std::array<DTypeInfo, kDTypeCount> kDTypes = {{
    {DType::Bool, "bool", 1, DTypeKind::Bool},
    {DType::UInt8, "uint8", 1, DTypeKind::Unsigned},
    {DType::Int8, "int8", 1, DTypeKind::Signed},
    {DType::Int16, "int16", 2, DTypeKind::Signed},
    {DType::Int32, "int32", 4, DTypeKind::Signed},
    {DType::Int64, "int64", 8, DTypeKind::Signed},
    {DType::Float16, "float16", 2, DTypeKind::Floating},
    {DType::BFloat16, "bfloat16", 2, DTypeKind::Floating},
    {DType::Float32, "float32", 4, DTypeKind::Floating},
    {DType::Float64, "float64", 8, DTypeKind::Floating},
    {DType::Complex64, "complex64", 8, DTypeKind::Complex},
    {DType::Complex128, "complex128", 16, DTypeKind::Complex},
}};

static_assert(
    [] {
      for (std::size_t i = 0; i < kDTypeCount; ++i) {
        if (kDTypes[i].dtype != static_cast<DType>(i)) return false;
      }
      return true;
    }(),
    "kDTypes lists the types in the order of the enum");

constexpr const DTypeInfo& info(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }
constexpr std::size_t itemsize(DType dtype) { return info(dtype).itemsize; }
constexpr std::string_view name(DType dtype) { return info(dtype).name; }
constexpr bool is_floating(DType dtype) { return info(dtype).kind == DTypeKind::Floating; }
constexpr bool is_complex(DType dtype) { return dtype >= DType::Complex64; }
// Whether gradients flow through values of this type.
constexpr bool is_differentiable(DType dtype) { return info(dtype).kind >= DTypeKind::Floating; }

// The type of the real and imaginary parts; of real types themselves.
constexpr DType real_dtype(DType dtype) {
  return dtype == DType::Complex64 ? DType::Float32 : dtype == DType::Complex128 ? DType::Float64 : dtype;
}
// Where an element may lie: at multiples of so many bytes.
constexpr std::size_t alignment(DType dtype) { return info(real_dtype(dtype)).itemsize; }
// The complex type with parts of that type; of narrower ones complex64.
constexpr DType complex_dtype(DType dtype) {
  return dtype == DType::Float64 || dtype == DType::Complex128 ? DType::Complex128 : DType::Complex64;
}

// True for the integers, signed and unsigned; false for bool.
constexpr bool is_integral(DType dtype) {
  return info(dtype).kind == DTypeKind::Signed || info(dtype).kind == DTypeKind::Unsigned;
}

// The conversions below are compiled into kernels of several instruction sets. always_inline keeps one
// instruction set's copy from being linked into another's callers.

// The float nearest below or above `x` whose last bit is set when `x` is no float: rounding that once more,
// to a narrower format, equals rounding `x` itself.
[[gnu::always_inline]] constexpr float round_to_odd(double x) {
  const float nearest = static_cast<float>(x);
  const double magnitude = x < 0 ? -x : x;
  const double got = nearest < 0 ? -static_cast<double>(nearest) : static_cast<double>(nearest);
  std::uint32_t bits = __builtin_bit_cast(std::uint32_t, nearest);
  bits -= got > magnitude ? 1U : 0U;
  bits |= got != magnitude ? 1U : 0U;
  return __builtin_bit_cast(float, bits);
}

// IEEE 754 binary16.
struct Half {
  std::uint16_t bits;

  [[gnu::always_inline]] static constexpr Half from(float x) {
    const std::uint32_t all = __builtin_bit_cast(std::uint32_t, x);
    const std::uint32_t sign = all >> 16 & 0x8000U;
    const std::uint32_t f = all & 0x7fffffffU;
    // Normal results: rebias the exponent and round the 13 lost bits to nearest even; a carry may reach
    // infinity.
    const std::uint32_t normal = (f - (112U << 23) + 0xfffU + (f >> 13 & 1U)) >> 13;
    // Subnormal results: adding 0.5 aligns the last kept bit with the last bit of the float.
    const std::uint32_t aligned =
        __builtin_bit_cast(std::uint32_t, __builtin_bit_cast(float, f < (113U << 23) ? f : 0U) + 0.5F);
    const std::uint32_t subnormal = aligned - (126U << 23);
    const std::uint32_t special = f > 0x7f800000U ? 0x7e00U | (f >> 13 & 0x1ffU) : 0x7c00U;
    const std::uint32_t finite = f < (113U << 23) ? subnormal : normal;
    return {static_cast<std::uint16_t>(sign | (f >= (143U << 23) ? special : finite))};
  }
  [[gnu::always_inline]] static constexpr Half from(double x) { return from(round_to_odd(x)); }

  [[gnu::always_inline]] constexpr operator float() const {
    const std::uint32_t sign = (bits & 0x8000U) << 16;
    const std::uint32_t f = (bits & 0x7fffU) << 13;
    const float small = __builtin_bit_cast(float, f + (113U << 23)) - 0x1p-14F;
    const std::uint32_t normal = f + (112U << 23);
    const std::uint32_t finite = f < (1U << 23) ? __builtin_bit_cast(std::uint32_t, small) : normal;
    return __builtin_bit_cast(float, sign | (f >= (31U << 23) ? f | 0x7f800000U : finite));
  }
};

// The upper half of a float32.
struct BFloat16 {
  std::uint16_t bits;

  [[gnu::always_inline]] static constexpr BFloat16 from(float x) {
    const std::uint32_t f = __builtin_bit_cast(std::uint32_t, x);
    const std::uint32_t rounded = (f + 0x7fffU + (f >> 16 & 1U)) >> 16;
    const std::uint32_t quiet = f >> 16 | 0x40U;
    return {static_cast<std::uint16_t>((f & 0x7fffffffU) > 0x7f800000U ? quiet : rounded)};
  }
  [[gnu::always_inline]] static constexpr BFloat16 from(double x) { return from(round_to_odd(x)); }

  [[gnu::always_inline]] constexpr operator float() const {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
  }
};

// How one element of a type lies in memory. Bool is a byte: anything but 0 counts as true, 1 is written.
template <DType dtype>
struct CppTypeOf;
template <>
struct CppTypeOf<DType::Bool> {
  using type = std::uint8_t;
};
template <>
struct CppTypeOf<DType::UInt8> {
  using type = std::uint8_t;
};
template <>
struct CppTypeOf<DType::Int8> {
  using type = std::int8_t;
};
template <>
struct CppTypeOf<DType::Int16> {
  using type = std::int16_t;
};
template <>
struct CppTypeOf<DType::Int32> {
  using type = std::int32_t;
};
template <>
struct CppTypeOf<DType::Int64> {
  using type = std::int64_t;
};
template <>
struct CppTypeOf<DType::Float16> {
  using type = Half;
};
template <>
struct CppTypeOf<DType::BFloat16> {
  using type = BFloat16;
};
template <>
struct CppTypeOf<DType::Float32> {
  using type = float;
};
template <>
struct CppTypeOf<DType::Float64> {
  using type = double;
};
template <DType dtype>
using CppType = typename CppTypeOf<dtype>::type;

}  // namespace versant
