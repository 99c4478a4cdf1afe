// oneDNN: what it may be asked for on this processor.
#pragma once

namespace versant::dnnl {

// Whether the processor convolves bfloat16 faster than float32.
bool fast_bfloat16();

}  // namespace versant::dnnl
