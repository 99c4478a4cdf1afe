#include "machine/code/assembler.h"

#include <cstring>

namespace versant::code {

void Assembler::number(std::int32_t value) {
  for (int k = 0; k < 4; ++k) bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * k)));
}

// The bytes ModRM, SIB and displacement. A displacement is never compressed.
void Assembler::address(int reg, const Place& source) {
  const int digits = (reg & 7) << 3;
  if (source.in == Place::In::Register) return emit({0xc0 | digits | (source.number & 7)});
  if (source.in == Place::In::Pool) {
    emit({digits | 5});
    fixups_.push_back({here(), 0, source.pool});
    return number(0);
  }
  const int base = source.base & 7;
  // rbp and r13 as a base take a displacement always; rsp and r12 take a SIB byte.
  const int mode = source.disp != 0 ? 0x80 : base == rbp ? 0x40 : 0;
  if (source.indexed)
    emit({mode | digits | 4, base});  // index rax, not scaled
  else if (base == rsp)
    emit({mode | digits | 4, 0x24});
  else
    emit({mode | digits | base});
  if (mode == 0x80)
    number(source.disp);
  else if (mode == 0x40)
    emit({0});
}

void Assembler::vector_bytes(Opcode op, int reg, int second, const Place& source, int mask, bool zeroing) {
  const bool in_register = source.in == Place::In::Register;
  const int rm = in_register ? source.number : source.in == Place::In::Memory ? source.base : 0;
  if (!wide_) {
    const bool is_fused = op.map == 2 && op.code >= 0x96;  // elsewhere the opcode gives the width
    emit({0xc4, ((reg & 8) != 0 ? 0 : 0x80) | 0x40 | ((rm & 8) != 0 ? 0 : 0x20) | op.map,
          (op.wide && is_fused ? 0x80 : 0) | (~second & 15) << 3 | 4 | op.prefix, op.code});
    return address(reg, source);
  }
  const bool high_rm = in_register && (rm & 16) != 0;
  emit({0x62,
        ((reg & 8) != 0 ? 0 : 0x80) | (high_rm ? 0 : 0x40) | ((rm & 8) != 0 ? 0 : 0x20) |
            ((reg & 16) != 0 ? 0 : 0x10) | op.map,
        (op.wide ? 0x80 : 0) | (~second & 15) << 3 | 4 | op.prefix,
        (zeroing ? 0x80 : 0) | 0x40 | (source.repeated ? 0x10 : 0) | ((second & 16) != 0 ? 0 : 8) | mask,
        op.code});
  address(reg, source);
}

void Assembler::vector(Opcode op, int reg, int second, const Place& source, int mask, bool zeroing) {
  vector_bytes(op, reg, second, source, mask, zeroing);
  if (source.in == Place::In::Pool) fixups_.back().end = here();
}
void Assembler::vector(Opcode op, int reg, int second, const Place& source, std::uint8_t immediate) {
  vector_bytes(op, reg, second, source, 0, false);
  emit({immediate});
  if (source.in == Place::In::Pool) fixups_.back().end = here();
}

void Assembler::masks(std::uint8_t code, int to, int x, int y) {
  emit({0xc5, 0x84 | (~x & 15) << 3, code, 0xc0 | to << 3 | y});
}

void Assembler::push(Gpr reg) {
  if (reg >= r8) emit({0x41});
  emit({0x50 | (reg & 7)});
}
void Assembler::pop(Gpr reg) {
  if (reg >= r8) emit({0x41});
  emit({0x58 | (reg & 7)});
}
void Assembler::move(Gpr to, Gpr from) {
  emit({0x48 | (from >> 3) << 2 | to >> 3, 0x89, 0xc0 | (from & 7) << 3 | (to & 7)});
}
void Assembler::load(Gpr to, Gpr base, std::int32_t disp) {
  emit({0x48 | (to >> 3) << 2 | base >> 3, 0x8b});
  address(to, Place::memory(base, disp, false));
}
void Assembler::store(Gpr base, std::int32_t disp, Gpr from) {
  emit({0x48 | (from >> 3) << 2 | base >> 3, 0x89});
  address(from, Place::memory(base, disp, false));
}
void Assembler::add(Gpr to, std::int32_t value) {
  emit({0x48 | to >> 3, 0x81, 0xc0 | (to & 7)});
  number(value);
}
void Assembler::bits_and(Gpr to, std::int8_t value) { emit({0x48 | to >> 3, 0x83, 0xe0 | (to & 7), value}); }
void Assembler::shift_left(Gpr to, std::uint8_t by) { emit({0x48 | to >> 3, 0xc1, 0xe0 | (to & 7), by}); }
void Assembler::clear(Gpr to) { emit({0x40 | (to >> 3) * 5, 0x31, 0xc0 | (to & 7) << 3 | (to & 7)}); }
void Assembler::compare(Gpr x, Gpr y) {
  emit({0x48 | (y >> 3) << 2 | x >> 3, 0x39, 0xc0 | (y & 7) << 3 | (x & 7)});
}
void Assembler::jump_below(std::size_t target) {
  emit({0x0f, 0x82});
  number(static_cast<std::int32_t>(target) - static_cast<std::int32_t>(here() + 4));
}
void Assembler::align(std::size_t to) {
  while (here() % to != 0) {
    const std::size_t gap = to - here() % to;
    if (gap >= 4)
      emit({0x0f, 0x1f, 0x40, 0x00});
    else
      emit({0x90});
  }
}
void Assembler::leave_vectors() { emit({0xc5, 0xf8, 0x77}); }
void Assembler::ret() { emit({0xc3}); }

std::vector<std::uint8_t> Assembler::finish(const std::vector<std::uint64_t>& constants, std::size_t item,
                                            std::size_t times) {
  while (here() % 64 != 0) emit({0xcc});
  const std::size_t pool = here();
  bytes_.resize(pool + constants.size() * item * times);
  for (std::size_t k = 0; k < constants.size() * times; ++k)
    std::memcpy(bytes_.data() + pool + k * item, &constants[k / times], item);
  for (const Fixup& fixup : fixups_) {
    const auto distance =
        static_cast<std::int32_t>(pool + static_cast<std::size_t>(fixup.pool) * item * times) -
        static_cast<std::int32_t>(fixup.end);
    std::memcpy(bytes_.data() + fixup.at, &distance, 4);
  }
  fixups_.clear();
  return std::move(bytes_);
}

}  // namespace versant::code
