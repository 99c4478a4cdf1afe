#include "machine/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>

#include "machine/error.h"
#include "machine/lock.h"

namespace versant {

namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> issuing{false};
int threads = 0;
bool orphaned = false;  // a fork of a process that may have had a team: libgomp would wait for it forever

// A fork has the memory of the team of threads, and not the threads.
void stay_alone() {
  issuing.store(false);
  if (threads == 0) return;
  orphaned = true;
  threads = 1;
  omp_set_num_threads(1);
}
const int at_fork = pthread_atfork(nullptr, nullptr, stay_alone);

// Waiting for a thread that the system has put aside. Below this a wait is the end of an uneven region.
constexpr Clock::duration kLate = std::chrono::microseconds(200);
// After such a wait the loops stay serial for this many times as long, so that a machine that others use too
// costs a tenth at most.
constexpr int kRest = 10;
// So long at least after a region its threads still look for work. Later they sleep, and to wake them takes
// a virtual machine longer than kLate; that says nothing about others, and the next region finds them awake.
constexpr Clock::duration kAwake = std::chrono::microseconds(150);
// Both of the issuing thread.
Clock::time_point serial_until;
Clock::time_point last_finish;

// The processors that a control group grants this process (a container's limit), rounded up; 0 for no limit.
int granted_processors() {
  double quota = -1, period = 0;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file) {
    file >> quota >> period;  // "max 100000" leaves both unread
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? static_cast<int>(std::ceil(quota / period)) : 0;
}

}  // namespace

int num_threads() {
  if (threads == 0) {
    threads = omp_get_max_threads();
    const int granted = granted_processors();
    if (granted && granted < threads && !std::getenv("OMP_NUM_THREADS")) set_num_threads(granted);
  }
  return threads;
}

void set_num_threads(int count) {
  if (count < 1) fail(ErrorKind::Value, "[set_num_threads] expected a positive number, got ", count);
  if (orphaned && count > 1)
    fail(ErrorKind::Runtime,
         "[set_num_threads] a fork of a process that has computed runs on one thread, got ", count,
         "; start processes by spawn or forkserver");
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
  const Clock::time_point start = Clock::now();
  if (start < serial_until) {
    body(context, 0, count);
    issuing.store(false);
    return;
  }
  const int64_t piece = (count + pieces - 1) / pieces;
  Clock::time_point done;
#pragma omp parallel num_threads(static_cast <int>(pieces))
  {
    const int thread = omp_get_thread_num();
    const int64_t begin = thread * piece;
    const int64_t end = std::min(count, begin + piece);
    if (begin < end) body(context, begin, end);
    if (thread == 0) done = Clock::now();
  }
  const Clock::time_point finish = Clock::now();
  const Clock::duration waited = finish - done;
  if (waited > kLate && waited > done - start && start - last_finish < kAwake)
    serial_until = finish + kRest * waited;
  last_finish = finish;
  issuing.store(false);
}

}  // namespace versant
