// Errors of the machine. A message starts with the op in brackets; the Python face maps each kind to an
// exception class.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace versant {

enum class ErrorKind {
  Shape,
  DType,
  Axis,
  Index,
  Value,
  Type,
  Runtime,
  Memory,
  NotImplemented,
  ZeroDivision,
  Overflow,
  Program  // a saved program that cannot be trusted, or not be run
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Thrown through the machine when the host language already holds a pending exception.
struct HostError {};

template <typename... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

template <typename... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  throw Error(kind, text(parts...));
}

}  // namespace versant
