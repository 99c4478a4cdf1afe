// The largest of many floats without their signs, as bits: they are in order, and NaN comes after infinity.
#pragma once

#include <cstdint>

#include "machine/kernels/tile.h"

namespace versant::isa::VERSANT_ISA {

template <class Bits>
class Largest {
 public:
  typedef Bits Vector __attribute__((vector_size(kVectorBytes), aligned(sizeof(Bits)), may_alias));
  static constexpr Size kWidth = kVectorBytes / static_cast<Size>(sizeof(Bits));
  static constexpr Bits kRest = static_cast<Bits>(~(Bits{1} << (8 * sizeof(Bits) - 1)));  // all but the sign

  [[gnu::always_inline]] void see(Vector bits) {
    bits &= kRest;
    most_ = bits > most_ ? bits : most_;
  }
  [[gnu::always_inline]] void see(const Largest& other) { most_ = other.most_ > most_ ? other.most_ : most_; }
  // A row of a result, just written.
  template <class T>
  [[gnu::always_inline]] void see_row(const T* row, Size n) {
    Size j = 0;
    for (; j + kWidth <= n; j += kWidth) see(*reinterpret_cast<const Vector*>(row + j));
    if constexpr (kMasked) {
      if (j < n) see((Vector)load_first(row + j, static_cast<int>(n - j)));
    } else {
      for (; j < n; ++j) see_one(*reinterpret_cast<const May*>(row + j));
    }
  }
  // Rows of n, `step` apart. What was seen stays in registers meanwhile.
  template <class T>
  [[gnu::always_inline]] void see_rows(const T* x, Size rows, Size n, Size step) {
    Largest seen = *this;
    for (Size r = 0; r < rows; ++r) seen.see_row(x + r * step, n);
    *this = seen;
  }
  [[gnu::always_inline]] void see_one(Bits bits) {
    bits = static_cast<Bits>(bits & kRest);
    most_[0] = bits > most_[0] ? bits : most_[0];
  }
  uint64_t all() const {
    Bits all = 0;
    for (Size k = 0; k < kWidth; ++k) all = most_[k] > all ? most_[k] : all;
    return static_cast<uint64_t>(all);
  }

 private:
  typedef Bits May __attribute__((may_alias));
  Vector most_ = {};
};

// Of the bits of T.
template <class T>
using LargestOf = Largest<std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>>;

}  // namespace versant::isa::VERSANT_ISA
