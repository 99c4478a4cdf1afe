// From a dtype at run time to a C++ type in a template.
#pragma once

#include "machine/dtype.h"
#include "machine/error.h"

namespace versant {

// An element of 16 bytes.
struct Wide {
  uint64_t low, high;
  bool operator==(const Wide&) const = default;
};

// Calls visit.operator()<T>() with an unsigned integer (or Wide) of the dtype's size: for ops that move
// elements.
template <typename Visit>
decltype(auto) visit_size(DType dtype, Visit&& visit) {
  switch (itemsize(dtype)) {
    case 1:
      return visit.template operator()<uint8_t>();
    case 2:
      return visit.template operator()<uint16_t>();
    case 4:
      return visit.template operator()<uint32_t>();
    case 8:
      return visit.template operator()<uint64_t>();
    default:
      return visit.template operator()<Wide>();
  }
}

// Calls visit.operator()<T>() with the arithmetic type of the dtype (bool: uint8_t). float16 and bfloat16
// have none; callers convert them to float32 first.
template <typename Visit>
decltype(auto) visit_number(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::Bool:
    case DType::UInt8:
      return visit.template operator()<uint8_t>();
    case DType::Int8:
      return visit.template operator()<int8_t>();
    case DType::Int16:
      return visit.template operator()<int16_t>();
    case DType::Int32:
      return visit.template operator()<int32_t>();
    case DType::Int64:
      return visit.template operator()<int64_t>();
    case DType::Float64:
      return visit.template operator()<double>();
    case DType::Float32:
      return visit.template operator()<float>();
    default:
      fail(ErrorKind::DType, "not implemented for ", name(dtype));
  }
}

constexpr bool is_half(DType dtype) { return dtype == DType::Float16 || dtype == DType::BFloat16; }

}  // namespace versant
