#include "machine/code/room.h"

#include <atomic>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__)
#include <sys/mman.h>
#define VERSANT_EXECUTES 1
#endif

namespace versant::code {

namespace {

constexpr std::int64_t kMostBytes = 32 << 20;
std::atomic<std::int64_t> in_use{0}, pieces{0};
std::atomic<bool> refused{false};

}  // namespace

#if defined(VERSANT_EXECUTES)

Room::Room(std::span<const std::uint8_t> code) {
  constexpr std::size_t kPage = 4096;
  const std::size_t bytes = (code.size() + kPage - 1) / kPage * kPage;
  if (bytes == 0 || refused || in_use + static_cast<std::int64_t>(bytes) > kMostBytes) return;
  void* const at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return;
  std::memcpy(at, code.data(), code.size());
  if (mprotect(at, bytes, PROT_READ | PROT_EXEC) != 0) {
    munmap(at, bytes);
    refused = true;
    return;
  }
  begin_ = at;
  bytes_ = bytes;
  in_use += static_cast<std::int64_t>(bytes);
  ++pieces;
}

Room::~Room() {
  if (!begin_) return;
  munmap(begin_, bytes_);
  in_use -= static_cast<std::int64_t>(bytes_);
  --pieces;
}

#else

Room::Room(std::span<const std::uint8_t>) {}
Room::~Room() = default;

#endif

std::int64_t Room::bytes_in_use() { return in_use; }
std::int64_t Room::count() { return pieces; }

}  // namespace versant::code
