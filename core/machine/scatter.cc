#include "machine/scatter.h"

#include <atomic>
#include <cmath>
#include <complex>

#include "machine/index_checks.h"
#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/parallel.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

// The strides of `x` without the axis along which an index decides.
Dims strides_beside(const Array& x, int axis, int rank) {
  Dims strides = x.rank() ? x.strides : Dims(rank, 0);
  if (rank) strides[axis] = 0;
  return strides;
}

// Calls body(to_step, at_step, from_step) with constants for the two usual cases: the axis is the last one,
// or another one is, and the arrays are contiguous along it.
template <typename Body>
void with_steps(int64_t to_step, int64_t at_step, int64_t from_step, Body body) {
  constexpr std::integral_constant<int64_t, 0> zero;
  constexpr std::integral_constant<int64_t, 1> one;
  if (to_step == 0 && at_step == 1 && from_step == 1)
    body(zero, one, one);
  else if (to_step == 1 && at_step == 1 && from_step == 1)
    body(one, one, one);
  else
    body(to_step, at_step, from_step);
}

template <typename T>
bool gather(T* out, const T* x, int64_t x_stride, int64_t size, const int64_t* index, const Nest<3>& nest,
            int64_t begin, int64_t end) {
  int64_t bad = 0;
  nest.for_range(begin, end, [&](const int64_t(&start)[3], int64_t count) {
    T* to = out + start[0];
    const int64_t* at = index + start[1];
    const T* from = x + start[2];
    with_steps(nest.step(2), nest.step(1), nest.step(0), [&](auto x_step, auto at_step, auto out_step) {
      for (int64_t j = 0; j < count; ++j) bad |= outside(at[j * at_step], 0, size);
      if (bad < 0) return;
      for (int64_t j = 0; j < count; ++j) to[j * out_step] = from[j * x_step + at[j * at_step] * x_stride];
    });
  });
  return bad >= 0;
}

struct Assign {
  template <typename T>
  T operator()(T, T b) const {
    return b;
  }
};
struct Or {
  uint8_t operator()(uint8_t a, uint8_t b) const { return a || b; }
};
struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else
      return a + b;
  }
};
struct Multiply {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    else
      return a * b;
  }
};
// NaN wins.
struct Max {
  template <typename T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <typename T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

// A part of the work that writes to places of its own: a box of the index space, and of the positions those
// in [low, high).
struct Part {
  Dims sizes;
  int64_t x_shift = 0, index_shift = 0, src_shift = 0;
  int64_t low = 0, high = INT64_MAX;
};

template <typename T, typename Combine>
void scatter(const Array& x, int axis, const Array& index, const Array& src, Combine combine) {
  const int rank = index.rank();
  const Dims beside = strides_beside(x, axis, rank);
  const Dims src_strides = src.rank() ? src.strides : Dims(rank, 0);
  const int64_t stride = x.rank() ? x.strides[axis] : 0;

  auto run = [&](const Part& part) {
    const Nest<3> nest(part.sizes, {&beside, &index.strides, &src_strides});
    T* to_all = x.as<T>() + part.x_shift;
    const int64_t* at_all = index.as<int64_t>() + part.index_shift;
    const T* from_all = src.as<T>() + part.src_shift;
    nest.for_all([&](const int64_t(&start)[3], int64_t count) {
      T* to = to_all + start[0];
      const int64_t* at = at_all + start[1];
      const T* from = from_all + start[2];
      const bool all = part.high == INT64_MAX;
      with_steps(nest.step(0), nest.step(1), nest.step(2), [&](auto to_step, auto at_step, auto from_step) {
        if (all) {
          for (int64_t j = 0; j < count; ++j) {
            T& element = to[j * to_step + at[j * at_step] * stride];
            element = combine(element, from[j * from_step]);
          }
          return;
        }
        for (int64_t j = 0; j < count; ++j) {
          const int64_t place = at[j * at_step];
          if (place < part.low || place >= part.high) continue;
          T& element = to[j * to_step + place * stride];
          element = combine(element, from[j * from_step]);
        }
      });
    });
  };

  Part whole;
  whole.sizes = index.sizes;
  const int64_t work = index.numel * 8;
  if (work < kParallelBytes) return run(whole);
  Unlocked unlocked(work >= kUnlockBytes);
  // Threads share out the longest other axis, or else the positions along this one: see Note [Writers].
  int longest = -1;
  for (int d = 0; d < rank; ++d)
    if (d != axis && (longest < 0 || index.sizes[d] > index.sizes[longest])) longest = d;
  const int64_t threads = num_threads();
  if (longest >= 0 && index.sizes[longest] >= threads) {
    const int64_t length = index.sizes[longest];
    parallel_for(length, std::max<int64_t>(1, kParallelBytes * length / work),
                 [&](int64_t begin, int64_t end) {
                   Part part = whole;
                   part.sizes[longest] = end - begin;
                   part.x_shift = begin * beside[longest];
                   part.index_shift = begin * index.strides[longest];
                   part.src_shift = begin * src_strides[longest];
                   run(part);
                 });
  } else {
    const int64_t size = axis_size(x, axis);
    parallel_for(size, (size + threads - 1) / threads, [&](int64_t begin, int64_t end) {
      Part part = whole;
      part.low = begin, part.high = end;
      run(part);
    });
  }
}

}  // namespace

void gather_into(const char* op, const Array& out, const Array& x, int axis, const Array& index) {
  if (index.numel == 0) return;
  const Dims beside = strides_beside(x, axis, index.rank());
  const Nest<3> nest(index.sizes, {&out.strides, &index.strides, &beside});
  const int64_t stride = x.rank() ? x.strides[axis] : 0, size = axis_size(x, axis);
  std::atomic<bool> good{true};
  visit_size(x.dtype, [&]<typename T>() {
    Unlocked unlocked(index.bytes() >= kUnlockBytes);
    parallel_for(index.numel, kParallelBytes / 8, [&](int64_t begin, int64_t end) {
      if (!gather(out.as<T>(), x.as<T>(), stride, size, index.as<int64_t>(), nest, begin, end)) good = false;
    });
  });
  if (!good) check_bounds(op, index, axis, size);
}

void scatter_into(Scatter how, const Array& x, int axis, const Array& index, const Array& src) {
  if (index.numel == 0) return;
  if (how == Scatter::Write) {
    visit_size(x.dtype, [&]<typename T>() { scatter<T>(x, axis, index, src, Assign()); });
    return;
  }
  if (x.dtype == DType::Bool && how == Scatter::Add) return scatter<uint8_t>(x, axis, index, src, Or());
  if (is_complex(x.dtype)) {
    if (how != Scatter::Add && how != Scatter::Multiply)
      fail(ErrorKind::DType, "complex numbers have no order, got ", name(x.dtype));
    auto combine = [&]<typename T>() {
      return how == Scatter::Add ? scatter<T>(x, axis, index, src, Add())
                                 : scatter<T>(x, axis, index, src, Multiply());
    };
    if (x.dtype == DType::Complex64) return combine.template operator()<std::complex<float>>();
    return combine.template operator()<std::complex<double>>();
  }
  visit_number(x.dtype, [&]<typename T>() {
    switch (how) {
      case Scatter::Multiply:
        return scatter<T>(x, axis, index, src, Multiply());
      case Scatter::Max:
        return scatter<T>(x, axis, index, src, Max());
      case Scatter::Min:
        return scatter<T>(x, axis, index, src, Min());
      default:
        return scatter<T>(x, axis, index, src, Add());
    }
  });
}

}  // namespace versant
