// Passes over traces that make replays hold less memory.
#pragma once

#include "machine/trace.h"

namespace versant::trace {

// Puts large results off until they are needed, and computes cheap ones a second time instead of keeping
// them.
void spare_memory(Trace& trace);

}  // namespace versant::trace
