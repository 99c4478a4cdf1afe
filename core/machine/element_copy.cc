#include "machine/element_copy.h"

#include <cstring>

#include "machine/axis_order.h"
#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/parallel.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

template <typename T>
void copy_line(T* to, int64_t to_step, const T* from, int64_t from_step, int64_t count) {
  if (to_step != 1)
    for (int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * from_step];
  else if (from_step == 1)
    std::memcpy(to, from, count * sizeof(T));
  else if (from_step == -1)
    for (int64_t i = 0; i < count; ++i) to[i] = from[-i];
  else if (from_step == 0)
    std::fill_n(to, count, *from);
  else
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * from_step];
}

// to[r][c] = from[c][r] for a square of one cache line by one cache line.
template <typename T, int64_t edge>
void turn_square(T* to, int64_t to_stride, const T (&from)[edge][edge]) {
  if constexpr (sizeof(T) == 4) {
    typedef uint32_t Four __attribute__((vector_size(16)));
    typedef Four Loose __attribute__((aligned(4), may_alias));
    const auto at = [&](int64_t c, int64_t r) { return *reinterpret_cast<const Loose*>(&from[c][r]); };
    for (int64_t r = 0; r < edge; r += 4) {
      for (int64_t c = 0; c < edge; c += 4) {
        const Four a = at(c, r), b = at(c + 1, r), d = at(c + 2, r), e = at(c + 3, r);
        const Four ab_low = __builtin_shuffle(a, b, Four{0, 4, 1, 5});
        const Four ab_high = __builtin_shuffle(a, b, Four{2, 6, 3, 7});
        const Four de_low = __builtin_shuffle(d, e, Four{0, 4, 1, 5});
        const Four de_high = __builtin_shuffle(d, e, Four{2, 6, 3, 7});
        const auto put = [&](int64_t i, Four v) {
          *reinterpret_cast<Loose*>(to + (r + i) * to_stride + c) = v;
        };
        put(0, __builtin_shuffle(ab_low, de_low, Four{0, 1, 4, 5}));
        put(1, __builtin_shuffle(ab_low, de_low, Four{2, 3, 6, 7}));
        put(2, __builtin_shuffle(ab_high, de_high, Four{0, 1, 4, 5}));
        put(3, __builtin_shuffle(ab_high, de_high, Four{2, 3, 6, 7}));
      }
    }
  } else {
    for (int64_t r = 0; r < edge; ++r)
      for (int64_t c = 0; c < edge; ++c) to[r * to_stride + c] = from[c][r];
  }
}

// Note [Transposing copies]
// Where the result is contiguous along one axis and the source along another, squares of one cache line by
// one cache line go through a buffer, so that every line is read and written whole, once.
template <typename T>
void transpose_square(T* to, int64_t to_stride, const T* from, int64_t from_stride, int64_t rows,
                      int64_t columns) {
  constexpr int64_t kEdge = 64 / sizeof(T);
  T square[kEdge][kEdge];
  if (rows == kEdge && columns == kEdge) {
    for (int64_t c = 0; c < kEdge; ++c) std::memcpy(square[c], from + c * from_stride, sizeof(square[c]));
    return turn_square(to, to_stride, square);
  }
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) square[c][r] = from[c * from_stride + r];
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) to[r * to_stride + c] = square[c][r];
}

// The result's rows run along `nest`'s axis `along` (contiguous in the source), its columns along the last
// one.
template <typename T>
void transpose(const Nest<2>& nest, int along, T* to, const T* from) {
  constexpr int64_t kEdge = 64 / sizeof(T);
  const int last = nest.rank - 1;
  const int64_t rows = nest.sizes[along], columns = nest.sizes[last];
  const int64_t to_stride = nest.strides[0][along], from_stride = nest.strides[1][last];
  Dims sizes, to_strides, from_strides;  // of the other axes
  for (int d = 0; d < last; ++d) {
    if (d == along) continue;
    sizes.push_back(nest.sizes[d]);
    to_strides.push_back(nest.strides[0][d]);
    from_strides.push_back(nest.strides[1][d]);
  }
  const Nest<2> others(sizes, {&to_strides, &from_strides});
  const int64_t bands = (rows + kEdge - 1) / kEdge;
  const int64_t grain = kParallelBytes / (kEdge * columns * static_cast<int64_t>(sizeof(T))) + 1;
  parallel_for(others.total() * bands, grain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t row = b % bands * kEdge, n_rows = std::min(kEdge, rows - row);
      others.for_range(b / bands, b / bands + 1, [&](const int64_t(&start)[2], int64_t) {
        T* band = to + start[0] + row * to_stride;
        const T* source = from + start[1] + row;
        for (int64_t c = 0; c < columns; c += kEdge)
          transpose_square(band + c, to_stride, source + c * from_stride, from_stride, n_rows,
                           std::min(kEdge, columns - c));
      });
    }
  });
}

}  // namespace

void copy_elements(const Array& dst, const Array& src) {
  if (dst.numel == 0) return;
  const Dims order = memory_order(dst);
  const Dims sizes = permuted(dst.sizes, order), to_strides = permuted(dst.strides, order);
  const Dims from_strides = permuted(broadcast_strides(src.sizes, src.strides, dst.sizes), order);
  const Nest<2> nest(sizes, {&to_strides, &from_strides});
  int along = -1;
  if (nest.rank > 1 && nest.step(0) == 1 && nest.step(1) != 1 && nest.step(1) != 0)
    for (int d = 0; d < nest.rank - 1; ++d)
      if (nest.strides[1][d] == 1) along = d;
  Unlocked unlocked(dst.bytes() >= kUnlockBytes);
  visit_size(dst.dtype, [&]<typename T>() {
    T* to = dst.as<T>();
    const T* from = src.as<T>();
    if (along >= 0) return transpose(nest, along, to, from);
    parallel_for(dst.numel, kParallelBytes / static_cast<int64_t>(sizeof(T)),
                 [&](int64_t begin, int64_t end) {
                   nest.for_range(begin, end, [&](const int64_t(&start)[2], int64_t count) {
                     copy_line(to + start[0], nest.step(0), from + start[1], nest.step(1), count);
                   });
                 });
  });
}

void copy_bytes(const Array& dst, const Array& src) {
  Unlocked unlocked(dst.bytes() >= kUnlockBytes);
  parallel_for(dst.bytes(), 2 * kParallelBytes, [&](int64_t begin, int64_t end) {
    std::memcpy(dst.as<char>() + begin, src.as<char>() + begin, end - begin);
  });
}

void zero_bytes(const Array& dst) {
  Unlocked unlocked(dst.bytes() >= kUnlockBytes);
  parallel_for(dst.bytes(), 2 * kParallelBytes,
               [&](int64_t begin, int64_t end) { std::memset(dst.as<char>() + begin, 0, end - begin); });
}

}  // namespace versant
