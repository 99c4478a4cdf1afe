#include "machine/promote.h"

#include "machine/error.h"

namespace versant {

namespace {

DType current_default = DType::Float32;

int category(DType dtype) {
  return dtype == DType::Bool ? 0 : is_complex(dtype) ? 3 : is_floating(dtype) ? 2 : 1;
}

bool is_signed(DType dtype) { return dtype != DType::UInt8 && dtype != DType::Bool; }

int combine(int higher, int lower) {
  if (higher < 0) return lower;
  if (lower < 0) return higher;
  const auto a = static_cast<DType>(higher), b = static_cast<DType>(lower);
  if (category(b) <= category(a)) return higher;
  if (category(a) == 2) return static_cast<int>(complex_dtype(a));  // keeps its precision
  return static_cast<int>(category(a) == 0 || category(b) >= 2 ? promote_types(a, b) : b);
}

}  // namespace

DType promote_types(DType a, DType b) {
  if (a == b) return a;
  if (is_complex(a) || is_complex(b))
    return a == DType::Complex128 || b == DType::Complex128 || a == DType::Float64 || b == DType::Float64
               ? DType::Complex128
               : DType::Complex64;
  if (category(a) != category(b)) return category(a) > category(b) ? a : b;
  if (category(a) == 2) {
    const bool halves = itemsize(a) == 2 && itemsize(b) == 2;
    if (halves) return DType::Float32;  // float16 and bfloat16
    return itemsize(a) > itemsize(b) ? a : b;
  }
  if (is_signed(a) != is_signed(b)) {
    const DType with_sign = is_signed(a) ? a : b;
    return with_sign == DType::Int8 ? DType::Int16 : with_sign;
  }
  return itemsize(a) > itemsize(b) ? a : b;
}

DType default_float() { return current_default; }

DType dtype_of(const Scalar& number) {
  switch (number.kind) {
    case Scalar::Kind::Bool:
      return DType::Bool;
    case Scalar::Kind::Int:
      return DType::Int64;
    case Scalar::Kind::Complex:
      return complex_dtype(current_default);
    case Scalar::Kind::Float:
      break;
  }
  return current_default;
}

void set_default_float(DType dtype) {
  if (!is_floating(dtype))
    fail(ErrorKind::Type, "[set_default_dtype] only floating-point dtypes, got ", name(dtype));
  current_default = dtype;
}

void Promotion::add(const Scalar& scalar) {
  const DType dtype = dtype_of(scalar);
  numbers_ = numbers_ < 0 ? static_cast<int>(dtype)
                          : static_cast<int>(promote_types(static_cast<DType>(numbers_), dtype));
}

DType Promotion::result() const {
  const int lower = combine(without_axes_, numbers_);
  return static_cast<DType>(combine(with_axes_, lower));
}

bool can_cast_in_place(DType from, DType to) { return category(from) <= category(to); }

namespace {

// Negative numbers wrap around in unsigned dtypes, as far as their magnitude fits.
bool fits(int64_t value, DType dtype) {
  const int bits = static_cast<int>(itemsize(dtype)) * 8;
  if (bits == 64) return true;
  if (dtype == DType::UInt8) return value >= -255 && value <= 255;
  return value >= -(int64_t{1} << (bits - 1)) && value < (int64_t{1} << (bits - 1));
}
bool fits(double value, DType dtype) {
  return value >= -0x1p63 && value < 0x1p63 && fits(static_cast<int64_t>(value), dtype);
}

}  // namespace

void check_range(const Scalar& value, DType dtype, const char* op) {
  if (value.is_complex() && !is_complex(dtype) && value.imaginary != 0)
    fail(ErrorKind::Runtime, "[", op, "] value ", text(value.f), " + ", text(value.imaginary),
         "j cannot be converted to ", name(dtype), " without overflow");
  const bool fraction = !value.is_whole();
  if (!is_integral(dtype) || (fraction ? fits(value.f, dtype) : fits(value.i, dtype))) return;
  fail(ErrorKind::Runtime, "[", op, "] value ", fraction ? text(value.f) : text(value.i),
       " cannot be converted to ", name(dtype), " without overflow");
}

}  // namespace versant
