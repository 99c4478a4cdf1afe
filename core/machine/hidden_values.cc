#include "machine/hidden_values.h"

#include <algorithm>

#include "machine/kernels.h"

namespace versant::trace {

namespace {

// Whether a finite result may come from an operand that is not.
bool hides(Micro op) {
  switch (op) {
    case Micro::Neg:
    case Micro::Abs:
    case Micro::Square:
    case Micro::Ceil:
    case Micro::Floor:
    case Micro::Round:
    case Micro::Trunc:
    case Micro::Sqrt:
    case Micro::Log:
    case Micro::Log2:
    case Micro::Log10:
    case Micro::Log1p:
    case Micro::Sin:
    case Micro::Cos:
    case Micro::Tan:
    case Micro::RoundBF16:
    case Micro::RoundF16:
    case Micro::Add:
    case Micro::Sub:
    case Micro::Mul:
      return false;
    default:
      return true;
  }
}

// Of the registers in `asked`: those from which a way leads to where they are hidden, past no register that
// is known, or asked for itself. `program` in micro-ops.
std::vector<uint8_t> hidden_registers(const Program& program, const std::vector<uint8_t>& asked) {
  const auto first = static_cast<size_t>(program.first_result());
  std::vector<bool> known(first + program.code.size()), candidate(known), hidden(known);
  for (const uint8_t r : program.outputs) known[r] = true;
  for (const uint8_t r : asked) candidate[r] = true;
  std::vector<uint8_t> found;
  for (size_t i = program.code.size(); i-- > 0;) {
    const size_t r = first + i;
    bool hidden_here = false;
    for (size_t j = i + 1; j < program.code.size() && !hidden_here; ++j) {
      const Instruction& reader = program.code[j];
      const int arity = kernels->arity_of(reader.micro);
      if (reader.a != r && !(arity > 1 && reader.b == r) && !(arity > 2 && reader.c == r)) continue;
      hidden_here = hides(reader.micro) || (hidden[first + j] && !known[first + j]);
    }
    hidden[r] = hidden_here && !known[r];
    if (!hidden[r] || !candidate[r]) continue;
    found.push_back(static_cast<uint8_t>(r));
    known[r] = true;
  }
  return found;
}

}  // namespace

std::vector<std::shared_ptr<const Program>> probes_of(const Program& program,
                                                      const std::vector<uint8_t>& asked) {
  const std::vector<uint8_t> registers = hidden_registers(program, asked);
  std::vector<std::shared_ptr<const Program>> probes;
  for (size_t from = 0; from < registers.size(); from += Program::kMaxOutputs) {
    auto probe = std::make_shared<Program>(program);
    const size_t to = std::min(registers.size(), from + Program::kMaxOutputs);
    probe->outputs.assign(registers.begin() + static_cast<std::ptrdiff_t>(from),
                          registers.begin() + static_cast<std::ptrdiff_t>(to));
    trim(*probe);
    probe->finish();
    probes.push_back(std::move(probe));
  }
  return probes;
}

void trim(Program& program) {
  const int first = program.first_result();
  std::vector<bool> used(static_cast<size_t>(first) + program.code.size(), false);
  for (const uint8_t output : program.outputs) used[output] = true;
  for (size_t i = program.code.size(); i-- > 0;) {
    if (!used[static_cast<size_t>(first) + i]) continue;
    used[program.code[i].a] = used[program.code[i].b] = used[program.code[i].c] = true;
  }
  std::vector<uint8_t> moved(used.size());
  for (int r = 0; r < first; ++r) moved[static_cast<size_t>(r)] = static_cast<uint8_t>(r);
  std::vector<Instruction> kept;
  for (size_t i = 0; i < program.code.size(); ++i) {
    if (!used[static_cast<size_t>(first) + i]) continue;
    Instruction instruction = program.code[i];
    instruction.a = moved[instruction.a];
    instruction.b = moved[instruction.b];
    instruction.c = moved[instruction.c];
    moved[static_cast<size_t>(first) + i] = static_cast<uint8_t>(first + static_cast<int>(kept.size()));
    kept.push_back(instruction);
  }
  program.code = std::move(kept);
  for (uint8_t& output : program.outputs) output = moved[output];
}

}  // namespace versant::trace
