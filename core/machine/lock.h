// The bookkeeping lock.
//
// Note [One lock for bookkeeping]
// Reference counts, free lists, the caching allocator and the tape are touched only by the thread that holds
// one lock. Inside Python that lock is the interpreter's (GIL), so none of them needs atomics. A kernel that
// runs long gives the lock up meanwhile (`Unlocked`), holding references to everything it reads and writes
// and touching nothing else. Without a host the hooks stay null and the machine is used from one thread at a
// time.
#pragma once

namespace versant {

struct LockHooks {
  void* (*release)() = nullptr;
  void (*acquire)(void* state) = nullptr;
};
extern LockHooks lock_hooks;

// Gives the bookkeeping lock up for its lifetime when `worthwhile`.
class Unlocked {
 public:
  explicit Unlocked(bool worthwhile = true)
      : state_(worthwhile && lock_hooks.release ? lock_hooks.release() : nullptr) {}
  ~Unlocked() {
    if (state_) lock_hooks.acquire(state_);
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  void* state_;
};

}  // namespace versant
