// The largest element of an array without its sign, and what elements are like.
#include <cstdint>

#include "machine/kernels.h"
#include "machine/kernels/largest.h"

namespace versant::isa::VERSANT_ISA {

template <class Bits>
uint64_t largest_bits(const void* data, std::ptrdiff_t n) {
  using L = Largest<Bits>;
  typedef Bits Element __attribute__((may_alias));
  const Element* const x = static_cast<const Element*>(data);
  // Several maxima, so that one comparison need not wait for the other.
  L first, second, third, fourth;
  const auto see = [&](L& most, std::ptrdiff_t i) {
    most.see(*reinterpret_cast<const typename L::Vector*>(x + i));
  };
  std::ptrdiff_t i = 0;
  for (; i + 4 * L::kWidth <= n; i += 4 * L::kWidth) {
    see(first, i);
    see(second, i + L::kWidth);
    see(third, i + 2 * L::kWidth);
    see(fourth, i + 3 * L::kWidth);
  }
  first.see(second);
  third.see(fourth);
  first.see(third);
  for (; i < n; ++i) first.see_one(x[i]);
  return first.all();
}

template <class T, class Bits>
struct Wide {
  typedef T Numbers __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  typedef Bits Integers __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));
  static constexpr std::ptrdiff_t kLanes = kVectorBytes / static_cast<std::ptrdiff_t>(sizeof(T));
};

// Sums of a stretch whose elements are finite; else `sum` is not finite.
template <class T, class Bits>
struct Stretch {
  using V = Wide<T, Bits>;
  typename V::Numbers sum = {}, squares = {}, low, high;
  typename V::Integers zeros = {};

  explicit Stretch(T infinity)
      : low(infinity - typename V::Numbers{}), high(-infinity + typename V::Numbers{}) {}
  void see(typename V::Numbers x) {
    sum += x;
    squares += x * x;
    low = x < low ? x : low;
    high = x > high ? x : high;
    zeros -= x == typename V::Numbers{};
  }
};

template <class T, class Bits>
void health(const void* data, std::ptrdiff_t n, Health& health) {
  using V = Wide<T, Bits>;
  constexpr std::ptrdiff_t kStretch = 64 * V::kLanes;  // whose sums are taken in T
  const T infinity = static_cast<T>(__builtin_huge_val());
  const T* const x = static_cast<const T*>(data);
  T least = infinity, most = -infinity;
  for (std::ptrdiff_t from = 0; from < n; from += kStretch) {
    const std::ptrdiff_t end = from + kStretch < n ? from + kStretch : n;
    Stretch<T, Bits> first(infinity), second(infinity);
    std::ptrdiff_t i = from;
    for (; i + 2 * V::kLanes <= end; i += 2 * V::kLanes) {
      first.see(*reinterpret_cast<const typename V::Numbers*>(x + i));
      second.see(*reinterpret_cast<const typename V::Numbers*>(x + i + V::kLanes));
    }
    first.sum += second.sum;
    first.squares += second.squares;
    first.zeros += second.zeros;
    double sum = 0, squares = 0;
    for (std::ptrdiff_t k = 0; k < V::kLanes; ++k) {
      sum += static_cast<double>(first.sum[k]);
      squares += static_cast<double>(first.squares[k]);
    }
    if (sum - sum == 0 && squares - squares == 0) {
      for (std::ptrdiff_t k = 0; k < V::kLanes; ++k) {
        health.zeros += static_cast<int64_t>(first.zeros[k]);
        least = first.low[k] < least ? first.low[k] : least;
        least = second.low[k] < least ? second.low[k] : least;
        most = first.high[k] > most ? first.high[k] : most;
        most = second.high[k] > most ? second.high[k] : most;
      }
    } else {  // some are not finite, or too large to be squared: one by one
      sum = squares = 0;
      i = from;
    }
    for (; i < end; ++i) {
      const T value = x[i];
      health.zeros += value == 0 ? 1 : 0;
      if (value - value != 0) {
        ++(value == value ? health.inf : health.nan);
        continue;
      }
      sum += static_cast<double>(value);
      squares += static_cast<double>(value) * static_cast<double>(value);
      least = value < least ? value : least;
      most = value > most ? value : most;
    }
    health.sum += sum;
    health.squares += squares;
  }
  health.n = n;
  health.min = least;
  health.max = most;
}

void fill_magnitude(Kernels& k) {
  k.health[0] = health<float, int32_t>;
  k.health[1] = health<double, int64_t>;
  k.largest_bits[0] = largest_bits<int16_t>;
  k.largest_bits[1] = largest_bits<int32_t>;
  k.largest_bits[2] = largest_bits<int64_t>;
}

}  // namespace versant::isa::VERSANT_ISA
