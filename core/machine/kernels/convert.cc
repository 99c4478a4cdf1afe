// Loads and stores: between the element types of tensors and the compute types of tile programs.
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

template <Compute compute>
using Register = std::conditional_t<compute == Compute::F32, float,
                                    std::conditional_t<compute == Compute::F64, double, std::int64_t>>;

// Truncates; what does not fit, and NaN, give the lowest value, as the processor's instruction does.
template <class Int, class Float>
Int truncated(Float x) {
  constexpr Int lowest = std::numeric_limits<Int>::min();
  const bool fits = x > static_cast<Float>(lowest) - 1 && x < -static_cast<Float>(lowest);
  return fits ? static_cast<Int>(x) : lowest;
}

template <DType dtype, class To>
To loaded(CppType<dtype> x) {
  if constexpr (dtype == DType::Bool) {
    return static_cast<To>(x != 0);
  } else if constexpr (is_floating(dtype) && std::is_integral_v<To>) {
    using Wide = std::conditional_t<dtype == DType::Float64, double, float>;
    return truncated<To>(static_cast<Wide>(x));
  } else if constexpr (is_floating(dtype) && itemsize(dtype) == 2) {
    return static_cast<To>(static_cast<float>(x));
  } else {
    return static_cast<To>(x);
  }
}

template <DType dtype, class From>
CppType<dtype> stored(From x) {
  using To = CppType<dtype>;
  if constexpr (dtype == DType::Bool) {
    return x != 0;
  } else if constexpr (is_floating(dtype) && itemsize(dtype) == 2) {
    using Wide = std::conditional_t<std::is_same_v<From, float>, float, double>;
    return To::from(static_cast<Wide>(x));
  } else if constexpr (is_integral(dtype) && std::is_floating_point_v<From>) {
    using Whole = std::conditional_t<dtype == DType::Int64, std::int64_t, std::int32_t>;
    return static_cast<To>(truncated<Whole>(x));
  } else {
    return static_cast<To>(x);
  }
}

template <DType dtype, Compute compute>
[[gnu::flatten]] void load(void* out, const void* src, std::ptrdiff_t stride, std::ptrdiff_t n) {
  using From = CppType<dtype>;
  using To = Register<compute>;
  To* const y = static_cast<To*>(out);
  const From* const x = static_cast<const From*>(src);
  if (stride == 1) {
    if constexpr (std::is_same_v<From, To>) {
      std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(To));
    } else {
#pragma GCC ivdep
      for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = loaded<dtype, To>(x[i]);
    }
  } else if (stride == 0) {
    const To value = loaded<dtype, To>(*x);
    for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = value;
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = loaded<dtype, To>(x[i * stride]);
  }
}

template <DType dtype, Compute compute>
[[gnu::flatten]] void store(void* dst, std::ptrdiff_t stride, const void* src, std::ptrdiff_t n) {
  using From = Register<compute>;
  using To = CppType<dtype>;
  To* const y = static_cast<To*>(dst);
  const From* const x = static_cast<const From*>(src);
  if (stride == 1) {
    if constexpr (std::is_same_v<From, To>) {
      std::memcpy(y, x, static_cast<std::size_t>(n) * sizeof(To));
    } else {
#pragma GCC ivdep
      for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = stored<dtype, From>(x[i]);
    }
  } else {
    for (std::ptrdiff_t i = 0; i < n; ++i) y[i * stride] = stored<dtype, From>(x[i]);
  }
}

template <std::size_t d, std::size_t c>
void fill_pair(Kernels& k) {
  k.load[d][c] = load<static_cast<DType>(d), static_cast<Compute>(c)>;
  k.store[d][c] = store<static_cast<DType>(d), static_cast<Compute>(c)>;
}

void fill_convert(Kernels& k) {
  [&]<std::size_t... pair>(std::index_sequence<pair...>) {
    (fill_pair<pair / kComputeCount, pair % kComputeCount>(k), ...);
  }
  (std::make_index_sequence<kDTypeCount * kComputeCount>{});
}

}  // namespace versant::isa::VERSANT_ISA
