#include "machine/program.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/reduce_tree.h"
#include "machine/trace.h"

namespace versant {

void refuse_complex(DType dtype) { fail(ErrorKind::DType, "not implemented for ", name(dtype)); }

Compute compute_of(DType dtype) {
  switch (dtype) {
    case DType::Float16:
    case DType::BFloat16:
    case DType::Float32:
      return Compute::F32;
    case DType::Float64:
      return Compute::F64;
    case DType::Complex64:
    case DType::Complex128:
      refuse_complex(dtype);
    default:
      return Compute::I64;
  }
}

void Program::finish() {
  plan();
  work = static_cast<int64_t>(code.size());
  joined.reset();
  routines.clear();
  if (code.empty() || !supported[static_cast<int>(Compute::F32)]) return;
  const std::shared_ptr<Program> shorter = join_instructions(*this);
  if (shorter) {
    shorter->plan();
    shorter->work = work;
  }
  joined = shorter;
}

void Program::plan() {
  const int first = first_result();
  const int registers = first + static_cast<int>(code.size());
  if (n_inputs > kMaxInputs || registers > kMaxRegisters || outputs.empty() ||
      outputs.size() > static_cast<size_t>(kMaxOutputs)) {
    fail(ErrorKind::Value, "[program] too large: ", n_inputs, " inputs, ", registers, " registers, ",
         outputs.size(), " outputs");
  }
  std::vector<int> last_use(registers, -1);
  for (int i = 0; i < static_cast<int>(code.size()); ++i) {
    const Instruction& instruction = code[i];
    const uint8_t operands[3] = {instruction.a, instruction.b, instruction.c};
    if (super_number(instruction.micro) >= kernels->n_supers)
      fail(ErrorKind::Value, "[program] unknown micro-op");
    for (int k = 0; k < kernels->arity_of(instruction.micro); ++k) {
      if (operands[k] >= first + i)
        fail(ErrorKind::Value, "[program] instruction ", i, " reads a register that is not ready");
      last_use[operands[k]] = i;
    }
    const Micro micro = instruction.micro;
    divides |=
        micro == Micro::Div || micro == Micro::FloorDiv || micro == Micro::Remainder || micro == Micro::Fmod;
  }
  for (uint8_t output : outputs) {
    if (output >= registers)
      fail(ErrorKind::Value, "[program] output register ", int{output}, " does not exist");
    last_use[output] = registers;  // lives to the end
  }
  single = code.size() == 1 && constants.empty() && outputs.size() == 1 && outputs[0] == first;
  for (size_t compute = 0; compute < kComputeCount; ++compute) {
    supported[compute] = true;
    for (const Instruction& instruction : code)
      supported[compute] &= kernels->micro_of(instruction.micro, static_cast<Compute>(compute)) != nullptr;
  }
  n_slots = 0;
  // Linear scan: a slot is free again after the last use of its register. A result may take over an operand's
  // slot.
  slot.assign(code.size(), -1);
  std::vector<int> free;
  for (int i = 0; i < static_cast<int>(code.size()); ++i) {
    const uint8_t operands[3] = {code[i].a, code[i].b, code[i].c};
    for (int k = 0; k < kernels->arity_of(code[i].micro); ++k) {
      const int r = operands[k];
      const bool repeated = (k > 0 && operands[0] == r) || (k > 1 && operands[1] == r);
      if (r >= first && last_use[r] == i && !repeated) free.push_back(slot[r - first]);
    }
    if (free.empty()) {
      slot[i] = static_cast<int16_t>(n_slots++);
    } else {
      slot[i] = static_cast<int16_t>(free.back());
      free.pop_back();
    }
    if (last_use[first + i] < 0) free.push_back(slot[i]);  // never read
  }
}

bool Program::uses(int input) const {
  for (const Instruction& instruction : code) {
    const uint8_t operands[3] = {instruction.a, instruction.b, instruction.c};
    for (int k = 0; k < kernels->arity_of(instruction.micro); ++k)
      if (operands[k] == input) return true;
  }
  for (uint8_t output : outputs)
    if (output == input) return true;
  return false;
}

bool is_uniform(const Array& array) {
  for (int d = 0; d < array.rank(); ++d)
    if (array.sizes[d] > 1 && array.strides[d] != 0) return false;
  return true;
}

}  // namespace versant
