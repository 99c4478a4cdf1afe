// Loads and stores: between the element types of tensors and the compute types of tile programs.
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#if defined(__AVX512BW__)
#include <immintrin.h>
#endif

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
  } else if (stride == 2) {  // a part of complex numbers
#pragma GCC ivdep
    for (std::ptrdiff_t i = 0; i < n; ++i) y[i] = loaded<dtype, To>(x[2 * i]);
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

// --- 16-bit floats side by side, by the processor's own conversions

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)

constexpr __mmask16 kAll = 0xffff;  // GCC takes the undefined operand of forms without a mask for a mistake
constexpr auto kToNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

__mmask16 first_of(std::ptrdiff_t count) { return static_cast<__mmask16>((1u << count) - 1); }

template <DType dtype>
__m512 widened(__m256i halves) {
  if constexpr (dtype == DType::Float16) return _mm512_maskz_cvtph_ps(kAll, halves);
  return (__m512)_mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, halves), 16);
}

template <DType dtype>
void load_halves(void* out, const void* src, std::ptrdiff_t stride, std::ptrdiff_t n) {
  if (stride != 1) return load<dtype, Compute::F32>(out, src, stride, n);
  float* const y = static_cast<float*>(out);
  const auto* const x = static_cast<const std::uint16_t*>(src);
  std::ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm512_storeu_ps(y + i, widened<dtype>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i))));
  if (i == n) return;
  const __mmask16 rest = first_of(n - i);
  _mm512_mask_storeu_ps(y + i, rest, widened<dtype>(_mm256_maskz_loadu_epi16(rest, x + i)));
}

void store_float16(void* dst, std::ptrdiff_t stride, const void* src, std::ptrdiff_t n) {
  if (stride != 1) return store<DType::Float16, Compute::F32>(dst, stride, src, n);
  auto* const y = static_cast<std::uint16_t*>(dst);
  const float* const x = static_cast<const float*>(src);
  std::ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + i),
                        _mm512_maskz_cvtps_ph(kAll, _mm512_loadu_ps(x + i), kToNearest));
  if (i == n) return;
  const __mmask16 rest = first_of(n - i);
  _mm256_mask_storeu_epi16(y + i, rest,
                           _mm512_maskz_cvtps_ph(kAll, _mm512_maskz_loadu_ps(rest, x + i), kToNearest));
}

// The instruction takes subnormal numbers for zeros: they go the plain way.
__attribute__((target("avx512bf16"))) void store_bfloat16(void* dst, std::ptrdiff_t stride, const void* src,
                                                          std::ptrdiff_t n) {
  if (stride != 1) return store<DType::BFloat16, Compute::F32>(dst, stride, src, n);
  auto* const y = static_cast<BFloat16*>(dst);
  const float* const x = static_cast<const float*>(src);
  constexpr int subnormal = 0x20;
  std::ptrdiff_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m512 low = _mm512_loadu_ps(x + i), high = _mm512_loadu_ps(x + i + 16);
    if (_mm512_fpclass_ps_mask(low, subnormal) | _mm512_fpclass_ps_mask(high, subnormal)) [[unlikely]] {
      for (std::ptrdiff_t l = i; l < i + 32; ++l) y[l] = BFloat16::from(x[l]);
      continue;
    }
    _mm512_storeu_si512(y + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
  }
  for (; i < n; ++i) y[i] = BFloat16::from(x[i]);
}

void fill_halves(Kernels& k) {
  constexpr auto float16 = static_cast<std::size_t>(DType::Float16);
  constexpr auto bfloat16 = static_cast<std::size_t>(DType::BFloat16);
  constexpr auto f32 = static_cast<std::size_t>(Compute::F32);
  k.load[float16][f32] = load_halves<DType::Float16>;
  k.load[bfloat16][f32] = load_halves<DType::BFloat16>;
  k.store[float16][f32] = store_float16;
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bf16")) k.store[bfloat16][f32] = store_bfloat16;
}

#else

void fill_halves(Kernels&) {}

#endif

template <std::size_t d, std::size_t c>
void fill_pair(Kernels& k) {
  k.load[d][c] = load<static_cast<DType>(d), static_cast<Compute>(c)>;
  k.store[d][c] = store<static_cast<DType>(d), static_cast<Compute>(c)>;
}

void fill_convert(Kernels& k) {
  [&]<std::size_t... pair>(std::index_sequence<pair...>) {
    (fill_pair<pair / kComputeCount, pair % kComputeCount>(k), ...);
  }
  (std::make_index_sequence<kRealDTypeCount * kComputeCount>{});
  fill_halves(k);
}

}  // namespace versant::isa::VERSANT_ISA
