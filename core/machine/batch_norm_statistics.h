// The running averages of batch normalisation.
#pragma once

#include "machine/action.h"

namespace versant {

// Reads the mean and 1 / std of a batch, writes running averages. ints: values of a channel, whether the mean
// is among those written, whether a number is read behind them: of batches so far, over which to average
// instead of by momentum; floats: momentum, eps.
extern const trace::Action batch_norm_statistics;

}  // namespace versant
