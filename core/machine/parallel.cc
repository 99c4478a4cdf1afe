#include "machine/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>

#include "machine/error.h"
#include "machine/lock.h"

namespace versant {

LockHooks lock_hooks;

namespace {
std::atomic<bool> issuing{false};
int threads = 0;
}  // namespace

int num_threads() {
  if (threads == 0) threads = omp_get_max_threads();
  return threads;
}

void set_num_threads(int count) {
  if (count < 1) fail(ErrorKind::Value, "[set_num_threads] expected a positive number, got ", count);
  threads = count;
  omp_set_num_threads(count);
}

void detail::parallel_for(int64_t count, int64_t grain, Body body, void* context) {
  const int64_t pieces = std::min<int64_t>(num_threads(), (count + grain - 1) / grain);
  bool free = false;
  if (pieces <= 1 || omp_in_parallel() || !issuing.compare_exchange_strong(free, true)) {
    body(context, 0, count);
    return;
  }
  const int64_t piece = (count + pieces - 1) / pieces;
#pragma omp parallel num_threads(static_cast <int>(pieces))
  {
    const int64_t begin = omp_get_thread_num() * piece;
    const int64_t end = std::min(count, begin + piece);
    if (begin < end) body(context, begin, end);
  }
  issuing.store(false);
}

}  // namespace versant
