// Room in a stretch of memory: what is free of it, given out by best fit and taken back.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace versant {

class Room {
 public:
  static constexpr int64_t kNone = -1;

  // The free stretches: where each begins, and its bytes. No two of them touch.
  const std::map<int64_t, int64_t>& free() const { return free_; }
  void clear() {
    free_.clear();
    by_size_.clear();
  }

  // Of the smallest free stretch that is large enough, of equal ones the first, its beginning or its end;
  // kNone where there is none. What is left should lie towards where the room grows.
  int64_t take(int64_t bytes, bool from_end = false) {
    const auto best = by_size_.lower_bound({bytes, 0});
    if (best == by_size_.end()) return kNone;
    const auto [size, at] = *best;
    drop(free_.find(at));
    if (size > bytes) add(from_end ? at : at + bytes, size - bytes);
    return from_end ? at + size - bytes : at;
  }
  void give_back(int64_t at, int64_t bytes) {
    const auto next = free_.lower_bound(at);
    const auto before = next == free_.begin() ? free_.end() : std::prev(next);
    if (next != free_.end() && at + bytes == next->first) {
      bytes += next->second;
      drop(next);
    }
    if (before != free_.end() && before->first + before->second == at) {
      at = before->first;
      bytes += before->second;
      drop(before);
    }
    add(at, bytes);
  }

 private:
  void add(int64_t at, int64_t bytes) {
    free_.emplace(at, bytes);
    by_size_.emplace(bytes, at);
  }
  void drop(std::map<int64_t, int64_t>::iterator stretch) {
    by_size_.erase({stretch->second, stretch->first});
    free_.erase(stretch);
  }

  std::map<int64_t, int64_t> free_;
  std::set<std::pair<int64_t, int64_t>> by_size_;
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
