// Routines: tile programs as machine code.
//
// Note [Machine code]
// A routine computes what a tile program computes, with the same bits: the functions of which micro-op
// kernels are made, applied to symbols, give the instructions (recorded.h). Micro-ops that have such a form
// run together in registers; between them the others are calls of their kernels over tiles. Nothing depends
// on routines. A program gets one when it has done enough work to pay for it, on processors with AVX2 or
// AVX-512 and where the system admits executable memory; tiles run all others.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "machine/code/emit.h"
#include "machine/code/room.h"
#include "machine/code/routines.h"
#include "machine/kernels.h"

namespace versant::code {

class Routine {
 public:
  // Null where the program does not gain by machine code, or cannot have it.
  static std::unique_ptr<const Routine> make(const Program& program, const Form& form);

  static constexpr int kMaxPlaces = 64;

  // Places: the inputs of the program, its outputs, and n_tiles tiles, the first of which are filled with
  // `constants` (by number) of the program. Uniform inputs are filled tiles as well.
  const std::vector<std::uint8_t>& constants() const { return constants_; }
  int n_tiles() const { return n_tiles_; }
  bool has_tiles() const { return n_tiles_ > 0; }
  int lanes() const { return lanes_; }                                        // elements of a vector
  bool writes_last(std::size_t output) const { return last_ >> output & 1; }  // only the last step writes it

  // Computes n elements. Code reads and writes whole vectors.
  void run(void* const* places, std::int64_t n) const;

 private:
  struct Step;
  void run_code(const Step& step, void* const* places, std::int64_t vectors) const;

  struct Step {
    Function code, pairs;  // for a vector a turn, and for two or null; both null: a kernel
    MicroKernel kernel;
    int to, a, b, c;
  };
  friend class Maker;
  std::vector<Step> steps_;
  std::vector<std::uint8_t> constants_;
  int n_tiles_ = 0, lanes_ = 0, n_places_ = 0;
  std::uint32_t uniform_ = 0;
  std::uint32_t last_ = 0;
  std::unique_ptr<Room> room_;
};

// The machine code of a program of formulas alone, for vectors of 32 or 64 bytes, which this processor need
// not have, one vector a turn or two; empty for other programs.
std::vector<std::uint8_t> code_of(const Program& program, const Form& form, int vector_bytes, bool paired);

}  // namespace versant::code
