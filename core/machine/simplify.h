// A pass over traces that drops steps whose results are known, or that nobody reads.
#pragma once

#include "machine/trace.h"

namespace versant::trace {

void simplify(Trace& trace);

}  // namespace versant::trace
