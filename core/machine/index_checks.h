// Index tensors that hold positions along one axis: gather, scatter and their kin.
#pragma once

#include "machine/array.h"

namespace versant {

// Negative when `at` is not in [lowest, size); sums and bits alone, so that loops over it become vectors.
inline int64_t outside(int64_t at, int64_t lowest, int64_t size) {
  const auto position = static_cast<uint64_t>(at);
  const uint64_t above = static_cast<uint64_t>(size - 1) - position;
  const uint64_t below = position - static_cast<uint64_t>(lowest);
  return static_cast<int64_t>(above | below);
}

// Raises unless the dtype is an integer one.
void check_index_dtype(const char* op, DType dtype);
// The same positions as int64.
Array as_positions(const char* op, const Array& index);
// Raises when an element of `index` (int64) is not in [0, size); `axis` is named in the message.
void check_bounds(const char* op, const Array& index, int axis, int64_t size);
[[noreturn]] void fail_out_of_bounds(const char* op, int64_t index, int axis, int64_t size);

// An array that shares no memory with `other`: itself or a copy.
Array apart_from(const Array& array, const Array& other);

}  // namespace versant
