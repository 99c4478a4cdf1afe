// Where the values of a formula are while its code is written: in registers, in memory, in constants.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "machine/code/assembler.h"
#include "machine/code/formula.h"

namespace versant::code {

// A linear scan over the scheduled values. It loads what instructions read, puts away what is needed last of
// all when registers run out, and writes these moves, and the frame around the loop, as it goes.
class Registers {
 public:
  explicit Registers(const Formula& formula);

 protected:
  static constexpr int kMostVectors = 32, kMasks = 8;
  static constexpr int kFree = -1, kNumber = -2;  // what a register holds, else a value

  int end() const { return static_cast<int>(order_.size()); }
  void find_uses();
  // The bases of memory, and the constants behind the code.
  void find_places();
  // Registers that the other values leave free keep the numbers that are used most.
  void keep_numbers();

  // The frame around the loop, and the code in all.
  void prologue();
  void epilogue();
  std::vector<std::uint8_t> finish();

  Gpr base_of(int place) const;
  Place memory(int place, int offset);
  // Where a value lies that is in no register.
  Place home(Id v);
  bool is_last_use(Id v) const;
  bool in_mask(Id v) const { return avx512_ && is_truth(values_[v].kind); }
  int holds_at(int reg) const { return holds_[static_cast<std::size_t>(reg)]; }
  // A register that nothing holds, or whose value is needed last of all; that value is put away.
  int free_register();
  int new_register(Id v);
  Opcode broadcast() const { return wide_ ? Opcode{2, 1, 0x19, true} : Opcode{2, 1, 0x18, false}; }
  void load_from_home(int reg, Id v);
  int in_register(Id v);
  // Whether an operand is better read from memory in passing.
  bool stays_in_memory(Id v) const;
  Place operand(Id v) { return stays_in_memory(v) ? home(v) : Place::reg(in_register(v)); }
  void unpin() { pinned_.fill(false); }
  // One use of a value is over.
  void used(Id v);
  void use_all(const Value& value);

  const Formula& formula_;
  const std::vector<Value>& values_;
  const bool wide_;    // 64-bit elements
  const bool avx512_;  // or AVX2: truths are vectors of ones and zeros, constants are whole vectors
  const int vectors_;
  const std::vector<Id> order_;
  Assembler code_;

  std::vector<std::vector<int>> uses_;  // of each value: positions in the order, those of stores at the end
  std::vector<int> next_;               // how many of them are over
  std::vector<int> reg_;                // the register of a value, or its mask; -1: none
  std::vector<int> slot_;               // its place in the frame; -1: none
  std::vector<int> pool_;
  std::vector<std::uint64_t> constants_;
  std::vector<int> places_;  // that have a base register
  std::vector<Id> uniforms_, kept_;
  std::array<int, kMostVectors> holds_{};
  std::array<bool, kMostVectors> pinned_{};
  std::array<int, kMasks> masks_{};
  int frame_ = 0;
  bool crowded_ = false;  // one instruction needs more registers than there are
};

}  // namespace versant::code
