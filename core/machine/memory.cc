#include "machine/memory.h"

#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <map>
#include <vector>

#include "machine/error.h"

namespace versant::memory {

namespace {

constexpr size_t kAlign = 64;
constexpr size_t kHuge = size_t{2} << 20;  // blocks from here on are mapped, on huge pages
constexpr int kPerDoubling = 4;            // size classes per power of two
constexpr int kClasses = 4 * 22;

Stats counters;
std::vector<void*> small_blocks[kClasses];  // by size class, below kHuge
std::multimap<size_t, void*> huge_blocks;   // by size

// Classes: 64, then four steps for every doubling.
int class_of(size_t bytes, size_t* rounded) {
  if (bytes <= kAlign * kPerDoubling) {
    const size_t steps = (bytes + kAlign - 1) / kAlign;
    *rounded = steps * kAlign;
    return static_cast<int>(steps) - 1;
  }
  const int shift = std::bit_width(bytes - 1) - 3;  // bytes - 1 has its top three bits in [4, 7]
  const size_t steps = ((bytes - 1) >> shift) + 1;  // 5 .. 8
  *rounded = steps << shift;
  return kPerDoubling * (shift - 6) + static_cast<int>(steps) - 1;
}

void* from_system(size_t bytes) {
  ++counters.system_calls;
  if (bytes >= kHuge) {
    // Map with room to align to a huge page, then trim.
    const size_t span = bytes + kHuge;
    void* raw = mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) return nullptr;
    const auto start = reinterpret_cast<uintptr_t>(raw);
    const uintptr_t aligned = (start + kHuge - 1) & ~(kHuge - 1);
    if (aligned > start) munmap(raw, aligned - start);
    const size_t tail = start + span - (aligned + bytes);
    if (tail) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
    void* block = reinterpret_cast<void*>(aligned);
    madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }
  return std::aligned_alloc(kAlign, bytes);
}

void to_system(void* block, size_t bytes) {
  counters.system_bytes -= static_cast<int64_t>(bytes);
  if (bytes >= kHuge)
    munmap(block, bytes);
  else
    std::free(block);
}

void* take_cached(size_t bytes, size_t* granted) {
  if (bytes < kHuge) {
    auto& list = small_blocks[class_of(bytes, granted)];
    if (list.empty()) return nullptr;
    void* block = list.back();
    list.pop_back();
    return block;
  }
  // The smallest cached block that wastes at most a quarter.
  auto found = huge_blocks.lower_bound(bytes);
  if (found == huge_blocks.end() || found->first > bytes + bytes / 4) return nullptr;
  *granted = found->first;
  void* block = found->second;
  huge_blocks.erase(found);
  return block;
}

[[noreturn]] void out_of_memory(size_t bytes) {
  fail(ErrorKind::Memory, "out of memory: ", bytes, " bytes more are not to be had; ", counters.live_bytes,
       " are in use");
}

}  // namespace

void* allocate(size_t bytes, size_t* granted) {
  if (bytes > (size_t{1} << 47)) out_of_memory(bytes);
  size_t rounded = bytes;
  if (bytes >= kHuge) {
    rounded = (bytes + kHuge - 1) & ~(kHuge - 1);
  } else {
    class_of(bytes, &rounded);
    if (rounded >= kHuge) rounded = kHuge;
  }
  *granted = rounded;
  void* block = take_cached(rounded, granted);
  if (block) {
    counters.cached_bytes -= static_cast<int64_t>(*granted);
  } else {
    *granted = rounded;
    block = from_system(rounded);
    if (!block) {
      release_cached();
      block = from_system(rounded);
      if (!block) out_of_memory(bytes);
    }
    counters.system_bytes += static_cast<int64_t>(rounded);
  }
  ++counters.allocations;
  counters.live_bytes += static_cast<int64_t>(*granted);
  if (counters.live_bytes > counters.peak_bytes) counters.peak_bytes = counters.live_bytes;
  return block;
}

void deallocate(void* block, size_t granted) {
  counters.live_bytes -= static_cast<int64_t>(granted);
#ifdef VERSANT_SANITIZE
  to_system(block, granted);
#else
  counters.cached_bytes += static_cast<int64_t>(granted);
  if (granted < kHuge) {
    size_t rounded;
    small_blocks[class_of(granted, &rounded)].push_back(block);
  } else {
    huge_blocks.emplace(granted, block);
  }
#endif
}

void release_cached() {
  for (int cls = 0; cls < kClasses; ++cls) {
    for (void* block : small_blocks[cls]) {
      // Invert class_of: the class index fixes the block's size.
      const size_t bytes = cls < kPerDoubling
                               ? (cls + 1) * kAlign
                               : static_cast<size_t>(cls % kPerDoubling + 5) << (cls / kPerDoubling + 5);
      counters.cached_bytes -= static_cast<int64_t>(bytes);
      to_system(block, bytes);
    }
    small_blocks[cls].clear();
  }
  for (auto [bytes, block] : huge_blocks) {
    counters.cached_bytes -= static_cast<int64_t>(bytes);
    to_system(block, bytes);
  }
  huge_blocks.clear();
}

const Stats& stats() { return counters; }
void reset_peak() { counters.peak_bytes = counters.live_bytes; }

}  // namespace versant::memory
