#include "machine/code/room.h"

#include <atomic>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/mman.h>
#endif

namespace versant::code {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::int64_t kMostBytes = 32 << 20;
std::atomic<std::int64_t> in_use{0}, pieces{0};

#if defined(__x86_64__) && defined(__linux__)

std::atomic<bool> refused{false};  // a system that refuses once will again

void* pages_with(std::span<const std::uint8_t> code, std::size_t bytes) {
  if (refused) return nullptr;
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  std::memcpy(at, code.data(), code.size());
  if (mprotect(at, bytes, PROT_READ | PROT_EXEC) == 0) return at;
  refused = true;
  munmap(at, bytes);
  return nullptr;
}
void give_back(void* at, std::size_t bytes) { munmap(at, bytes); }

#else

void* pages_with(std::span<const std::uint8_t>, std::size_t) { return nullptr; }
void give_back(void*, std::size_t) {}

#endif

}  // namespace

Room::Room(std::span<const std::uint8_t> code) : bytes_((code.size() + kPage - 1) / kPage * kPage) {
  if (bytes_ == 0 || in_use + static_cast<std::int64_t>(bytes_) > kMostBytes) return;
  begin_ = pages_with(code, bytes_);
  if (!begin_) return;
  in_use += static_cast<std::int64_t>(bytes_);
  ++pieces;
}

Room::~Room() {
  if (!begin_) return;
  give_back(begin_, bytes_);
  in_use -= static_cast<std::int64_t>(bytes_);
  --pieces;
}

std::int64_t Room::bytes_in_use() { return in_use; }
std::int64_t Room::count() { return pieces; }

}  // namespace versant::code
