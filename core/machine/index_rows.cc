#include "machine/index_rows.h"

#include <cstring>

#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/parallel.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

// Runs over outer positions times rows; visit(row of the result, where the outer position starts, the row's
// offset from there).
template <typename Visit>
void for_rows(const IndexPlan& plan, const Nest<1>& outer, int64_t begin, int64_t end, Visit visit) {
  if (begin >= end) return;
  const int64_t* offsets = plan.offsets();
  const int64_t n = plan.n_rows;
  if (plan.n_outer == 1) {
    for (int64_t r = begin; r < end; ++r) visit(r, int64_t{0}, offsets[r]);
    return;
  }
  int64_t r = begin, i = begin % n;
  outer.for_range(begin / n, (end + n - 1) / n, [&](const int64_t(&start)[1], int64_t count) {
    for (int64_t k = 0; k < count; ++k, i = 0)
      for (; i < n && r < end; ++i, ++r) visit(r, start[0] + k * outer.step(0), offsets[i]);
  });
}

template <typename T>
void take(const IndexPlan& plan, const T* x, T* out) {
  const Nest<1> outer(plan.outer_sizes, {&plan.outer_strides}),
      inner(plan.inner_sizes, {&plan.inner_strides});
  const int64_t block = plan.n_inner, step = inner.step(0);
  const int64_t bytes = block * static_cast<int64_t>(sizeof(T));
  const int64_t rows = plan.n_outer * plan.n_rows;
  Unlocked unlocked(rows * bytes >= kUnlockBytes);
  parallel_for(rows, std::max<int64_t>(1, kParallelBytes / bytes), [&](int64_t begin, int64_t end) {
    if (block == 1) {
      for_rows(plan, outer, begin, end,
               [&](int64_t r, int64_t base, int64_t offset) { out[r] = x[base + offset]; });
    } else if (inner.rank == 1 && step == 1) {
      for_rows(plan, outer, begin, end, [&](int64_t r, int64_t base, int64_t offset) {
        std::memcpy(out + r * block, x + base + offset, bytes);
      });
    } else {
      for_rows(plan, outer, begin, end, [&](int64_t r, int64_t base, int64_t offset) {
        T* to = out + r * block;
        inner.for_all([&](const int64_t(&start)[1], int64_t count) {
          const T* from = x + base + offset + start[0];
          for (int64_t j = 0; j < count; ++j) to[j] = from[j * step];
          to += count;
        });
      });
    }
  });
}

// What one thread does of a write: some outer positions, some columns of each row, and the rows whose offsets
// lie in a range.
struct Share {
  int64_t outer_begin, outer_end, column_begin, column_end, low, high;
};

template <typename T, bool kIsBool>
void add_line(T* to, const T* from, int64_t step, int64_t from_step, int64_t n) {
  auto add = [](T a, T b) -> T {
    if constexpr (kIsBool) return a || b;
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else
      return a + b;
  };
  if (step == 1 && from_step == 1)
    for (int64_t j = 0; j < n; ++j) to[j] = add(to[j], from[j]);
  else
    for (int64_t j = 0; j < n; ++j) to[j * step] = add(to[j * step], from[j * from_step]);
}

template <typename T>
void write_line(T* to, const T* from, int64_t step, int64_t from_step, int64_t n) {
  if (step == 1 && from_step == 1)
    std::memcpy(to, from, n * sizeof(T));
  else
    for (int64_t j = 0; j < n; ++j) to[j * step] = from[j * from_step];
}

// Note [Writers]
// Indices may repeat, so rows are not split among threads as they come. A thread takes outer positions, or
// columns, or (when rows are short) those rows whose offset lies in its range; within its share it follows
// the order of the indices. So the result does not depend on the number of threads.
template <typename T, typename Line>
void put(const IndexPlan& plan, T* x, const T* values, bool one_value, Line move) {
  const Nest<1> outer(plan.outer_sizes, {&plan.outer_strides}),
      inner(plan.inner_sizes, {&plan.inner_strides});
  const int64_t n = plan.n_rows, block = plan.n_inner, step = inner.step(0), from_step = one_value ? 0 : 1;
  const int64_t bytes = plan.n_outer * n * block * static_cast<int64_t>(sizeof(T));
  const bool simple = inner.rank == 1;

  auto run = [&](const Share& share) {
    for_rows(plan, outer, share.outer_begin * n, share.outer_end * n,
             [&](int64_t r, int64_t base, int64_t offset) {
               if (offset < share.low || offset >= share.high) return;
               T* to = x + base + offset;
               const T* from = values + r * block * from_step;
               if (simple) {
                 move(to + share.column_begin * step, from + share.column_begin * from_step, step, from_step,
                      share.column_end - share.column_begin);
                 return;
               }
               inner.for_all([&](const int64_t(&start)[1], int64_t count) {
                 move(to + start[0], from, step, from_step, count);
                 from += count * from_step;
               });
             });
  };

  const Share whole{0, plan.n_outer, 0, block, INT64_MIN, INT64_MAX};
  if (bytes < kParallelBytes) return run(whole);
  Unlocked unlocked(bytes >= kUnlockBytes);
  const int64_t threads = num_threads();
  if (plan.n_outer >= threads) {
    const int64_t grain = std::max<int64_t>(1, kParallelBytes * plan.n_outer / bytes);
    parallel_for(plan.n_outer, grain, [&](int64_t begin, int64_t end) {
      Share share = whole;
      share.outer_begin = begin, share.outer_end = end;
      run(share);
    });
  } else if (simple && block * static_cast<int64_t>(sizeof(T)) >= threads * 128) {
    parallel_for(block, (block + threads - 1) / threads, [&](int64_t begin, int64_t end) {
      Share share = whole;
      share.column_begin = begin, share.column_end = end;
      run(share);
    });
  } else {
    const auto [low, high] = std::minmax_element(plan.offsets(), plan.offsets() + n);
    const int64_t range = *high - *low + 1;
    parallel_for(range, (range + threads - 1) / threads, [&, low = *low](int64_t begin, int64_t end) {
      Share share = whole;
      share.low = low + begin, share.high = low + end;
      run(share);
    });
  }
}

}  // namespace

void take_rows(const IndexPlan& plan, const Array& x, const Array& out) {
  if (out.numel == 0) return;
  visit_size(x.dtype, [&]<typename T>() { take<T>(plan, x.as<T>(), out.as<T>()); });
}

void put_rows(const IndexPlan& plan, const Array& x, const Array& values, Put how, const char* op) {
  if (values.dtype != x.dtype)
    fail(ErrorKind::DType, "[", op, "] expected values of dtype ", name(x.dtype), ", got ",
         name(values.dtype));
  int64_t count = 1;
  for (const int64_t size : plan.result) count *= size;
  // One value, or as many as there are places.
  Array source = values;
  if (values.sizes != plan.result) {
    try {
      source = values.expand(plan.result);
    } catch (const Error&) {
      fail(ErrorKind::Shape, "[", op, "] values of shape ", values.sizes,
           " do not broadcast to the indexed shape ", plan.result);
    }
  }
  if (count == 0) return;
  const bool one_value = values.numel == 1;
  if (!one_value) source = source.to_contiguous();
  if (source.storage.get() == x.storage.get()) {
    Array copy = Array::empty(one_value ? Dims() : source.sizes, source.dtype);
    copy_into(copy, one_value ? source.view({}, {}) : source);
    source = copy;
  }
  if (how == Put::Write) {
    visit_size(x.dtype,
               [&]<typename T>() { put<T>(plan, x.as<T>(), source.as<T>(), one_value, write_line<T>); });
  } else if (x.dtype == DType::Bool) {
    put<uint8_t>(plan, x.as<uint8_t>(), source.as<uint8_t>(), one_value, add_line<uint8_t, true>);
  } else {
    visit_number(x.dtype, [&]<typename T>() {
      put<T>(plan, x.as<T>(), source.as<T>(), one_value, add_line<T, false>);
    });
  }
}

}  // namespace versant
