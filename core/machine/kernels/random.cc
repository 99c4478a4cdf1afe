// Random words, and what is made of them in float32. Nothing here fuses a product with a sum, so the draws
// are the same bits on every instruction set.
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

#if defined(__AVX512F__)
constexpr int kBlocksAtOnce = 8;
#elif defined(__AVX2__)
constexpr int kBlocksAtOnce = 4;
#else
constexpr int kBlocksAtOnce = 2;
#endif
using Wide [[gnu::vector_size(kBlocksAtOnce * 8)]] = std::uint64_t;
using Words [[gnu::vector_size(kBlocksAtOnce * 4)]] = std::uint32_t;

// The products of the low halves.
inline Wide multiply(Wide a, Wide b) {
#if defined(__AVX512F__)
  return (Wide)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xffffffff) * (b & 0xffffffff);
#endif
}

// Each word stands in the low half of a 64-bit lane; what a round leaves in the high half is not looked at.
void philox(std::uint32_t* out, std::uint64_t seed, std::uint64_t block, std::ptrdiff_t groups) {
  constexpr int kRounds = 10, kGroup = 16;
  Wide first{};
  for (int l = 0; l < kBlocksAtOnce; ++l) first[l] = static_cast<std::uint64_t>(l);
  for (std::ptrdiff_t g = 0; g < groups; ++g, out += 4 * kGroup, block += kGroup) {
    for (int l = 0; l < kGroup; l += kBlocksAtOnce) {
      Wide c0 = first + (block + static_cast<std::uint64_t>(l)), c1 = c0 >> 32, c2{}, c3{};
      auto key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
#pragma GCC unroll 10
      for (int round = 0; round < kRounds; ++round) {
        const Wide p = multiply(c0, Wide{} + 0xD2511F53U), q = multiply(c2, Wide{} + 0xCD9E8D57U);
        c0 = q >> 32 ^ c1 ^ key0;
        c2 = p >> 32 ^ c3 ^ key1;
        c1 = q;
        c3 = p;
        key0 += 0x9E3779B9U;
        key1 += 0xBB67AE85U;
      }
      const Wide counter[4] = {c0, c1, c2, c3};
      for (int w = 0; w < 4; ++w) {
        const Words words = __builtin_convertvector(counter[w], Words);
        std::memcpy(out + w * kGroup + l, &words, sizeof(words));
      }
    }
  }
}

// low + (high - low) u with u = the upper bits of a word as a fraction, at most `limit`.
void uniform(float* out, const std::uint32_t* words, std::ptrdiff_t n, const UniformRange& range) {
  const int drop = 32 - range.bits;
  const float unit = 1.0F / static_cast<float>(1U << range.bits);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const float u = static_cast<float>(static_cast<std::int32_t>(words[i] >> drop)) * unit;
    const float x = u * range.width + range.low;
    out[i] = x < range.limit ? x : range.limit;
  }
}

// The natural logarithm for 0 < u <= 1.
inline float log_of_fraction(float u) {
  const std::uint32_t split = __builtin_bit_cast(std::uint32_t, u) - 0x3f3504f3U;
  const auto e = static_cast<float>(static_cast<std::int32_t>(split) >> 23);
  const float f = __builtin_bit_cast(float, (split & 0x7fffffU) + 0x3f3504f3U) - 1;
  float p = 0.0533790812F;
  p = p * f + -0.109158747F;
  p = p * f + 0.121088773F;
  p = p * f + -0.125497445F;
  p = p * f + 0.142095715F;
  p = p * f + -0.166593671F;
  p = p * f + 0.200022236F;
  p = p * f + -0.250001669F;
  p = p * f + 0.333333135F;
  const float square = f * f;
  return e * 0x1.62e4p-1F + (f + (e * 1.42860677e-06F + (square * f * p - 0.5F * square)));
}

// Box and Muller: of words 0 and 1 (2 and 3) of a block, the first gives the radius, the second the angle.
void normal(float* out, const std::uint32_t* words, std::ptrdiff_t groups, float mean, float deviation) {
  constexpr int kGroup = 16;
  for (std::ptrdiff_t pair = 0; pair < 2 * groups; ++pair, words += 2 * kGroup, out += 2 * kGroup) {
#pragma GCC ivdep
    for (int l = 0; l < kGroup; ++l) {
      const std::uint32_t a = words[l], b = words[kGroup + l];
      const float u = static_cast<float>(static_cast<std::int32_t>(a >> 1)) * 0x1p-31F + 0x1p-32F;
      const float radius = __builtin_sqrtf(-2.0F * log_of_fraction(u)) * deviation;
      // A quarter of the circle, and x in [-pi/4, pi/4) within it.
      const std::uint32_t quarter = b >> 30;
      const float x =
          static_cast<float>(static_cast<std::int32_t>(b & 0x3fffffffU) - (1 << 29)) * 0x1.921fb6p-30F;
      const float z = x * x;
      const float sine = x + x * z * (-1.6666654611e-1F + z * (8.3321608736e-3F + z * -1.9515295891e-4F));
      const float cosine =
          1 - 0.5F * z +
          z * z * (4.166664568298827e-2F + z * (-1.388731625493765e-3F + z * 2.443315711809948e-5F));
      const bool swap = quarter & 1;
      const std::uint32_t c = __builtin_bit_cast(std::uint32_t, swap ? sine : cosine);
      const std::uint32_t s = __builtin_bit_cast(std::uint32_t, swap ? cosine : sine);
      out[l] = __builtin_bit_cast(float, c ^ ((quarter + 1) & 2) << 30) * radius + mean;
      out[kGroup + l] = __builtin_bit_cast(float, s ^ (quarter & 2) << 30) * radius + mean;
    }
  }
}

void dropout(float* out, const float* x, const std::uint32_t* words, std::ptrdiff_t n,
             std::uint32_t threshold, float scale) {
#pragma GCC ivdep
  for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = words[i] >= threshold ? x[i] * scale : 0.0F;
}

void fill_random(Kernels& k) {
  k.philox = philox;
  k.uniform = uniform;
  k.normal = normal;
  k.dropout = dropout;
}

}  // namespace versant::isa::VERSANT_ISA
