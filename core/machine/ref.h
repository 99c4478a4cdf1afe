// An owning pointer to an object that counts its references in a plain integer `refs`.
// Counts are not atomic: the machine's bookkeeping runs under one lock (see lock.h).
#pragma once

#include <cstdint>
#include <utility>

namespace versant {

template <typename T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  // Shares: adds a reference.
  explicit Ref(T* object) : object_(object) {
    if (object_) ++object_->refs;
  }
  // Takes over a reference that the caller owns.
  static Ref steal(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ && --object_->refs == 0) T::destroy(object_);
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives up ownership without dropping the reference.
  T* release() { return std::exchange(object_, nullptr); }
  void reset() { Ref().swap(*this); }
  void swap(Ref& other) noexcept { std::swap(object_, other.object_); }

 private:
  T* object_ = nullptr;
};

}  // namespace versant
