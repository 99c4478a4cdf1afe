// The running averages of batch normalisation.
#pragma once

#include "machine/action.h"
#include "machine/tensor.h"

namespace versant {

// Reads the mean and 1 / std of a batch, writes running averages. ints: values of a channel, whether the mean
// is among those written, whether a number is read behind them: of batches so far, over which to average
// instead of by momentum; floats: momentum, eps.
extern const trace::Action batch_norm_statistics;

namespace ops {
// The same as ops, for moments that stand for those of many samples. `batches` or null as above.
void update_running(Tensor& mean, Tensor& inverse, Tensor* running_mean, Tensor* running_var, Tensor* batches,
                    int64_t count, double momentum, double eps);
}  // namespace ops

}  // namespace versant
