// Formulas: what a piece of machine code computes for each lane of a vector, as values of a straight line.
//
// A formula is recorded by calling functions of vector math with symbols (recorded.h), value by value. Equal
// values are one. `emit` (emit.h) makes machine code of it.
#pragma once

#include <cstdint>
#include <vector>

#include "machine/micro.h"

namespace versant::code {

enum class Kind : std::uint8_t {
  Number,   // `bits`, the same in all lanes
  Input,    // the vector at place `at[0]`, `bits` bytes further
  Uniform,  // the first element at place `at[0]`, in all lanes
  Add,
  Sub,
  Mul,
  Div,
  Min,  // at[0] < at[1] ? at[0] : at[1]
  Max,  // at[0] > at[1] ? at[0] : at[1]
  Sqrt,
  Round,        // immediate: 0 to even, 1 down, 2 up, 3 toward zero
  MultiplyAdd,  // at[0] * at[1] + at[2], rounded once; immediate: kNegateProduct, kNegateAddend
  Logic,        // of the bits of up to three values; immediate: the truth table, at[0] being its high digit
  AddInt,       // lanes as integers
  SubInt,
  ShiftLeft,         // by the immediate
  ShiftRight,        // ... zeros come in
  ShiftRightSigned,  // ... copies of the sign come in
  ToNumber,          // of a signed integer
  Compare,           // a truth; immediate: the predicate of the processor
  TruthAnd,
  TruthOr,
  TruthXor,
  Choose,  // at[0], a truth, ? at[1] : at[2]
};
inline constexpr std::uint8_t kNegateProduct = 1, kNegateAddend = 2;
enum Predicate : std::uint8_t { kEq = 0x00, kNe = 0x04, kLt = 0x11, kLe = 0x12, kGe = 0x1d, kGt = 0x1e };

using Id = std::uint16_t;

struct Value {
  Kind kind;
  std::uint8_t immediate = 0;
  Id at[3] = {0, 0, 0};
  std::uint64_t bits = 0;

  bool operator==(const Value&) const = default;
};
int operands_of(const Value& value);
bool is_truth(Kind kind);

class Formula {
 public:
  // For vectors of 64 bytes, which have logic of three values in one instruction, or of 32.
  Formula(Compute compute, int vector_bytes) : compute(compute), vector_bytes(vector_bytes) {}

  // The number of a value equal to this one, which is simplified where no bit changes.
  Id add(const Value& value);
  Id number(double value);
  Id bits(std::uint64_t value);

  struct Store {
    Id value;
    int place;
    int offset = 0;  // in bytes
  };
  const Compute compute;  // F32 or F64
  const int vector_bytes;
  int vectors = 1;  // of each place, that one turn computes
  std::vector<Value> values;
  std::vector<Store> stores;

  // The same for two vectors in one turn: their chains of instructions run beside each other.
  Formula paired() const;

  // The formula that symbols are recorded into, one for each thread.
  static Formula& current();
  class Recording {
   public:
    explicit Recording(Formula& formula);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;

   private:
    Formula* before_;
  };

 private:
  Id find(const Value& value);
  bool is_negation(Id id, Id* of) const;
  std::uint64_t sign() const { return compute == Compute::F32 ? 0x80000000U : std::uint64_t{1} << 63; }

  std::vector<Id> table_;  // by hash, value numbers plus one
};

}  // namespace versant::code
