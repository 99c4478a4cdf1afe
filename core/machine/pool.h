// Free lists for the machine's small objects (tensors, nodes, storages), in steps of 64 bytes up to 1 KB.
// Used under the bookkeeping lock only (lock.h).
#pragma once

#include <cstddef>

namespace versant::pool {

inline constexpr size_t kStep = 64;
inline constexpr size_t kClasses = 16;

struct Block {
  Block* next;
};
extern Block* free_blocks[kClasses + 1];

void* allocate_slow(size_t bytes);
void deallocate_slow(void* block, size_t bytes);
// Bytes that the pool has taken from the operating system and keeps.
size_t reserved_bytes();

#ifdef VERSANT_SANITIZE
// Sanitizer builds see every object as its own allocation.
inline void* allocate(size_t bytes) { return allocate_slow(bytes); }
inline void deallocate(void* block, size_t bytes) { deallocate_slow(block, bytes); }
#else
inline void* allocate(size_t bytes) {
  const size_t cls = (bytes + kStep - 1) / kStep;
  if (cls <= kClasses) {
    if (Block* block = free_blocks[cls]) {
      free_blocks[cls] = block->next;
      return block;
    }
  }
  return allocate_slow(bytes);
}

inline void deallocate(void* memory, size_t bytes) {
  const size_t cls = (bytes + kStep - 1) / kStep;
  if (cls > kClasses) return deallocate_slow(memory, bytes);
  auto* block = static_cast<Block*>(memory);
  block->next = free_blocks[cls];
  free_blocks[cls] = block;
}
#endif

}  // namespace versant::pool
