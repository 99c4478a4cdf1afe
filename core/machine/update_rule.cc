#include "machine/update_rule.h"

#include <cstdlib>
#include <cstring>
#include <memory>

#include "machine/kernels.h"
#include "machine/parameter_update.h"

namespace versant {

void UpdateRule::finish() {
  const int n_lists = 2 + n_buffers, first = program.first_result();
  if (n_lists > Item::kLists || n_lists + n_numbers != program.n_inputs ||
      targets.size() != program.outputs.size())
    fail(ErrorKind::Value, "[", name, "] a rule takes at most ", Item::kLists - 2, " buffers, got ",
         n_buffers);
  // What is written to a list early must not be read from it afterwards.
  std::vector<int> last_read(n_lists, -1);
  for (int i = 0; i < static_cast<int>(program.code.size()); ++i) {
    const Instruction& instruction = program.code[i];
    const uint8_t operands[3] = {instruction.a, instruction.b, instruction.c};
    for (int k = 0; k < kMicro[static_cast<int>(instruction.micro)].arity; ++k)
      if (operands[k] < n_lists) last_read[operands[k]] = i;
  }
  direct.assign(program.code.size(), -1);
  for (size_t k = 0; k < targets.size(); ++k) {
    const int source = program.outputs[k], target = targets[k];
    if (target == 1 || target >= n_lists || (source < n_lists && source != 1 && source != target))
      fail(ErrorKind::Value, "[", name, "] output ", k, " of the rule has no place");
    const int i = source - first;
    if (i >= 0 && last_read[target] <= i && direct[i] < 0)
      direct[i] = static_cast<int8_t>(k);
    else if (source != target)
      copied.push_back(static_cast<uint8_t>(k));
  }
}

namespace {

constexpr int64_t kTile = 256;
constexpr int64_t kTileBytes = kTile * 8;

// The registers of one thread, and the program run over parts of parameters.
class Part {
 public:
  Part(const UpdateRule& rule, std::span<const double> numbers) : rule_(rule), numbers_(numbers) {
    const size_t tiles =
        numbers.size() + rule.program.constants.size() + static_cast<size_t>(rule.program.n_slots);
    tiles_.reset(static_cast<char*>(std::aligned_alloc(64, (tiles + 1) * kTileBytes)));
    if (!tiles_) throw std::bad_alloc();
  }

  void operator()(const Item& item, int64_t from, int64_t count) {
    if (!filled_ || wide_ != item.wide) fill(item.wide);
    const int n_lists = 2 + rule_.n_buffers;
    const int64_t bytes = item.wide ? 8 : 4;
    for (int64_t done = 0; done < count; done += kTile) {
      const int64_t n = std::min(kTile, count - done);
      for (int k = 0; k < n_lists; ++k) reg_[k] = item.at(k, from + done);
      execute(item, from + done, n);
      for (const uint8_t k : rule_.copied)
        std::memcpy(item.at(rule_.targets[k], from + done), reg_[rule_.program.outputs[k]], n * bytes);
    }
  }

 private:
  // Numbers and constants stand in tiles of their own, which no instruction writes.
  void fill(bool wide) {
    const int n_lists = 2 + rule_.n_buffers;
    int tile = 0;
    const auto put = [&](double value) {
      char* to = tiles_.get() + tile * kTileBytes;
      if (wide)
        std::fill_n(reinterpret_cast<double*>(to), kTile, value);
      else
        std::fill_n(reinterpret_cast<float*>(to), kTile, static_cast<float>(value));
      reg_[n_lists + tile++] = to;
    };
    for (const double number : numbers_) put(number);
    for (const Scalar& constant : rule_.program.constants) put(constant.as_double());
    slots_ = tiles_.get() + tile * kTileBytes;
    wide_ = wide;
    filled_ = true;
  }

  void execute(const Item& item, int64_t element, int64_t n) {
    const Program& program = rule_.program;
    const int first = program.first_result();
    const Compute compute = item.wide ? Compute::F64 : Compute::F32;
    for (size_t i = 0; i < program.code.size(); ++i) {
      const Instruction& instruction = program.code[i];
      void* to = rule_.direct[i] >= 0 ? item.at(rule_.targets[rule_.direct[i]], element)
                                      : slots_ + program.slot[i] * kTileBytes;
      kernels->micro_of(instruction.micro, compute)(to, reg_[instruction.a], reg_[instruction.b],
                                                    reg_[instruction.c], n);
      reg_[first + i] = to;
    }
  }

  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  const UpdateRule& rule_;
  std::span<const double> numbers_;
  const void* reg_[Program::kMaxRegisters + 1] = {};
  std::unique_ptr<char, Free> tiles_;
  char* slots_ = nullptr;
  bool filled_ = false, wide_ = false;
};

}  // namespace

void UpdateRule::run(std::span<const std::span<Tensor* const>> lists, std::span<const double> numbers) const {
  if (lists.size() != 1 + static_cast<size_t>(n_buffers) || numbers.size() != static_cast<size_t>(n_numbers))
    fail(ErrorKind::Value, "[", name, "] expected ", n_buffers, " buffers and ", n_numbers, " numbers, got ",
         lists.size() - 1, " and ", numbers.size());
  const Gradients gradients(lists[0]);
  std::vector<std::span<Tensor* const>> all = {lists[0], gradients.tensors};
  all.insert(all.end(), lists.begin() + 1, lists.end());
  perform_update(name.c_str(), all,
                 [this, own = std::vector<double>(numbers.begin(), numbers.end())](Lists lists) {
                   Update(name.c_str(), lists).run([&] { return Part(*this, own); });
                 });
}

}  // namespace versant
