// What the files of classification losses share.
#pragma once

#include "machine/transforms/batching.h"

namespace versant::loss {

enum Reduction : int64_t { kNone, kMean, kSum };

// nll_loss or cross_entropy over all samples of a batch.
bool batched(const Primitive& primitive, Batch& b);

}  // namespace versant::loss
