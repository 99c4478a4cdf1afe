// Numbers scaled in place, with a look at whether they were finite.
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

namespace {

// All bits of the exponent are set in infinities and NaNs, and in no other number.
template <class T>
bool scale(void* data, std::ptrdiff_t n, double factor) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr auto exponent = static_cast<Bits>(sizeof(T) == 4 ? 0x7f800000u : 0x7ff0000000000000u);
  T* const x = static_cast<T*>(data);
  const T by = static_cast<T>(factor);
  Bits found = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof(T));
    found |= static_cast<Bits>((bits & exponent) == exponent);
    x[i] = x[i] * by;
  }
  return found == 0;
}

}  // namespace

void fill_scale(Kernels& k) {
  k.scale_f32 = scale<float>;
  k.scale_f64 = scale<double>;
}

}  // namespace versant::isa::VERSANT_ISA
