// How large results are, found by the loops that write them.
//
// Note [Looks]
// Who reads large results when an action is done finds them gone from the caches. So a guard has the loops of
// elementwise actions and of products look at what they have just written: who runs such an action asks
// (`Asked`), and the first loop over tiles or products takes the question with it. What was seen is kept with
// its place and size; results that nobody looked at have no entry and are read afterwards. A loop takes the
// question only if nothing is written to the same place after it. Primitives and updates of parameters call
// loops on memory of their own, so they are not asked but offered the question, by name: who knows about it
// takes it, and looks or has its last loop look.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "machine/array.h"
#include "machine/kernels.h"
#include "machine/program.h"

namespace versant::watch {

class Looks {
 public:
  // The largest bits without the sign of an array of floats, as kernels->largest_bits has them.
  std::optional<uint64_t> largest(const Array& array) const {
    // Results are mostly asked about in their order.
    for (int i = 0; i < n_; ++i, next_ = (next_ + 1) % n_)
      if (const Result& result = results_[next_];
          result.data == array.data && result.numel == array.numel && array.dtype == result.dtype)
        return result.largest.load(std::memory_order_relaxed);
    return {};
  }
  // Whether results of these places are to be looked at; they are written in the order of memory.
  bool begin(std::span<const Array* const> outputs) {
    n_ = next_ = 0;
    if (outputs.size() > std::size(few_)) many_ = std::make_unique<Result[]>(outputs.size());
    results_ = many_ ? many_.get() : few_;
    for (const Array* out : outputs) {
      if (!is_floating(out->dtype) || !out->contiguous) return n_ = 0, false;
      Result& result = results_[n_++];
      result.data = out->as<char>();
      result.numel = out->numel;
      result.dtype = out->dtype;
      result.largest = 0;
    }
    return n_ > 0;
  }
  void saw(int i, uint64_t bits) {
    std::atomic<uint64_t>& largest = results_[i].largest;
    uint64_t known = largest.load(std::memory_order_relaxed);
    while (bits > known && !largest.compare_exchange_weak(known, bits, std::memory_order_relaxed)) {
    }
  }
  void look(int64_t begin, int64_t end) {
    for (int i = 0; i < n_; ++i) look_at(i, begin, end);
  }
  void look_at(int i, int64_t begin, int64_t end) {
    const int64_t item = itemsize(results_[i].dtype);
    saw(i, kernels->largest_bits[item == 2   ? 0
                                 : item == 4 ? 1
                                             : 2](results_[i].data + begin * item, end - begin));
  }

 private:
  struct Result {
    const char* data;
    int64_t numel;
    DType dtype;
    std::atomic<uint64_t> largest;
  };
  int n_ = 0;
  mutable int next_ = 0;
  Result few_[Program::kMaxOutputs];
  std::unique_ptr<Result[]> many_;
  Result* results_ = few_;
};

extern constinit thread_local Looks* asked __attribute__((tls_model("initial-exec")));

// Asks the next action; what does not take the question leaves nothing behind.
class Asked {
 public:
  explicit Asked(Looks* looks) : before_(std::exchange(asked, looks)) {}
  ~Asked() { asked = before_; }
  Asked(const Asked&) = delete;

 private:
  Looks* before_;
};

// The question that `to` may take: a primitive, or kUpdates for the updates of parameters.
struct Offer {
  const void* to = nullptr;
  Looks* looks = nullptr;
};
extern constinit thread_local Offer offered __attribute__((tls_model("initial-exec")));
inline constexpr char kUpdates = 0;

class Offered {
 public:
  Offered(const void* to, Looks* looks) : before_(std::exchange(offered, Offer{to, looks})) {}
  ~Offered() { offered = before_; }
  Offered(const Offered&) = delete;

 private:
  Offer before_;
};

// The question that was offered to `who`, if it was.
inline Looks* take(const void* who) {
  return offered.looks && offered.to == who ? std::exchange(offered.looks, nullptr) : nullptr;
}
// The same for who will look at these results.
inline Looks* take(const void* who, std::span<const Array* const> outputs) {
  Looks* const looks = take(who);
  return looks && looks->begin(outputs) ? looks : nullptr;
}

// Looks of one thread at what it writes, tile after tile.
class Glances {
 public:
  explicit Glances(Looks* looks) : looks_(looks) {}
  ~Glances() { look(); }
  Glances(const Glances&) = delete;
  void wrote(int64_t begin, int64_t n) {
    if (!looks_) return;
    if (begin != end_) {
      look();
      begin_ = begin;
    }
    end_ = begin + n;
    if (end_ - begin_ >= kSome) look();
  }

 private:
  static constexpr int64_t kSome = 4096;  // elements, which lie in the first cache
  void look() {
    if (looks_ && end_ > begin_) looks_->look(begin_, end_);
    begin_ = end_;
  }
  Looks* looks_;
  int64_t begin_ = 0, end_ = 0;
};

}  // namespace versant::watch
