// How large the largest element of an array is, and with that whether all are finite.
#pragma once

#include <vector>

#include "machine/array.h"
#include "machine/kernels.h"

namespace versant {

enum class Magnitude : uint8_t { Finite, Infinite, NotANumber };

// What the largest bits without the sign say, as kernels->largest_bits has them.
Magnitude magnitude_of(uint64_t largest, DType dtype);
// NotANumber if any element is; else Infinite if any is; Finite for arrays of integers and bools.
Magnitude magnitude(const Array& array);
// What the elements are like; of complex numbers their parts. The bits do not depend on the number of
// threads.
Health health(const Array& array);
// Counts of about `most` elements, evenly spread over the array, in equal steps from `low` to `high`.
std::vector<int64_t> histogram(const Array& array, double low, double high, int bins, int64_t most = 4096);
// The place of the first element, row by row, that is not finite; -1 if all are.
int64_t first_not_finite(const Array& array);
inline bool is_infinite(const Scalar& x) {
  const auto infinite = [](double v) { return v - v != 0 && v == v; };
  return !x.is_whole() && (infinite(x.f) || infinite(x.imaginary_part().f));
}

}  // namespace versant
