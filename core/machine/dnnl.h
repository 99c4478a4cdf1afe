// oneDNN: matrix products of bfloat16 on processors that multiply whole tiles.
#pragma once

#include "machine/kernels.h"

namespace versant::dnnl {

// Whether the processor multiplies bfloat16 faster than float32.
bool fast_bfloat16();
// Whether the processor multiplies tiles of bfloat16 (AMX). Where it does not, kernels->product_bf16 does.
bool has_tiles();

// c = a @ b, all bfloat16, summed in float32. In a, b and c one of the two strides is 1 and the other at
// least as long as what it steps over. Called with the bookkeeping lock held; long products give it up
// meanwhile.
void multiply_bfloat16(const Product& product);

}  // namespace versant::dnnl
