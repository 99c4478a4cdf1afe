// Working memory for kernels.
#pragma once

#include <cstddef>

#include "machine/memory.h"

namespace versant {

// 64-byte aligned memory for the time of a scope: on the stack when small. Made and dropped under the
// bookkeeping lock.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : data_(stack_) {
    if (bytes > sizeof(stack_)) data_ = static_cast<std::byte*>(memory::allocate(bytes, &granted_));
  }
  ~Scratch() {
    if (granted_) memory::deallocate(data_, granted_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::byte* data() const { return data_; }

 private:
  alignas(64) std::byte stack_[32768];
  std::byte* data_;
  std::size_t granted_ = 0;
};

}  // namespace versant
