// Parallel loops over a fixed partition, on the one OpenMP runtime of the process. Where the threads of a
// region wait for one that the system has put aside, because other processes want the processors too, the
// next loops stay serial for a while.
#pragma once

#include <cstdint>
#include <functional>

namespace versant {

int num_threads();
void set_num_threads(int count);

namespace detail {
using Body = void (*)(void* context, int64_t begin, int64_t end);
void parallel_for(int64_t count, int64_t grain, Body body, void* context);
}  // namespace detail

// Calls body(begin, end) over [0, count) in pieces of at least `grain`; serial when one piece is enough, when
// called inside another parallel region, or when another thread is issuing one (libgomp from two masters is
// slow). The result must not depend on how the range was cut. `body` must not throw.
template <typename Function>
void parallel_for(int64_t count, int64_t grain, Function&& body) {
  if (count <= 0) return;
  if (count <= grain) {
    body(int64_t{0}, count);
    return;
  }
  detail::parallel_for(
      count, grain,
      [](void* context, int64_t begin, int64_t end) {
        (*static_cast<std::remove_reference_t<Function>*>(context))(begin, end);
      },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace versant
