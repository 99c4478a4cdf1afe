// The caching allocator of array data: 64-byte aligned blocks, kept for reuse, big ones on huge pages.
#pragma once

#include <cstddef>
#include <cstdint>

namespace versant::memory {

struct Stats {
  int64_t live_bytes = 0;    // held by arrays now
  int64_t peak_bytes = 0;    // the most that was held since the last reset
  int64_t cached_bytes = 0;  // kept for reuse
  int64_t system_bytes = 0;  // taken from the operating system (live and cached)
  int64_t system_calls = 0;  // requests to the operating system so far
  int64_t allocations = 0;   // blocks handed out so far
};

// A block of at least `bytes`; `granted` receives its real size, which deallocate needs. Throws
// std::bad_alloc.
void* allocate(size_t bytes, size_t* granted);
void deallocate(void* block, size_t granted);
// Returns every cached block to the operating system.
void release_cached();
const Stats& stats();
void reset_peak();

}  // namespace versant::memory
