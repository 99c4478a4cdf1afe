// The bookkeeping lock.
//
// Note [One lock for bookkeeping]
// Reference counts, free lists, the caching allocator and the tape are touched only by the thread that holds
// one lock. Inside Python that lock is the interpreter's (GIL), so none of them needs atomics. A kernel that
// runs long gives the lock up meanwhile (`Unlocked`), holding references to everything it reads and writes
// and touching nothing else. Whoever changes what such a kernel may be reading, the array of a living tensor,
// first waits for all of them (`await_kernels`). Without a host the hooks stay null and the machine is used
// from one thread at a time.
#pragma once

#include <cstdint>

namespace versant {

struct LockHooks {
  void* (*release)() = nullptr;
  void (*acquire)(void* state) = nullptr;
};
extern LockHooks lock_hooks;

// Gives the bookkeeping lock up for its lifetime when `worthwhile`.
class Unlocked {
 public:
  explicit Unlocked(bool worthwhile = true) {
    if (worthwhile && lock_hooks.release) release();
  }
  ~Unlocked() {
    if (state_) acquire();
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  void release();
  void acquire();
  void* state_ = nullptr;
};

// Returns when no other thread runs a kernel without the lock. Meanwhile new ones keep it.
void await_kernels();

}  // namespace versant
