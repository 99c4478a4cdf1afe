// Gradients of a scaled loss, scaled back in one pass that also looks for infinities and NaNs.
#include <algorithm>
#include <atomic>

#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/tensor.h"

namespace versant {

namespace {

constexpr int64_t kGrain = 32768;           // elements that one thread takes at least
constexpr int64_t kUnlockedCount = 200000;  // elements from which a pass gives the lock up
constexpr int64_t kTile = 1024;             // elements that are converted at a time

struct Run {
  char* data;
  int64_t count;
  DType dtype;
};

// Whether all `count` elements from `first` on are finite; multiplies them.
bool scale(const Run& run, int64_t first, int64_t count, double factor) {
  char* const at = run.data + first * static_cast<int64_t>(itemsize(run.dtype));
  if (run.dtype == DType::Float32) return kernels->scale_f32(at, count, factor);
  if (run.dtype == DType::Float64) return kernels->scale_f64(at, count, factor);
  const LoadKernel load = kernels->load_of(run.dtype, Compute::F32);
  const StoreKernel store = kernels->store_of(run.dtype, Compute::F32);
  bool finite = true;
  alignas(64) float tile[kTile];
  for (int64_t i = 0; i < count; i += kTile) {
    const int64_t n = std::min(kTile, count - i);
    load(tile, at + 2 * i, 1, n);
    finite &= kernels->scale_f32(tile, n, factor);
    store(at + 2 * i, 1, tile, n);
  }
  return finite;
}

// gradients, factor: multiplies all gradients; tells whether one was infinite or NaN.
Result unscale(Args& a) {
  const double factor = a.number(1);
  std::vector<Run> runs;
  std::vector<std::pair<const Tensor*, Array>> copies;  // of what lies with gaps
  int64_t total = 0;
  for (Tensor* gradient : a.tensors(0))
    if (!gradient->is_floating())
      fail(ErrorKind::DType, "[unscale_] expected floating-point gradients, got ", name(gradient->dtype));
  for (Tensor* gradient : a.tensors(0)) {
    begin_write(*gradient, "unscale_");
    bump_version(*gradient);
    char* data = gradient->as<char>();
    if (!gradient->is_dense()) {
      Array copy = Array::empty(gradient->sizes, gradient->dtype);
      copy_into(copy, *gradient);
      data = copy.as<char>();
      copies.emplace_back(gradient, std::move(copy));
    }
    runs.push_back({data, gradient->numel, gradient->dtype});
    total += gradient->numel;
  }
  std::atomic<bool> finite{true};
  {
    Unlocked unlocked(total >= kUnlockedCount);
    parallel_for(total, kGrain, [&](int64_t begin, int64_t end) {
      int64_t start = 0;
      for (const Run& run : runs) {
        const int64_t from = std::max(begin, start), to = std::min(end, start + run.count);
        if (from < to && !scale(run, from - start, to - from, factor)) finite = false;
        start += run.count;
      }
    });
  }
  for (const auto& [gradient, copy] : copies) copy_into(*gradient, copy);
  return Result(Scalar::of_bool(!finite));
}

const Function kUnscale("amp_unscale_", unscale);

}  // namespace

}  // namespace versant
