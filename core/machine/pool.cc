#include "machine/pool.h"

#include <cstdlib>
#include <new>

namespace versant::pool {

Block* free_blocks[kClasses + 1] = {};

namespace {
constexpr size_t kChunk = 64 * 1024;
size_t reserved = 0;

void* aligned(size_t bytes) {
  void* memory = std::aligned_alloc(kStep, bytes);
  if (!memory) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* allocate_slow(size_t bytes) {
  const size_t cls = (bytes + kStep - 1) / kStep;
  const size_t rounded = cls * kStep;
#ifdef VERSANT_SANITIZE
  return aligned(rounded);
#else
  if (cls > kClasses) return aligned(rounded);
  // Carve a fresh chunk; hand out its first block and keep the rest.
  auto* chunk = static_cast<char*>(aligned(kChunk));
  reserved += kChunk;
  for (size_t at = rounded; at + rounded <= kChunk; at += rounded) {
    auto* block = reinterpret_cast<Block*>(chunk + at);
    block->next = free_blocks[cls];
    free_blocks[cls] = block;
  }
  return chunk;
#endif
}

void deallocate_slow(void* block, size_t) { std::free(block); }

size_t reserved_bytes() { return reserved; }

}  // namespace versant::pool
