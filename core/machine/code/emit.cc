// The instructions of each kind of value.
#include "machine/code/emit.h"

#include <utility>

#include "machine/code/registers.h"

namespace versant::code {

namespace {

class Emitter : private Registers {
 public:
  using Registers::Registers;

  std::vector<std::uint8_t> run() {
    prologue();
    const std::size_t loop = code_.here();
    for (const Id v : order_) {
      if (!instruction(v)) return {};
    }
    // An output may lie over an input, so all is read before anything is stored.
    for (const Formula::Store& store : formula_.stores)
      if (values_[store.value].kind == Kind::Input) in_register(store.value);
    for (const Formula::Store& store : formula_.stores) {
      const int from = in_register(store.value);
      code_.vector({1, 0, 0x11, false}, from, 0, memory(store.place, store.offset));
      used(store.value);
    }
    unpin();
    code_.add(rax, formula_.vector_bytes * formula_.vectors);
    code_.compare(rax, rsi);
    code_.jump_below(loop);
    epilogue();
    return crowded_ ? std::vector<std::uint8_t>{} : finish();
  }

 private:
  bool instruction(Id v) {
    const Value& value = values_[v];
    if (in_mask(v)) return mask_instruction(v, value);
    if (!avx512_ && wide_ && (value.kind == Kind::ToNumber || value.kind == Kind::ShiftRightSigned))
      return false;
    switch (value.kind) {
      case Kind::MultiplyAdd:
        multiply_add(v, value);
        break;
      case Kind::Logic:
        logic(v, value);
        break;
      case Kind::Choose:
        choose(v, value);
        break;
      case Kind::Sqrt:
        unary(v, value, {1, prefix(), 0x51, wide_});
        break;
      case Kind::Round:
        unary(v, value, {3, 1, static_cast<std::uint8_t>(wide_ ? 0x09 : 0x08), wide_}, 8 | value.immediate);
        break;
      case Kind::ToNumber:
        unary(v, value, wide_ ? Opcode{1, 2, 0xe6, true} : Opcode{1, 0, 0x5b, false});
        break;
      case Kind::ShiftLeft:
      case Kind::ShiftRight:
      case Kind::ShiftRightSigned:
        shift(v, value);
        break;
      case Kind::Compare:
        compare(v, value);
        break;
      default:
        binary(v, value);
    }
    return true;
  }

  std::uint8_t prefix() const { return wide_ ? 1 : 0; }

  void binary(Id v, const Value& value) {
    Id a = value.at[0], b = value.at[1];
    Opcode op{1, prefix(), 0, wide_};
    bool commutes = false;
    switch (value.kind) {
      case Kind::Add:
        op.code = 0x58, commutes = true;
        break;
      case Kind::Mul:
        op.code = 0x59, commutes = true;
        break;
      case Kind::Sub:
        op.code = 0x5c;
        break;
      case Kind::Min:
        op.code = 0x5d;
        break;
      case Kind::Div:
        op.code = 0x5e;
        break;
      case Kind::Max:
        op.code = 0x5f;
        break;
      case Kind::AddInt:
        op = {1, 1, static_cast<std::uint8_t>(wide_ ? 0xd4 : 0xfe), wide_}, commutes = true;
        break;
      case Kind::TruthAnd:
        op = {1, 0, 0x54, false}, commutes = true;
        break;
      case Kind::TruthOr:
        op = {1, 0, 0x56, false}, commutes = true;
        break;
      case Kind::TruthXor:
        op = {1, 0, 0x57, false}, commutes = true;
        break;
      default:  // SubInt
        op = {1, 1, static_cast<std::uint8_t>(wide_ ? 0xfb : 0xfa), wide_};
    }
    if (commutes && stays_in_memory(a) && !stays_in_memory(b)) std::swap(a, b);
    const int first = in_register(a);
    const Place second = operand(b);
    use_all(value);
    code_.vector(op, new_register(v), first, second);
    unpin();
  }

  void unary(Id v, const Value& value, Opcode op) {
    const Place from = operand(value.at[0]);
    use_all(value);
    code_.vector(op, new_register(v), 0, from);
    unpin();
  }
  void unary(Id v, const Value& value, Opcode op, int immediate) {
    const Place from = operand(value.at[0]);
    use_all(value);
    code_.vector(op, new_register(v), 0, from, static_cast<std::uint8_t>(immediate));
    unpin();
  }

  void shift(Id v, const Value& value) {
    const bool is_signed = value.kind == Kind::ShiftRightSigned;
    const int digit = value.kind == Kind::ShiftLeft ? 6 : is_signed ? 4 : 2;
    const Place from = avx512_ ? operand(value.at[0]) : Place::reg(in_register(value.at[0]));
    use_all(value);
    const int to = new_register(v);
    code_.vector({1, 1, static_cast<std::uint8_t>(wide_ && !is_signed ? 0x73 : 0x72), wide_}, digit, to, from,
                 value.immediate);
    unpin();
  }

  // Readies three operands of an instruction that overwrites one of them: at most one stays in memory. Gives
  // the position of the operand in whose place the result goes, which holds `v` from then on.
  int overwrite(Id v, const Value& value, Place* places) {
    int in_memory = -1;
    for (int k = 0; k < 3; ++k) {
      if (stays_in_memory(value.at[k]) && in_memory < 0)
        in_memory = k;
      else
        places[k] = Place::reg(in_register(value.at[k]));
    }
    int over = -1;
    for (int k = 0; k < 3; ++k)
      if (k != in_memory && is_last_use(value.at[k])) over = k;
    if (over >= 0) {
      if (in_memory >= 0) places[in_memory] = home(value.at[in_memory]);
      const int reg = places[over].number;
      use_all(value);
      holds_[static_cast<std::size_t>(reg)] = v;
      reg_[v] = reg;
      return over;
    }
    // Nothing ends here: what is in memory is loaded into the register of the result, else one is copied.
    const int reg = new_register(v);
    over = in_memory >= 0 ? in_memory : 2;
    if (in_memory >= 0)
      load_from_home(reg, value.at[in_memory]);
    else
      code_.vector({1, 0, 0x28, false}, reg, 0, places[2]);
    places[over] = Place::reg(reg);
    use_all(value);
    return over;
  }

  void multiply_add(Id v, const Value& value) {
    Place places[3];
    const int over = overwrite(v, value, places);
    const bool minus = (value.immediate & kNegateProduct) != 0, less = (value.immediate & kNegateAddend) != 0;
    const auto code = [&](int form) {
      return Opcode{2, 1, static_cast<std::uint8_t>(form + (less ? 2 : 0) + (minus ? 4 : 0)), wide_};
    };
    const int to = places[over].number;
    const bool addend_in_memory = places[2].in != Place::In::Register;
    if (over == 2) {  // to = a * b + to
      const int first = places[0].in == Place::In::Register ? 0 : 1;
      code_.vector(code(0xb8), to, places[first].number, places[1 - first]);
    } else if (addend_in_memory || places[1 - over].in == Place::In::Register) {  // to = other * to + c
      code_.vector(code(0xa8), to, places[1 - over].number, places[2]);
    } else {  // to = to * other + c
      code_.vector(code(0x98), to, places[2].number, places[1 - over]);
    }
    unpin();
  }

  // The truth table over leaves in another order.
  static std::uint8_t reordered(std::uint8_t table, const int* order) {
    int result = 0;
    for (int row = 0; row < 8; ++row) {
      int index = 0;
      for (int k = 0; k < 3; ++k) index |= (row >> (2 - k) & 1) << (2 - order[k]);
      result |= (table >> index & 1) << row;
    }
    return static_cast<std::uint8_t>(result);
  }

  void logic(Id v, const Value& value) {
    const Opcode ternary{3, 1, 0x25, wide_};
    if (value.bits == 2) {
      Id a = value.at[0], b = value.at[1];
      std::uint8_t code = 0;
      bool commutes = true;
      if (value.immediate == 0xc0) code = 0x54;
      if (value.immediate == 0xfc) code = 0x56;
      if (value.immediate == 0x3c) code = 0x57;
      if (value.immediate == 0x0c) code = 0x55, commutes = false;  // ~a & b
      if (value.immediate == 0x30) code = 0x55, commutes = false, std::swap(a, b);
      if (commutes && stays_in_memory(a) && !stays_in_memory(b)) std::swap(a, b);
      if (code != 0) {
        const int first = in_register(a);
        const Place second = operand(b);
        use_all(value);
        code_.vector({1, prefix(), code, wide_}, new_register(v), first, second);
        return unpin();
      }
      // Other functions of two: the first leaf stands twice.
      const int first = in_register(value.at[0]), second = in_register(value.at[1]);
      const int to = new_register(v);
      code_.vector({1, 0, 0x28, false}, to, 0, Place::reg(first));
      code_.vector(ternary, to, second, Place::reg(second), value.immediate);
      return use_all(value);
    }
    Place places[3];
    int order[3] = {overwrite(v, value, places), 0, 0};
    order[1] = order[0] == 0 ? 1 : 0;
    order[2] = 3 - order[0] - order[1];
    if (places[order[1]].in != Place::In::Register) std::swap(order[1], order[2]);
    code_.vector(ternary, places[order[0]].number, places[order[1]].number, places[order[2]],
                 reordered(value.immediate, order));
    unpin();
  }

  void compare(Id v, const Value& value) {
    const int first = in_register(value.at[0]);
    const Place second = operand(value.at[1]);
    use_all(value);
    code_.vector({1, prefix(), 0xc2, wide_}, new_register(v), first, second, value.immediate);
    unpin();
  }

  // With truths in vectors.
  void choose_by_vector(Id v, const Value& value) {
    const int truth = in_register(value.at[0]);
    const Value zero{Kind::Number};
    const bool no_is_zero = values_[value.at[2]] == zero;
    if (no_is_zero || values_[value.at[1]] == zero) {
      const Place other = operand(value.at[no_is_zero ? 1 : 2]);
      use_all(value);
      code_.vector({1, 0, static_cast<std::uint8_t>(no_is_zero ? 0x54 : 0x55), false}, new_register(v), truth,
                   other);
      return unpin();
    }
    const int other = in_register(value.at[2]);
    const Place chosen = operand(value.at[1]);
    use_all(value);
    code_.vector({3, 1, static_cast<std::uint8_t>(wide_ ? 0x4b : 0x4a), false}, new_register(v), other,
                 chosen, static_cast<std::uint8_t>(truth << 4));
    unpin();
  }

  void choose(Id v, const Value& value) {
    if (!avx512_) return choose_by_vector(v, value);
    const int mask = reg_[value.at[0]];
    const Id yes = value.at[1], no = value.at[2];
    if (values_[no] == Value{Kind::Number}) {
      Place from = operand(yes);
      use_all(value);
      const Opcode op = from.repeated ? broadcast() : Opcode{1, prefix(), 0x10, wide_};
      from.repeated = false;
      code_.vector(op, new_register(v), 0, from, mask, true);
      return unpin();
    }
    // blend: to = mask ? the last operand : the one before
    const int other = in_register(no);
    const Place source = operand(yes);
    use_all(value);
    code_.vector({2, 1, 0x65, wide_}, new_register(v), other, source, mask);
    unpin();
  }

  bool mask_instruction(Id v, const Value& value) {
    int x = 0;
    Place y;
    const bool compares = value.kind == Kind::Compare;
    if (compares) {
      x = in_register(value.at[0]);
      y = operand(value.at[1]);
    } else {
      x = reg_[value.at[0]];
      y = Place::reg(reg_[value.at[1]]);
    }
    use_all(value);
    int to = 1;
    while (to < kMasks && masks_[static_cast<std::size_t>(to)] != kFree) ++to;
    if (to == kMasks) return false;
    masks_[static_cast<std::size_t>(to)] = v;
    reg_[v] = to;
    if (compares)
      code_.vector({1, prefix(), 0xc2, wide_}, to, x, y, value.immediate);
    else
      code_.masks(value.kind == Kind::TruthAnd  ? 0x41
                  : value.kind == Kind::TruthOr ? 0x45
                                                : 0x47,
                  to, x, y.number);
    return true;
  }
};

}  // namespace

std::vector<std::uint8_t> emit(const Formula& formula) { return Emitter(formula).run(); }

}  // namespace versant::code
