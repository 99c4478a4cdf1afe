// Superinstructions: finding in a program the micro-ops that one kernel computes together.
#include <algorithm>
#include <cmath>

#include "machine/kernels.h"
#include "machine/program.h"

namespace versant {

namespace {

using Term = Superinstruction::Term;
using Kind = Superinstruction::Kind;

bool commutes(Micro op) { return op == Micro::Add || op == Micro::Mul; }

bool same_number(const Scalar& number, double value) {
  const double found = number.as_double();
  return found == value && std::signbit(found) == std::signbit(value);
}

// One attempt to lay a superinstruction over a program, its last term on one instruction.
class Match {
 public:
  Match(const Program& program, const Superinstruction& pattern)
      : program_(program), pattern_(pattern), first_(program.first_result()) {
    std::fill_n(at_, Superinstruction::kMaxTerms, -1);
  }

  bool covers(int root) { return fits(pattern_.n_terms - 1, first_ + root) && spares_the_rest(); }

  // The register that operand `k` reads.
  uint8_t operand(int k) const {
    for (int t = 0; t < pattern_.n_terms; ++t)
      if (pattern_.terms[t].kind == Kind::Operand && pattern_.terms[t].at[0] == k)
        return static_cast<uint8_t>(at_[t]);
    return 0;
  }
  // Whether instruction `i` is computed on the way.
  bool inside(int i) const {
    for (int t = 0; t < pattern_.n_terms; ++t)
      if (pattern_.terms[t].kind == Kind::Result && at_[t] == first_ + i) return true;
    return false;
  }

 private:
  bool fits(int t, int reg) {
    const Term& term = pattern_.terms[t];
    if (at_[t] >= 0) return at_[t] == reg;
    if (term.kind == Kind::Constant) {
      if (reg < program_.n_inputs || reg >= first_) return false;
      if (!same_number(program_.constants[static_cast<size_t>(reg - program_.n_inputs)], term.value))
        return false;
    } else if (term.kind == Kind::Result) {
      if (reg < first_) return false;
      const Instruction& instruction = program_.code[static_cast<size_t>(reg - first_)];
      if (instruction.micro != term.micro) return false;
      int before[Superinstruction::kMaxTerms];
      std::copy_n(at_, pattern_.n_terms, before);
      if (!operands_fit(term, instruction.a, instruction.b, instruction.c)) {
        if (!commutes(term.micro)) return false;
        std::copy_n(before, pattern_.n_terms, at_);
        if (!operands_fit(term, instruction.b, instruction.a, instruction.c)) return false;
      }
    }
    at_[t] = reg;
    return true;
  }

  bool operands_fit(const Term& term, int a, int b, int c) {
    const int registers[3] = {a, b, c};
    for (int k = 0; k < info(term.micro).arity; ++k)
      if (!fits(term.at[k], registers[k])) return false;
    return true;
  }

  // What lies inside must have no reader outside, and be no operand.
  bool spares_the_rest() const {
    const int root = at_[pattern_.n_terms - 1];
    const auto hidden = [&](int reg) { return reg >= first_ && reg != root && inside(reg - first_); };
    for (int t = 0; t < pattern_.n_terms; ++t)
      if (pattern_.terms[t].kind == Kind::Operand && hidden(at_[t])) return false;
    for (size_t i = 0; i < program_.code.size(); ++i) {
      if (inside(static_cast<int>(i))) continue;
      const Instruction& instruction = program_.code[i];
      const uint8_t operands[3] = {instruction.a, instruction.b, instruction.c};
      for (int k = 0; k < kernels->arity_of(instruction.micro); ++k)
        if (hidden(operands[k])) return false;
    }
    return std::none_of(program_.outputs.begin(), program_.outputs.end(), hidden);
  }

  const Program& program_;
  const Superinstruction& pattern_;
  int first_;
  int at_[Superinstruction::kMaxTerms];  // the register of each term, -1 while open
};

// Removes the instructions that `match` covers but for `root`, which becomes superinstruction `number`.
void replace(Program& program, const Match& match, int root, int number) {
  const int first = program.first_result();
  Instruction joined{super_code(number)};
  uint8_t* const operands[3] = {&joined.a, &joined.b, &joined.c};
  for (int k = 0; k < kernels->supers[number].n_operands; ++k) *operands[k] = match.operand(k);
  std::vector<uint8_t> moved(static_cast<size_t>(first));
  for (size_t r = 0; r < moved.size(); ++r) moved[r] = static_cast<uint8_t>(r);
  std::vector<Instruction> code;
  for (int i = 0; i < static_cast<int>(program.code.size()); ++i) {
    moved.push_back(static_cast<uint8_t>(first + static_cast<int>(code.size())));
    if (i == root || !match.inside(i)) code.push_back(i == root ? joined : program.code[i]);
  }
  for (Instruction& instruction : code) {
    instruction.a = moved[instruction.a];
    instruction.b = moved[instruction.b];
    instruction.c = moved[instruction.c];
  }
  for (uint8_t& output : program.outputs) output = moved[output];
  program.code = std::move(code);
}

bool join_one(Program& program) {
  for (int number = 0; number < kernels->n_supers; ++number) {
    for (int root = static_cast<int>(program.code.size()) - 1; root >= 0; --root) {
      Match match(program, kernels->supers[number]);
      if (!match.covers(root)) continue;
      replace(program, match, root, number);
      return true;
    }
  }
  return false;
}

// Constants that nothing reads any more would cost a tile each.
void drop_constants(Program& program) {
  for (int c = static_cast<int>(program.constants.size()) - 1; c >= 0; --c) {
    const int reg = program.n_inputs + c;
    if (program.uses(reg)) continue;
    program.constants.erase(program.constants.begin() + c);
    const auto lower = [&](uint8_t& r) { r = static_cast<uint8_t>(r > reg ? r - 1 : r); };
    for (Instruction& instruction : program.code) {
      lower(instruction.a);
      lower(instruction.b);
      lower(instruction.c);
    }
    for (uint8_t& output : program.outputs) lower(output);
  }
}

}  // namespace

std::shared_ptr<Program> join_instructions(const Program& program) {
  auto joined = std::make_shared<Program>();
  joined->n_inputs = program.n_inputs;
  joined->constants = program.constants;
  joined->code = program.code;
  joined->outputs = program.outputs;
  bool any = false;
  while (join_one(*joined)) any = true;
  if (!any) return nullptr;
  drop_constants(*joined);
  return joined;
}

}  // namespace versant
