#include "machine/backward_programs.h"

#include <bit>

namespace versant {

const Program& backward_program(ElementwiseOp& op, uint32_t wanted) {
  while (true) {
    for (const auto& [mask, program] : op.backward)
      if (mask == wanted) return *program;
    elementwise_hooks.build_backward(op, wanted);
  }
}

const Program& adding_program(ElementwiseOp& op, uint32_t wanted, uint32_t added) {
  const uint64_t key = uint64_t{added} << 32 | wanted;
  for (const auto& [mask, program] : op.backward_adding)
    if (mask == key) return *program;
  const Program& plain = backward_program(op, wanted);
  auto program = std::make_unique<Program>(plain);
  const auto more = static_cast<uint8_t>(std::popcount(added));
  program->n_inputs += more;
  const auto moved = [&](uint8_t reg) {
    return static_cast<uint8_t>(reg < plain.n_inputs ? reg : reg + more);
  };
  for (Instruction& instruction : program->code) {
    instruction.a = moved(instruction.a);
    instruction.b = moved(instruction.b);
    instruction.c = moved(instruction.c);
  }
  int output = 0;
  auto sum = static_cast<uint8_t>(plain.n_inputs);
  for (int i = 0; i < op.n_inputs; ++i) {
    if (!(wanted >> i & 1)) continue;
    uint8_t& result = program->outputs[output++];
    result = moved(result);
    if (!(added >> i & 1)) continue;
    program->code.push_back({Micro::Add, sum++, result, 0});
    result = static_cast<uint8_t>(program->first_result() + static_cast<int>(program->code.size()) - 1);
  }
  program->finish();
  return *op.backward_adding.emplace_back(key, std::move(program)).second;
}

}  // namespace versant
