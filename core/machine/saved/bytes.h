// Little-endian bytes of saved programs: one set of calls writes them, the same set reads them back.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "machine/error.h"

namespace versant::saved {

static_assert(std::endian::native == std::endian::little, "programs are written as memory holds them");

[[noreturn]] inline void damaged(const auto&... parts) {
  fail(ErrorKind::Program, "[load_program] ", parts...);
}

class Writer {
 public:
  static constexpr bool reading = false;

  template <typename T>
  void number(T& value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string& value) {
    auto size = static_cast<uint32_t>(value.size());
    number(size);
    bytes_ += value;
  }
  // Calls each(item) for all items of a vector.
  template <typename T, typename Each>
  void list(std::vector<T>& items, Each&& each) {
    auto count = static_cast<uint32_t>(items.size());
    number(count);
    for (T& item : items) each(item);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Trusts nothing: whatever does not fit raises.
class Reader {
 public:
  static constexpr bool reading = true;
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  void number(T& value) {
    static_assert(std::is_arithmetic_v<T>);
    std::memcpy(&value, take(sizeof value), sizeof value);
  }
  // A bool is 0 or 1.
  void number(bool& value) {
    const auto byte = static_cast<unsigned char>(*take(1));
    if (byte > 1) damaged("a flag of the program is ", int{byte});
    value = byte == 1;
  }
  void text(std::string& value) {
    uint32_t size = 0;
    number(size);
    value.assign(take(size), size);
  }
  // Every item takes at least one byte, so that no count asks for more memory than the file is long.
  template <typename T, typename Each>
  void list(std::vector<T>& items, Each&& each) {
    uint32_t count = 0;
    number(count);
    if (count > rest_.size()) damaged("a list of the program is longer than the file");
    items.clear();
    for (uint32_t i = 0; i < count; ++i) each(items.emplace_back());
  }
  bool at_end() const { return rest_.empty(); }

 private:
  const char* take(size_t count) {
    if (count > rest_.size()) damaged("the program ends in the middle of a step");
    const char* const start = rest_.data();
    rest_.remove_prefix(count);
    return start;
  }
  std::string_view rest_;
};

}  // namespace versant::saved
