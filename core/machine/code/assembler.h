// Bytes of machine code: the few instructions of x86-64, AVX2 and AVX-512 that programs are made of.
//
// Vector instructions work on whole registers. Names and encodings are those of Intel's manual
// (volume 2); `map` is 1 for 0F, 2 for 0F38, 3 for 0F3A, `prefix` 0 for none, 1 for 66, 2 for F3, 3 for F2.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace versant::code {

enum Gpr : std::uint8_t { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

struct Opcode {
  std::uint8_t map, prefix, code;
  bool wide;  // 64-bit elements
};

// A vector register, or memory: [base + index + disp], or the constant `pool` behind the code.
struct Place {
  enum class In : std::uint8_t { Register, Memory, Pool } in = In::Register;
  std::uint8_t number = 0;  // Register
  Gpr base = rax;
  bool indexed = false;  // by rax
  std::int32_t disp = 0;
  int pool = 0;
  bool repeated = false;  // one element, in all lanes

  static Place reg(int number) {
    Place place;
    place.number = static_cast<std::uint8_t>(number);
    return place;
  }
  static Place memory(Gpr base, std::int32_t disp, bool indexed, bool repeated = false) {
    Place place;
    place.in = In::Memory;
    place.base = base;
    place.disp = disp;
    place.indexed = indexed;
    place.repeated = repeated;
    return place;
  }
  static Place constant(int pool, bool repeated) {
    Place place;
    place.in = In::Pool;
    place.pool = pool;
    place.repeated = repeated;
    return place;
  }
};

class Assembler {
 public:
  // Vectors of 64 bytes by AVX-512, or of 32 by AVX2; these know no masks and repeat no elements.
  explicit Assembler(int vector_bytes) : wide_(vector_bytes == 64) {}

  // op reg{mask}, second, source: `reg` is a vector or mask register, or digits of the opcode.
  void vector(Opcode op, int reg, int second, const Place& source, int mask = 0, bool zeroing = false);
  void vector(Opcode op, int reg, int second, const Place& source, std::uint8_t immediate);
  // to = x op y of mask registers: 0x41 and, 0x45 or, 0x47 xor.
  void masks(std::uint8_t code, int to, int x, int y);

  void push(Gpr reg);
  void pop(Gpr reg);
  void move(Gpr to, Gpr from);
  void load(Gpr to, Gpr base, std::int32_t disp);
  void store(Gpr base, std::int32_t disp, Gpr from);
  void add(Gpr to, std::int32_t number);
  void bits_and(Gpr to, std::int8_t number);
  void shift_left(Gpr to, std::uint8_t by);
  void clear(Gpr to);
  void compare(Gpr x, Gpr y);
  void jump_below(std::size_t target);  // when the last comparison was x < y
  void align(std::size_t to);
  void leave_vectors();  // vzeroupper
  void ret();
  std::size_t here() const { return bytes_.size(); }

  // The code with its constants of `item` bytes behind it, each `times` times.
  std::vector<std::uint8_t> finish(const std::vector<std::uint64_t>& constants, std::size_t item,
                                   std::size_t times);

 private:
  void emit(std::initializer_list<int> bytes) {
    for (const int byte : bytes) bytes_.push_back(static_cast<std::uint8_t>(byte));
  }
  void number(std::int32_t value);
  void address(int reg, const Place& source);
  void vector_bytes(Opcode op, int reg, int second, const Place& source, int mask, bool zeroing);

  struct Fixup {
    std::size_t at, end;  // where the distance stands, and the end of its instruction
    int pool;
  };
  const bool wide_;
  std::vector<std::uint8_t> bytes_;
  std::vector<Fixup> fixups_;
};

}  // namespace versant::code
