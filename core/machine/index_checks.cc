#include "machine/index_checks.h"

#include <atomic>

#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/parallel.h"

namespace versant {

void check_index_dtype(const char* op, DType dtype) {
  if (!is_integral(dtype))
    fail(ErrorKind::DType, "[", op, "] an index tensor must hold integers, got ", name(dtype));
}

Array as_positions(const char* op, const Array& index) {
  check_index_dtype(op, index.dtype);
  return index.to_dtype(DType::Int64);
}

void fail_out_of_bounds(const char* op, int64_t index, int axis, int64_t size) {
  fail(ErrorKind::Index, "[", op, "] index ", index, " is out of bounds for dimension ", axis, " with size ",
       size);
}

void check_bounds(const char* op, const Array& index, int axis, int64_t size) {
  const Nest<1> nest(index.sizes, {&index.strides});
  const auto* positions = index.as<int64_t>();
  std::atomic<bool> any{false};
  {
    Unlocked unlocked(index.bytes() >= kUnlockBytes);
    parallel_for(index.numel, kParallelBytes / 8, [&](int64_t begin, int64_t end) {
      int64_t bad = 0;
      nest.for_range(begin, end, [&](const int64_t(&start)[1], int64_t count) {
        const int64_t* at = positions + start[0];
        const int64_t step = nest.step(0);
        if (step == 1)
          for (int64_t i = 0; i < count; ++i) bad |= outside(at[i], 0, size);
        else
          for (int64_t i = 0; i < count; ++i) bad |= outside(at[i * step], 0, size);
      });
      if (bad < 0) any = true;
    });
  }
  if (!any) return;
  nest.for_all([&](const int64_t(&start)[1], int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = positions[start[0] + i * nest.step(0)];
      if (outside(at, 0, size) < 0) fail_out_of_bounds(op, at, axis, size);
    }
  });
}

Array apart_from(const Array& array, const Array& other) {
  if (array.storage.get() != other.storage.get()) return array;
  Array copy = Array::empty(array.sizes, array.dtype);
  copy_into(copy, array);
  return copy;
}

}  // namespace versant
