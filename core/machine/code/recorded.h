// Symbols in the place of numbers: a function of vector math that is applied to them records the machine
// instructions that it takes into the current formula (formula.h). So one source makes the kernels and the
// machine code of programs, and both round alike.
#pragma once

#include "machine/code/formula.h"
#include "machine/vecmath.h"

namespace versant::isa::VERSANT_ISA {

using code::Id;
using code::Kind;

inline Id recorded(Kind kind, Id a, Id b = 0, Id c = 0, std::uint8_t immediate = 0, std::uint64_t bits = 0) {
  return code::Formula::current().add({kind, immediate, {a, b, c}, bits});
}
inline Id recorded_logic(std::uint8_t table, Id a, Id b) { return recorded(Kind::Logic, a, b, 0, table, 2); }
inline constexpr std::uint8_t kBoth = 0xc0, kEither = 0xfc, kDiffer = 0x3c;

// Stands for a comparison.
struct RecordedTruth {
  Id id;

  friend RecordedTruth operator&(RecordedTruth x, RecordedTruth y) {
    return {recorded(Kind::TruthAnd, x.id, y.id)};
  }
  friend RecordedTruth operator|(RecordedTruth x, RecordedTruth y) {
    return {recorded(Kind::TruthOr, x.id, y.id)};
  }
  friend RecordedTruth operator!=(RecordedTruth x, RecordedTruth y) {
    return {recorded(Kind::TruthXor, x.id, y.id)};
  }
};

// Stands for the bits of a number, as an unsigned or a signed integer.
template <class T, bool is_signed = false>
struct RecordedBits {
  using Integer = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  Id id;

  explicit RecordedBits(Id id) : id(id) {}
  static RecordedBits of(Integer value) { return RecordedBits(code::Formula::current().bits(value)); }

  friend RecordedBits operator+(RecordedBits x, Integer y) { return x + of(y); }
  friend RecordedBits operator-(RecordedBits x, Integer y) { return x - of(y); }
  friend RecordedBits operator&(RecordedBits x, Integer y) { return x & of(y); }
  friend RecordedBits operator|(RecordedBits x, Integer y) { return x | of(y); }
  friend RecordedBits operator+(RecordedBits x, RecordedBits y) {
    return RecordedBits(recorded(Kind::AddInt, x.id, y.id));
  }
  friend RecordedBits operator-(RecordedBits x, RecordedBits y) {
    return RecordedBits(recorded(Kind::SubInt, x.id, y.id));
  }
  friend RecordedBits operator&(RecordedBits x, RecordedBits y) {
    return RecordedBits(recorded_logic(kBoth, x.id, y.id));
  }
  friend RecordedBits operator|(RecordedBits x, RecordedBits y) {
    return RecordedBits(recorded_logic(kEither, x.id, y.id));
  }
  friend RecordedBits operator<<(RecordedBits x, int by) {
    return RecordedBits(recorded(Kind::ShiftLeft, x.id, 0, 0, static_cast<std::uint8_t>(by)));
  }
  friend RecordedBits operator>>(RecordedBits x, int by) {
    return RecordedBits(recorded(is_signed ? Kind::ShiftRightSigned : Kind::ShiftRight, x.id, 0, 0,
                                 static_cast<std::uint8_t>(by)));
  }
};

template <class T>
struct Recorded;
template <class T>
Recorded<T> from_bits(RecordedBits<T> bits);

// Stands for a number.
template <class T>
struct Recorded {
  Id id;

  explicit Recorded(Id id, std::nullptr_t) : id(id) {}
  Recorded(double value) : id(code::Formula::current().number(static_cast<double>(static_cast<T>(value)))) {}

  friend Recorded operator+(Recorded x, Recorded y) { return of(Kind::Add, x, y); }
  friend Recorded operator-(Recorded x, Recorded y) { return of(Kind::Sub, x, y); }
  friend Recorded operator*(Recorded x, Recorded y) { return of(Kind::Mul, x, y); }
  friend Recorded operator/(Recorded x, Recorded y) { return of(Kind::Div, x, y); }
  friend Recorded operator-(Recorded x) { return with(kDiffer, x, kSign); }
  friend Recorded abs(Recorded x) { return with(kBoth, x, kSign - 1); }
  friend Recorded copysign(Recorded x, Recorded y) {
    return from_bits((bits_of(x) & (kSign - 1)) | (bits_of(y) & kSign));
  }
  friend Recorded sqrt(Recorded x) { return of(Kind::Sqrt, x); }
  friend Recorded round(Recorded x) { return rounded(x, 0); }
  friend Recorded floor(Recorded x) { return rounded(x, 1); }
  friend Recorded ceil(Recorded x) { return rounded(x, 2); }
  friend Recorded trunc(Recorded x) { return rounded(x, 3); }
  friend Recorded fused(Recorded x, Recorded y, Recorded z) {
    return Recorded(recorded(Kind::MultiplyAdd, x.id, y.id, z.id), nullptr);
  }

  friend RecordedTruth operator==(Recorded x, Recorded y) { return compared(code::kEq, x, y); }
  friend RecordedTruth operator!=(Recorded x, Recorded y) { return compared(code::kNe, x, y); }
  friend RecordedTruth operator<(Recorded x, Recorded y) { return compared(code::kLt, x, y); }
  friend RecordedTruth operator<=(Recorded x, Recorded y) { return compared(code::kLe, x, y); }
  friend RecordedTruth operator>(Recorded x, Recorded y) { return compared(code::kGt, x, y); }
  friend RecordedTruth operator>=(Recorded x, Recorded y) { return compared(code::kGe, x, y); }
  friend Recorded choose(RecordedTruth truth, Recorded x, Recorded y) {
    return Recorded(recorded(Kind::Choose, truth.id, x.id, y.id), nullptr);
  }

  friend RecordedBits<T> bits_of(Recorded x) { return RecordedBits<T>(x.id); }

 private:
  static constexpr auto kSign = static_cast<typename RecordedBits<T>::Integer>(
      typename RecordedBits<T>::Integer{1} << (8 * sizeof(T) - 1));
  static Recorded of(Kind kind, Recorded x) { return Recorded(recorded(kind, x.id), nullptr); }
  static Recorded of(Kind kind, Recorded x, Recorded y) {
    return Recorded(recorded(kind, x.id, y.id), nullptr);
  }
  static Recorded rounded(Recorded x, std::uint8_t mode) {
    return Recorded(recorded(Kind::Round, x.id, 0, 0, mode), nullptr);
  }
  static Recorded with(std::uint8_t table, Recorded x, typename RecordedBits<T>::Integer bits) {
    return Recorded(recorded_logic(table, x.id, RecordedBits<T>::of(bits).id), nullptr);
  }
  static RecordedTruth compared(code::Predicate predicate, Recorded x, Recorded y) {
    return {recorded(Kind::Compare, x.id, y.id, 0, predicate)};
  }
};

template <class T>
Recorded<T> from_bits(RecordedBits<T> bits) {
  return Recorded<T>(bits.id, nullptr);
}
template <class T>
RecordedBits<T, true> as_signed(RecordedBits<T> bits) {
  return RecordedBits<T, true>(bits.id);
}
template <class T>
RecordedBits<T> as_unsigned(RecordedBits<T, true> bits) {
  return RecordedBits<T>(bits.id);
}
template <class T>
Recorded<T> to_number(RecordedBits<T, true> bits) {
  return Recorded<T>(recorded(Kind::ToNumber, bits.id), nullptr);
}

template <class T>
struct NumberOf<Recorded<T>> {
  using Type = T;
};

}  // namespace versant::isa::VERSANT_ISA
