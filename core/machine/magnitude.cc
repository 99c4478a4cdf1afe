#include "machine/magnitude.h"

#include <algorithm>
#include <atomic>

#include "machine/complex.h"
#include "machine/kernels.h"
#include "machine/parallel.h"
#include "machine/trace.h"
#include "machine/watch.h"

namespace versant {

namespace {

// Bits of infinity, without those below the exponent.
uint64_t infinity_of(DType dtype) {
  switch (dtype) {
    case DType::BFloat16:
      return 0x7f80;
    case DType::Float16:
      return 0x7c00;
    case DType::Float64:
      return 0x7ff0000000000000;
    default:
      return 0x7f800000;
  }
}

}  // namespace

Magnitude magnitude_of(uint64_t largest, DType dtype) {
  const uint64_t infinity = infinity_of(dtype);
  return largest < infinity    ? Magnitude::Finite
         : largest == infinity ? Magnitude::Infinite
                               : Magnitude::NotANumber;
}

Magnitude magnitude(const Array& array) {
  if (!is_differentiable(array.dtype) || array.numel == 0) return Magnitude::Finite;
  if (!array.is_dense()) {
    const trace::Quiet untraced;
    const watch::Unwatched unwatched;
    const Array copy = Array::empty(array.sizes, array.dtype);
    copy_into(copy, array);
    return magnitude(copy);
  }
  const bool pairs = is_complex(array.dtype);
  const DType dtype = pairs ? real_dtype(array.dtype) : array.dtype;
  const int64_t numel = pairs ? 2 * array.numel : array.numel, item = itemsize(dtype);
  const LargestBits largest_bits = kernels->largest_bits[item == 2 ? 0 : item == 4 ? 1 : 2];
  std::atomic<uint64_t> largest = 0;
  const auto look = [&](int64_t begin, int64_t end) {
    const uint64_t found = largest_bits(static_cast<const char*>(array.data) + begin * item, end - begin);
    uint64_t known = largest.load(std::memory_order_relaxed);
    while (found > known && !largest.compare_exchange_weak(known, found, std::memory_order_relaxed)) {
    }
  };
  constexpr int64_t kGrain = 1 << 15;
  parallel_for(numel, kGrain, look);
  return magnitude_of(largest, dtype);
}

namespace {

// Row by row in one piece; of complex numbers the parts.
Array flat(const Array& array) {
  const trace::Quiet untraced;
  const watch::Unwatched unwatched;
  Array source = array;
  if (is_complex(array.dtype)) {
    source = Array::empty(Dims{2, array.numel}, real_dtype(array.dtype));
    for (const int part : {0, 1}) {
      const Array from = part_of(array, part).to_contiguous();
      copy_into(source.view(Dims{array.numel}, Dims{1}, part * array.numel),
                from.view(Dims{array.numel}, Dims{1}));
    }
    return source;
  }
  return array.contiguous ? array : array.to_contiguous();
}

}  // namespace

Health health(const Array& array) {
  Health all;
  all.n = array.numel;
  all.min = 1;
  if (array.numel == 0) return all;
  const Array from = is_complex(array.dtype) || !array.is_dense() ? flat(array) : array;
  all.n = from.numel;
  constexpr int64_t kBlock = 1 << 14, kTile = 1024;
  const int64_t n_blocks = (from.numel + kBlock - 1) / kBlock, item = itemsize(from.dtype);
  std::vector<Health> blocks(static_cast<size_t>(n_blocks));
  const bool wide =
      from.dtype != DType::Float32 && from.dtype != DType::Float16 && from.dtype != DType::BFloat16;
  const Compute compute = wide ? Compute::F64 : Compute::F32;
  const bool plain = from.dtype == DType::Float32 || from.dtype == DType::Float64;
  const LoadKernel load = kernels->load_of(from.dtype, compute);
  const auto add = [](Health& to, const Health& part) {
    const bool first = to.n == 0;
    to.n += part.n;
    to.nan += part.nan;
    to.inf += part.inf;
    to.zeros += part.zeros;
    to.sum += part.sum;
    to.squares += part.squares;
    to.min = first ? part.min : std::min(to.min, part.min);
    to.max = first ? part.max : std::max(to.max, part.max);
  };
  parallel_for(n_blocks, 2, [&](int64_t begin, int64_t end) {
    alignas(64) char tile[kTile * 8];
    for (int64_t b = begin; b < end; ++b) {
      const int64_t last = std::min(from.numel, (b + 1) * kBlock);
      for (int64_t i = b * kBlock; i < last;) {
        const char* const at = static_cast<const char*>(from.data) + i * item;
        const int64_t n = plain ? last - i : std::min(kTile, last - i);
        if (!plain) load(tile, at, 1, n);
        Health part;
        kernels->health[wide ? 1 : 0](plain ? static_cast<const void*>(at) : tile, n, part);
        add(blocks[static_cast<size_t>(b)], part);
        i += n;
      }
    }
  });
  all = Health();
  for (const Health& block : blocks) add(all, block);
  return all;
}

std::vector<int64_t> histogram(const Array& array, double low, double high, int bins, int64_t most) {
  std::vector<int64_t> counts(static_cast<size_t>(bins), 0);
  if (array.numel == 0 || !(high >= low)) return counts;
  const Array from = is_complex(array.dtype) || !array.is_dense() ? flat(array) : array;
  const int64_t step = std::max<int64_t>(1, from.numel / most), item = itemsize(from.dtype);
  const LoadKernel load = kernels->load_of(from.dtype, Compute::F64);
  const double scale = high > low ? bins / (high - low) : 0;
  for (int64_t i = 0; i < from.numel; i += step) {
    double x;
    load(&x, static_cast<const char*>(from.data) + i * item, 1, 1);
    if (!(x - x == 0)) continue;
    const auto bin = static_cast<int64_t>((x - low) * scale);
    ++counts[static_cast<size_t>(std::clamp<int64_t>(bin, 0, bins - 1))];
  }
  return counts;
}

int64_t first_not_finite(const Array& array) {
  if (!is_differentiable(array.dtype)) return -1;
  const Array from = flat(array);
  const LoadKernel load = kernels->load_of(from.dtype, Compute::F64);
  for (int64_t i = 0; i < from.numel; ++i) {
    double x;
    load(&x, static_cast<const char*>(from.data) + i * itemsize(from.dtype), 1, 1);
    if (!(x - x == 0)) return i % array.numel;
  }
  return -1;
}

}  // namespace versant
