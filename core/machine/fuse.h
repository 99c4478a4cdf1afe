// A pass over traces: elementwise steps become one program where they share what they read and write.
#pragma once

#include "machine/trace.h"

namespace versant::trace {

void fuse(Trace& trace);
// Which buffers somebody may use after the steps.
std::vector<bool> outliving(const Trace& trace);
// Says of each step which fresh buffers nobody reads or writes after it.
void plan_lifetimes(Trace& trace);

}  // namespace versant::trace
