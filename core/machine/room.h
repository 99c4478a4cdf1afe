// Room in a stretch of memory: what is free of it, given out by best fit and taken back.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace versant {

class Room {
 public:
  static constexpr int64_t kNone = -1;

  // The free stretches: where each begins, and its bytes. No two of them touch.
  const std::map<int64_t, int64_t>& free() const { return free_; }
  void clear() { free_.clear(); }

  // The smallest free stretch that is large enough, of equal ones the first; kNone where there is none.
  int64_t take(int64_t bytes) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
      if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
    if (best == free_.end()) return kNone;
    const auto [at, size] = *best;
    free_.erase(best);
    if (size > bytes) free_.emplace(at + bytes, size - bytes);
    return at;
  }
  void give_back(int64_t at, int64_t bytes) {
    auto next = free_.lower_bound(at);
    if (next != free_.end() && at + bytes == next->first) {
      bytes += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == at) {
        before->second += bytes;
        return;
      }
    }
    free_.emplace(at, bytes);
  }

 private:
  std::map<int64_t, int64_t> free_;
};

// Room that grows at its end when nothing in it is large enough.
class GrowingRoom {
 public:
  int64_t take(int64_t bytes) {
    const int64_t found = room_.take(bytes);
    if (found != Room::kNone) return found;
    int64_t there = 0;  // free bytes at the end
    if (!room_.free().empty()) {
      const auto& [at, size] = *std::prev(room_.free().end());
      if (at + size == end_) there = size;
    }
    room_.give_back(end_, bytes - there);
    end_ += bytes - there;
    return room_.take(bytes);
  }
  void give_back(int64_t at, int64_t bytes) { room_.give_back(at, bytes); }
  int64_t end() const { return end_; }

 private:
  Room room_;
  int64_t end_ = 0;
};

}  // namespace versant
