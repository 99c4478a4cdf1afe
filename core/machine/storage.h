// The memory behind arrays: counted, versioned; up to 64 bytes inline, else from the caching allocator or
// foreign.
#pragma once

#include <cstddef>
#include <cstdint>

#include "machine/memory.h"
#include "machine/pool.h"
#include "machine/ref.h"

namespace versant {

struct Storage {
  static constexpr size_t kInline = 64;
  static inline uint32_t current_epoch = 0;
  static inline void (*forgotten)(Storage*) = nullptr;  // called for a storage of an epoch that goes

  int64_t refs = 0;
  uint32_t version = 0;            // grows with every write in place; the tape compares it
  uint32_t epoch = current_epoch;  // of the trace (trace.h) during which it was made, or 0
  uint32_t mark = 0;               // of the last replay that met it (replay.cc)
  bool read_only = false;          // memory of a foreign owner that must not be written
  void* data = nullptr;
  size_t bytes = 0;    // what the arrays may use
  size_t granted = 0;  // size of the allocator's block; 0 when inline or foreign
  // Foreign memory: called with `owner` when the last array lets go.
  void (*release)(void* owner) = nullptr;
  void* owner = nullptr;
  alignas(64) std::byte small[kInline];

  // Uninitialised memory for `bytes`. Throws std::bad_alloc.
  static Ref<Storage> allocate(size_t bytes) {
    auto* storage = new (pool::allocate(sizeof(Storage))) Storage;
    storage->bytes = bytes;
    if (bytes <= kInline) {
      storage->data = storage->small;
    } else {
      try {
        storage->data = memory::allocate(bytes, &storage->granted);
      } catch (...) {
        pool::deallocate(storage, sizeof(Storage));
        throw;
      }
    }
    storage->refs = 1;
    return Ref<Storage>::steal(storage);
  }

  static Ref<Storage> wrap(void* data, size_t bytes, void (*release)(void*), void* owner) {
    auto* storage = new (pool::allocate(sizeof(Storage))) Storage;
    storage->data = data;
    storage->bytes = bytes;
    storage->release = release;
    storage->owner = owner;
    storage->refs = 1;
    return Ref<Storage>::steal(storage);
  }

  static void destroy(Storage* storage) {
    if (storage->epoch) [[unlikely]]
      if (forgotten) forgotten(storage);
    if (storage->granted)
      memory::deallocate(storage->data, storage->granted);
    else if (storage->release)
      storage->release(storage->owner);
    pool::deallocate(storage, sizeof(Storage));
  }
};

}  // namespace versant
