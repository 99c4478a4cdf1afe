// Copies past the caches: what is written is not read first, and does not push out what is.
#include <cstring>

#include "machine/kernels.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace versant::isa::VERSANT_ISA {

namespace {

// `to` lies on a multiple of 64 bytes.
void stream(void* to, const void* from, std::ptrdiff_t bytes) {
  std::ptrdiff_t done = 0;
#if defined(__AVX512F__)
  for (; done + 64 <= bytes; done += 64)
    _mm512_stream_si512(reinterpret_cast<__m512i*>(static_cast<char*>(to) + done),
                        _mm512_loadu_si512(static_cast<const char*>(from) + done));
#elif defined(__AVX2__)
  for (; done + 32 <= bytes; done += 32)
    _mm256_stream_si256(
        reinterpret_cast<__m256i*>(static_cast<char*>(to) + done),
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(static_cast<const char*>(from) + done)));
#endif
  std::memcpy(static_cast<char*>(to) + done, static_cast<const char*>(from) + done,
              static_cast<std::size_t>(bytes - done));
}

void end_stream() {
#if defined(__AVX2__)
  _mm_sfence();
#endif
}

}  // namespace

void fill_stream(Kernels& k) {
  k.stream = stream;
  k.end_stream = end_stream;
}

}  // namespace versant::isa::VERSANT_ISA
