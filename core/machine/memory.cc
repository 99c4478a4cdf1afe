#include "machine/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <bit>
#include <cstdlib>
#include <vector>

#include "machine/error.h"
#include "machine/memory_log.h"
#include "machine/room.h"

namespace versant::memory {

namespace {

// Note [Large blocks]
// Blocks of a size class are cut once and keep their size, which is quick and wastes little while they are
// small. Large ones are cut from stretches of huge pages, and what is given back joins its neighbours, so
// that a training step whose arrays have many sizes takes hardly more from the system than its arrays need.
// The stretches grow downwards from where the last one began, and so become one; blocks are cut from the
// upper ends of what is free, so that what is left there joins what comes next.
constexpr size_t kAlign = 64;
constexpr size_t kSmall = size_t{7} << 15;  // the largest size class
constexpr size_t kCut = size_t{64} << 10;   // large blocks are multiples of it
constexpr size_t kHuge = size_t{2} << 20;   // a huge page
constexpr int kPerDoubling = 4;             // size classes per power of two
constexpr int kClasses = 4 * 11;
#ifdef MAP_FIXED_NOREPLACE
constexpr int kNoReplace = MAP_FIXED_NOREPLACE;
#else
constexpr int kNoReplace = 0;  // the address is a wish
#endif
#ifdef VERSANT_SANITIZE
constexpr bool kKeeps = false;  // so that every use after the end is seen
#else
constexpr bool kKeeps = true;
#endif

Stats counters;
std::vector<void*> small_blocks[kClasses];  // by size class
Room large_room;                            // by address
int64_t lowest = 0;                         // where the last stretch begins

size_t rounded_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

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

void* map_pages(void* where, size_t bytes, int flags) {
  void* const made = mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return made == MAP_FAILED ? nullptr : made;
}

// Huge pages, below those there if that can be.
void* map_huge(size_t bytes) {
  ++counters.system_calls;
  void* block = nullptr;
  if (lowest > static_cast<int64_t>(bytes))
    block = map_pages(reinterpret_cast<void*>(lowest - static_cast<int64_t>(bytes)), bytes, kNoReplace);
  if (block && reinterpret_cast<uintptr_t>(block) % kHuge != 0) {  // a system that takes addresses as hints
    munmap(block, bytes);
    block = nullptr;
  }
  if (!block) {
    // Map with room to align to a huge page, then trim.
    const size_t span = bytes + kHuge;
    void* const raw = map_pages(nullptr, span, 0);
    if (!raw) return nullptr;
    const auto start = reinterpret_cast<uintptr_t>(raw);
    const uintptr_t aligned = rounded_up(start, kHuge);
    if (aligned > start) munmap(raw, aligned - start);
    const size_t tail = start + span - (aligned + bytes);
    if (tail) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
    block = reinterpret_cast<void*>(aligned);
  }
  madvise(block, bytes, MADV_HUGEPAGE);
  lowest = reinterpret_cast<int64_t>(block);
  counters.system_bytes += static_cast<int64_t>(bytes);
  counters.cached_bytes += static_cast<int64_t>(bytes);
  return block;
}

// A multiple of kCut; null where the system has no more.
void* take_large(size_t bytes) {
  int64_t at = large_room.take(static_cast<int64_t>(bytes), true);
  if (at == Room::kNone) {
    const auto& free = large_room.free();
    const bool begins = !free.empty() && free.begin()->first == lowest;
    const size_t more = bytes - (begins ? static_cast<size_t>(free.begin()->second) : 0);
    void* const made = map_huge(rounded_up(more, kHuge));
    if (!made) return nullptr;
    large_room.give_back(reinterpret_cast<int64_t>(made), static_cast<int64_t>(rounded_up(more, kHuge)));
    at = large_room.take(static_cast<int64_t>(bytes), true);
    if (at == Room::kNone) return take_large(bytes);  // it did not come to lie below the others
  }
  counters.cached_bytes -= static_cast<int64_t>(bytes);
  return reinterpret_cast<void*>(at);
}

// A block of a size class.
void* take_small(size_t bytes, int size_class) {
  if (kKeeps && !small_blocks[size_class].empty()) {
    void* const block = small_blocks[size_class].back();
    small_blocks[size_class].pop_back();
    counters.cached_bytes -= static_cast<int64_t>(bytes);
    return block;
  }
  ++counters.system_calls;
  void* const block = std::aligned_alloc(kAlign, bytes);
  if (block) counters.system_bytes += static_cast<int64_t>(bytes);
  return block;
}

[[noreturn]] void out_of_memory(size_t bytes) {
  fail(ErrorKind::Memory, "out of memory: ", bytes, " bytes more are not to be had; ", counters.live_bytes,
       " are in use");
}

}  // namespace

void* allocate(size_t bytes, size_t* granted) {
  if (bytes > (size_t{1} << 47)) out_of_memory(bytes);
  const bool large = bytes > kSmall && kKeeps;
  int size_class = 0;
  if (large)
    *granted = rounded_up(bytes, kCut);
  else
    size_class = class_of(bytes, granted);
  const auto take = [&] { return large ? take_large(*granted) : take_small(*granted, size_class); };
  void* block = take();
  if (!block) {
    release_cached();
    block = take();
    if (!block) out_of_memory(bytes);
  }
  ++counters.allocations;
  counters.live_bytes += static_cast<int64_t>(*granted);
  if (counters.live_bytes > counters.peak_bytes) counters.peak_bytes = counters.live_bytes;
  if (log) [[unlikely]]
    log(block, static_cast<int64_t>(*granted));
  return block;
}

void deallocate(void* block, size_t granted) {
  const auto bytes = static_cast<int64_t>(granted);
  if (log) [[unlikely]]
    log(block, -bytes);
  counters.live_bytes -= bytes;
  if (!kKeeps) {
    counters.system_bytes -= bytes;
    return std::free(block);
  }
  counters.cached_bytes += bytes;
  if (granted > kSmall) return large_room.give_back(reinterpret_cast<int64_t>(block), bytes);
  size_t rounded;
  small_blocks[class_of(granted, &rounded)].push_back(block);
}

void release_cached() {
  for (auto& blocks : small_blocks) {
    for (void* block : blocks) std::free(block);
    blocks.clear();
  }
  for (const auto& [at, bytes] : large_room.free())
    munmap(reinterpret_cast<void*>(at), static_cast<size_t>(bytes));
  large_room.clear();
  counters.system_bytes -= counters.cached_bytes;
  counters.cached_bytes = 0;
#ifdef __GLIBC__
  malloc_trim(0);  // it keeps what small blocks leave
#endif
}

void (*log)(const void* block, int64_t bytes) = nullptr;
const Stats& stats() { return counters; }
void reset_peak() { counters.peak_bytes = counters.live_bytes; }

}  // namespace versant::memory
