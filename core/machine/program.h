// Tile programs: straight-line programs of micro-ops, run tile by tile.
//
// Registers are numbered: first the inputs, then the constants, then one per instruction (a straight line in
// static single assignment; `Program::finish` maps results onto few tiles). All registers have one compute
// type.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "machine/array.h"
#include "machine/code/routines.h"
#include "machine/micro.h"

namespace versant {

struct Instruction {
  Micro micro;
  uint8_t a = 0, b = 0, c = 0;  // operand registers
};

struct Program {
  static constexpr int kMaxRegisters = 255;
  static constexpr int kMaxInputs = 16;
  static constexpr int kMaxOutputs = 8;

  int n_inputs = 0;
  std::vector<Scalar> constants;
  std::vector<Instruction> code;
  std::vector<uint8_t> outputs;  // registers; may name an input or a constant

  // Checks registers and arities and plans tiles; throws Error(Value) on a malformed program.
  void finish();
  bool uses(int input) const;
  int first_result() const { return n_inputs + static_cast<int>(constants.size()); }

  // Set by finish: for each instruction the tile slot its result lives in, or -1 - k when it is written
  // straight to output k; how many slots there are; and whether an I64 run may divide by zero.
  std::vector<int16_t> slot;
  int n_slots = 0;
  bool divides = false;
  bool single = false;                 // one instruction over the inputs, and its result
  bool supported[kComputeCount] = {};  // there are kernels for every instruction
  int64_t work = 0;                    // micro-ops for each element
  // The same program in superinstructions, for floats; null where there is nothing to join.
  std::shared_ptr<const Program> joined;
  code::Routines routines;  // the same in machine code

  const Program& for_compute(Compute compute) const {
    return joined && compute != Compute::I64 ? *joined : *this;
  }

 private:
  void plan();
};

// `program` with superinstructions for the micro-ops that match them; null where none does.
std::shared_ptr<Program> join_instructions(const Program& program);

// An input of a program: an array, or a number that is the same everywhere.
struct Operand {
  const Array* array = nullptr;
  Scalar scalar;
};

Compute compute_of(DType dtype);

// Runs `program` over the index space `sizes`. Inputs broadcast to it. Outputs have exactly these sizes, any
// strides; an output may be the same memory as an input of equal strides, and may not overlap one otherwise.
// Values are converted at load and store; where `common` (the promoted dtype) is float16 or bfloat16, inputs
// of other dtypes are rounded to it first.
void run_program(const Program& program, Compute compute, std::span<const Operand> inputs,
                 std::span<const Array* const> outputs, const Dims& sizes, DType common, const char* op);

// The same on the calling thread, which need not hold the lock, for float32 and float64; the arrays may lack
// a storage.
void run_program_part(const Program& program, Compute compute, std::span<const Operand> inputs,
                      std::span<const Array* const> outputs, const Dims& sizes, DType common);

// The same over arrays that are row by row and of one size (inputs may also be single numbers). Outputs of
// the program behind those in `outputs` are not stored: of each the sum over all elements goes into `totals`,
// divided by its divisor, with the bits that a reduction of the stored values would have.
bool is_uniform(const Array& array);  // one number everywhere
struct Total {
  const Array* to;
  double divisor;
};
void run_program_summed(const Program& program, Compute compute, std::span<const Operand> inputs,
                        std::span<const Array* const> outputs, std::span<const Total> totals, int64_t numel,
                        DType common, const char* op);

}  // namespace versant
