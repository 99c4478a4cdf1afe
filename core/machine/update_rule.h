// Update rules: an optimizer's step as a tile program, run over all parameters of a group in one pass.
#pragma once

#include <string>
#include <vector>

#include "machine/program.h"
#include "machine/tensor.h"

namespace versant {

// The program's inputs are the parameter, its gradient, the buffers, and numbers that all elements share.
// Output k replaces list `targets[k]`: 0 is the parameter, 2 the first buffer.
struct UpdateRule {
  std::string name;
  Program program;
  int n_buffers = 0;
  int n_numbers = 0;
  std::vector<uint8_t> targets;

  // Checks the targets and plans which instruction writes straight to memory; throws Error(Value).
  void finish();

  // One step in place, off the tape. `lists` are the parameters, then each buffer; gradients are those of the
  // parameters.
  void run(std::span<const std::span<Tensor* const>> lists, std::span<const double> numbers) const;

  // Set by finish: for each instruction the output that it writes straight to memory, or -1; and the outputs
  // that are copied there when all instructions have run.
  std::vector<int8_t> direct;
  std::vector<uint8_t> copied;
};

}  // namespace versant
