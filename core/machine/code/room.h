// Memory for machine code: first writable, then executable, never both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace versant::code {

// One piece of machine code, in pages of its own.
class Room {
 public:
  // Nothing (`begin` is null) where the system refuses executable memory, or where there is much code
  // already.
  explicit Room(std::span<const std::uint8_t> code);
  ~Room();
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  const void* begin() const { return begin_; }

  static std::int64_t bytes_in_use();
  static std::int64_t count();  // of pieces

 private:
  void* begin_ = nullptr;
  std::size_t bytes_;
};

}  // namespace versant::code
