#include "machine/batch_norm_statistics.h"

#include <algorithm>
#include <vector>

namespace versant {

namespace {

// running = (1 - momentum) * running + momentum * fresh
void update_running(const Array* running, const double* fresh, double momentum, double correction) {
  if (!running) return;
  Array values = running->to_contiguous().to_dtype(DType::Float64);
  if (values.storage.get() == running->storage.get()) {
    Array copy = Array::empty(values.sizes, DType::Float64);
    copy_into(copy, values);
    values = copy;
  }
  for (int64_t c = 0; c < values.numel; ++c)
    values.as<double>()[c] = (1.0 - momentum) * values.as<double>()[c] + momentum * correction * fresh[c];
  copy_into(*running, values);
}

// The same for mean and variance, from the means and the inverse deviations of `count` values a channel.
void update_statistics(const Array& means, const Array& inverses, const Array* mean, const Array* var,
                       double count, double momentum, double eps) {
  std::vector<double> fresh(static_cast<size_t>(means.numel));
  for (size_t c = 0; c < fresh.size(); ++c) {
    const double rstd = inverses.as<double>()[c];
    fresh[c] = 1.0 / (rstd * rstd) - eps;
  }
  update_running(mean, means.as<double>(), momentum, 1.0);
  update_running(var, fresh.data(), momentum, count / (count - 1.0));
}

}  // namespace

const trace::Action batch_norm_statistics(
    "batch_norm_statistics",
    [](std::span<const Array> arrays, const Attributes& a) {
      const Array* const first = arrays.size() > 2 ? &arrays[2] : nullptr;
      const Array* const second = arrays.size() > 3 ? &arrays[3] : nullptr;
      const bool has_mean = a.ints[1] != 0;
      update_statistics(arrays[0], arrays[1], has_mean ? first : nullptr, has_mean ? second : first,
                        static_cast<double>(a.ints[0]), a.floats[0], a.floats[1]);
    },
    [](const Claim& claim) {
      if (claim.in.size() != 2 || claim.out.empty() || claim.out.size() > 2 ||
          claim.attributes.ints.size() != 2)
        return false;
      for (const Array* moments : claim.in)
        if (moments->dtype != DType::Float64 || moments->rank() != 1 || !moments->contiguous ||
            moments->sizes != claim.in[0]->sizes)
          return false;
      return std::all_of(claim.out.begin(), claim.out.end(),
                         [&](const Array* to) { return to->sizes == claim.in[0]->sizes; });
    });

}  // namespace versant
