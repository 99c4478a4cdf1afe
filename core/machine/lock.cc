#include "machine/lock.h"

#include <pthread.h>
#include <unistd.h>

namespace versant {

LockHooks lock_hooks;

namespace {
// Guarded by the lock itself.
int64_t unlocked = 0;  // kernels that run without it
int64_t waiting = 0;   // threads in await_kernels

constexpr useconds_t kPoll = 20;  // microseconds

// In a forked process the other threads, and what they ran, are gone.
const int at_fork = pthread_atfork(nullptr, nullptr, [] { unlocked = waiting = 0; });
}  // namespace

void Unlocked::release() {
  if (waiting) return;
  ++unlocked;
  state_ = lock_hooks.release();
  if (!state_) --unlocked;  // this thread does not hold it
}

void Unlocked::acquire() {
  lock_hooks.acquire(state_);
  --unlocked;
}

void await_kernels() {
  if (!unlocked) return;
  ++waiting;
  while (unlocked) {
    void* state = lock_hooks.release();
    usleep(kPoll);
    lock_hooks.acquire(state);
  }
  --waiting;
}

}  // namespace versant
