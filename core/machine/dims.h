// Sizes, strides or axes: a short vector of integers, inline up to five.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <ostream>
#include <span>

#include "machine/error.h"

namespace versant {

inline constexpr int kMaxRank = 64;

class Dims {
 public:
  static constexpr int kInline = 5;

  Dims() = default;
  explicit Dims(int count, int64_t value = 0) {
    resize(count);
    std::fill(begin(), end(), value);
  }
  Dims(std::initializer_list<int64_t> values)
      : Dims(std::span<const int64_t>(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values) {
    resize(static_cast<int>(values.size()));
    std::copy(values.begin(), values.end(), begin());
  }
  Dims(const Dims& other) { copy(other); }
  Dims(Dims&& other) noexcept {
    std::memcpy(static_cast<void*>(this), &other, sizeof(Dims));
    other.count_ = 0;
  }
  Dims& operator=(const Dims& other) {
    if (this != &other) {
      drop();
      copy(other);
    }
    return *this;
  }
  Dims& operator=(Dims&& other) noexcept {
    if (this != &other) {
      drop();
      std::memcpy(static_cast<void*>(this), &other, sizeof(Dims));
      other.count_ = 0;
    }
    return *this;
  }
  ~Dims() { drop(); }

  int size() const { return count_; }
  bool empty() const { return count_ == 0; }
  int64_t* begin() { return count_ <= kInline ? inline_ : heap_; }
  int64_t* end() { return begin() + count_; }
  const int64_t* begin() const { return count_ <= kInline ? inline_ : heap_; }
  const int64_t* end() const { return begin() + count_; }
  int64_t& operator[](int i) { return begin()[i]; }
  int64_t operator[](int i) const { return begin()[i]; }
  int64_t back() const { return begin()[count_ - 1]; }
  operator std::span<const int64_t>() const { return {begin(), static_cast<size_t>(count_)}; }

  void push_back(int64_t value) {
    resize(count_ + 1);
    begin()[count_ - 1] = value;
  }
  void insert(int at, int64_t value) {
    push_back(value);
    std::rotate(begin() + at, end() - 1, end());
  }
  void erase(int at) {
    std::copy(begin() + at + 1, end(), begin() + at);
    resize(count_ - 1);
  }
  // Keeps the leading values; new ones are not initialised.
  void resize(int count) {
    const bool was_heap = count_ > kInline, is_heap = count > kInline;
    if (is_heap && (!was_heap || capacity(count) != capacity(count_))) {
      auto* heap = new int64_t[capacity(count)];
      std::copy(begin(), begin() + std::min<int64_t>(count, count_), heap);
      drop();
      heap_ = heap;
    } else if (was_heap && !is_heap) {
      int64_t* heap = heap_;
      std::copy(heap, heap + count, inline_);
      delete[] heap;
    }
    count_ = count;
  }

  friend bool operator==(const Dims& a, const Dims& b) {
    if (a.count_ != b.count_) return false;
    const int64_t *p = a.begin(), *q = b.begin();
    for (int i = 0; i < a.count_; ++i)
      if (p[i] != q[i]) return false;
    return true;
  }
  friend std::ostream& operator<<(std::ostream& out, const Dims& dims) {
    out << '(';
    for (int i = 0; i < dims.size(); ++i) out << (i ? ", " : "") << dims[i];
    return out << (dims.size() == 1 ? ",)" : ")");
  }

 private:
  // Room on the heap for `count` values: steps of 64.
  static int64_t capacity(int64_t count) { return (count + 63) / 64 * 64; }
  void copy(const Dims& other) {
    count_ = other.count_;
    if (count_ <= kInline) {
      std::memcpy(inline_, other.inline_, sizeof(inline_));
    } else {
      heap_ = new int64_t[capacity(count_)];
      std::copy(other.heap_, other.heap_ + count_, heap_);
    }
  }
  void drop() {
    if (count_ > kInline) delete[] heap_;
  }

  int64_t count_ = 0;
  union {
    int64_t inline_[kInline];
    int64_t* heap_;
  };
};

}  // namespace versant
