// The largest element of an array without its sign, as the bits of a float: they are in order, and NaN comes
// after infinity.
#include <cstdint>

#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

template <class Bits>
uint64_t largest_bits(const void* data, std::ptrdiff_t n) {
  constexpr Bits kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  constexpr std::ptrdiff_t kLanes = 256 / static_cast<std::ptrdiff_t>(sizeof(Bits));
  const Bits* const x = static_cast<const Bits*>(data);
  const auto plain = [&](std::ptrdiff_t i) { return static_cast<Bits>(x[i] & static_cast<Bits>(~kSign)); };
  // Several vectors of maxima, so that one comparison need not wait for the other.
  Bits most[kLanes] = {};
  std::ptrdiff_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (std::ptrdiff_t k = 0; k < kLanes; ++k) {
      const Bits bits = plain(i + k);
      most[k] = bits > most[k] ? bits : most[k];
    }
  Bits all = 0;
  for (std::ptrdiff_t k = 0; k < kLanes; ++k) all = most[k] > all ? most[k] : all;
  for (; i < n; ++i) all = plain(i) > all ? plain(i) : all;
  return all;
}

template <class T, class Bits>
void health(const void* data, std::ptrdiff_t n, Health& health) {
  constexpr Bits kInfinity = static_cast<Bits>(sizeof(T) == 4 ? 0x7f800000 : 0x7ff0000000000000);
  constexpr Bits kRest = static_cast<Bits>(~Bits{0}) >> 1;
  constexpr std::ptrdiff_t kLanes = 64 / static_cast<std::ptrdiff_t>(sizeof(T));
  constexpr std::ptrdiff_t kTile = 32 * kLanes;  // whose sums are taken in T
  const T infinity = __builtin_huge_val();
  const T* const x = static_cast<const T*>(data);
  const Bits* const bits = static_cast<const Bits*>(data);
  T least = infinity, most = -infinity;
  for (std::ptrdiff_t from = 0; from < n; from += kTile) {
    T sum[kLanes] = {}, squares[kLanes] = {}, low[kLanes], high[kLanes];
    Bits nan[kLanes] = {}, inf[kLanes] = {}, zeros[kLanes] = {};
    for (std::ptrdiff_t k = 0; k < kLanes; ++k) low[k] = infinity, high[k] = -infinity;
    const auto see = [&](std::ptrdiff_t i, std::ptrdiff_t k) {
      const Bits plain = bits[i] & kRest;
      const bool finite = plain < kInfinity;
      const T value = finite ? x[i] : T(0), above = finite ? x[i] : infinity,
              below = finite ? x[i] : -infinity;
      sum[k] += value;
      squares[k] += value * value;
      low[k] = above < low[k] ? above : low[k];
      high[k] = below > high[k] ? below : high[k];
      nan[k] += plain > kInfinity ? 1 : 0;
      inf[k] += plain == kInfinity ? 1 : 0;
      zeros[k] += plain == 0 ? 1 : 0;
    };
    const std::ptrdiff_t end = from + kTile < n ? from + kTile : n;
    std::ptrdiff_t i = from;
    for (; i + kLanes <= end; i += kLanes)
      for (std::ptrdiff_t k = 0; k < kLanes; ++k) see(i + k, k);
    for (; i < end; ++i) see(i, 0);
    for (std::ptrdiff_t k = 0; k < kLanes; ++k) {
      health.sum += sum[k];
      health.squares += squares[k];
      health.nan += static_cast<int64_t>(nan[k]);
      health.inf += static_cast<int64_t>(inf[k]);
      health.zeros += static_cast<int64_t>(zeros[k]);
      least = low[k] < least ? low[k] : least;
      most = high[k] > most ? high[k] : most;
    }
  }
  health.n = n;
  health.min = least;
  health.max = most;
}

void fill_magnitude(Kernels& k) {
  k.health[0] = health<float, uint32_t>;
  k.health[1] = health<double, uint64_t>;
  k.largest_bits[0] = largest_bits<uint16_t>;
  k.largest_bits[1] = largest_bits<uint32_t>;
  k.largest_bits[2] = largest_bits<uint64_t>;
}

}  // namespace versant::isa::VERSANT_ISA
