// Joining the results of blocks, as Note [Order of reductions] in reduce.h says.
#pragma once

#include <algorithm>

#include "machine/kernels.h"

namespace versant {

// Joins results that come in order, `width` numbers at a time.
class ReductionTree {
 public:
  // Levels that up to 2^63 leaves need.
  static constexpr int kMaxLevels = 64;

  // `room` holds width * item bytes for each of bit_width(leaves) + 1 levels.
  ReductionTree(Reduction reduction, Compute compute, int64_t width, char* room)
      : join_(kernels->micro_of(kJoin[static_cast<int>(reduction)], compute)),
        width_(width),
        bytes_(width * (compute == Compute::F32 ? 4 : 8)),
        room_(room) {}

  // Where the next results go; `pushed` follows.
  char* next() { return room_ + depth_ * bytes_; }
  void pushed() {
    level_[depth_++] = 0;
    while (depth_ > 1 && level_[depth_ - 1] == level_[depth_ - 2]) join_top();
  }
  void push(const char* results) {
    std::copy_n(results, bytes_, next());
    pushed();
  }
  const char* finish() {
    while (depth_ > 1) join_top();
    return room_;
  }

 private:
  static constexpr Micro kJoin[kReductionCount] = {Micro::Add, Micro::Mul, Micro::Max, Micro::Min,
                                                   Micro::Max, Micro::Min, Micro::Add};

  void join_top() {
    char* const right = room_ + (depth_ - 1) * bytes_;
    char* const left = right - bytes_;
    join_(left, left, right, nullptr, width_);
    --depth_;
    ++level_[depth_ - 1];
  }

  MicroKernel join_;
  int64_t width_, bytes_;
  char* room_;
  int depth_ = 0;
  int level_[kMaxLevels];
};

}  // namespace versant
