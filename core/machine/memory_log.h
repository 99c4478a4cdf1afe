// Who asks the allocator for what, while somebody wants to know.
#pragma once

#include <cstddef>
#include <cstdint>

namespace versant::memory {

// Called at every block handed out (positive bytes) and given back (negative ones); null most of the time.
extern void (*log)(const void* block, int64_t bytes);

}  // namespace versant::memory
