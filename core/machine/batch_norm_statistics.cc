#include "machine/batch_norm_statistics.h"

#include <algorithm>
#include <vector>

#include "machine/ops.h"
#include "machine/trace.h"

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
      const bool has_mean = a.ints[1] != 0, averages = a.ints[2] != 0;
      const double momentum = averages ? 1.0 / (1.0 + item(arrays[2]).as_double()) : a.floats[0];
      const auto running = arrays.subspan(averages ? 3 : 2);
      const Array* const second = running.size() > 1 ? &running[1] : nullptr;
      update_statistics(arrays[0], arrays[1], has_mean ? &running[0] : nullptr,
                        has_mean ? second : &running[0], static_cast<double>(a.ints[0]), momentum,
                        a.floats[1]);
    },
    [](const Claim& claim) {
      if (claim.attributes.ints.size() != 3 || claim.out.empty() || claim.out.size() > 2) return false;
      const bool averages = claim.attributes.ints[2] != 0;
      if (claim.in.size() != (averages ? 3u : 2u) || (averages && claim.in[2]->numel != 1)) return false;
      for (const Array* moments : claim.in.subspan(0, 2))
        if (moments->dtype != DType::Float64 || moments->rank() != 1 || !moments->contiguous ||
            moments->sizes != claim.in[0]->sizes)
          return false;
      return std::all_of(claim.out.begin(), claim.out.end(),
                         [&](const Array* to) { return to->sizes == claim.in[0]->sizes; });
    });

namespace ops {

void update_running(Tensor& mean, Tensor& inverse, Tensor* running_mean, Tensor* running_var, Tensor* batches,
                    int64_t count, double momentum, double eps) {
  const GradMode quiet(false);
  if (batches) momentum = 1.0 / (1.0 + item(*batches).as_double());
  const auto blend = [&](Tensor& running, const TensorRef& fresh) {
    const TensorRef kept = mul(running, Input(Scalar::of(1.0 - momentum))),
                    more = mul(fresh, Input(Scalar::of(momentum)));
    const TensorRef sum = cast(*add(kept, cast(*more, running.dtype)), running.dtype);
    copy_(running, sum);
  };
  const auto n = static_cast<double>(count);
  if (running_mean) blend(*running_mean, detach(mean));
  if (!running_var) return;
  const TensorRef rstd = detach(inverse);
  const TensorRef var = sub(div(Input(Scalar::of(1.0)), mul(rstd, rstd)), Input(Scalar::of(eps)));
  blend(*running_var, mul(var, Input(Scalar::of(n / (n - 1.0)))));
}

}  // namespace ops

}  // namespace versant
