// What the verifier asks of row chains: rows that threads compute apart from each other meet nowhere.
#include <algorithm>
#include <vector>

#include "machine/slots.h"
#include "machine/verify.h"

namespace versant::trace {

namespace {

using Kind = Step::Kind;

// What the rows of a step touch of one window, in bytes of the memory that it lies in.
struct Touched {
  size_t step;
  int buffer;       // whose memory it is
  int64_t at, end;  // of all rows, from the start of the buffer, or of the arena
  bool in_arena = false, writes = false, whole = false;
  int64_t pitch = 0, width = 0;  // row r touches `width` bytes from at + r * pitch
};

class ChainVerifier {
 public:
  ChainVerifier(const Trace& trace, const Layout& layout) : trace_(trace), layout_(layout) {
    memory_.resize(trace.buffers.size());
    for (size_t b = 0; b < memory_.size(); ++b) memory_[b] = static_cast<int>(b);
    for (const auto& heirs : layout.inherited)  // in the order of steps
      for (const auto& [heir, from] : heirs)
        memory_[static_cast<size_t>(heir)] = memory_[static_cast<size_t>(from)];
  }

  void run() const {
    for (size_t s = 0; s < layout_.chains.size();) {
      const int chain = layout_.chains[s];
      size_t end = s + 1;
      while (chain >= 0 && end < layout_.chains.size() && layout_.chains[end] == chain) ++end;
      if (chain >= 0) check(s, end, chain);
      s = end;
    }
  }

 private:
  template <typename... Words>
  [[noreturn]] void fault(size_t s, const Words&... words) const {
    const Step& step = trace_.steps[s];
    fail(ErrorKind::Runtime, "[compile] after planning: step ", s, ", ", step.name,
         step.where.empty() ? "" : " of " + step.where, ", ", words...);
  }

  void check(size_t begin, size_t end, int chain) const {
    if (end - begin < 2 || end > trace_.forward_steps) fault(begin, "is a row chain by itself");
    if (std::find(layout_.chains.begin() + static_cast<std::ptrdiff_t>(end), layout_.chains.end(), chain) !=
        layout_.chains.end())
      fault(begin, "begins a row chain with a gap");
    if (static_cast<size_t>(chain) >= layout_.chain_rows.size())
      fault(begin, "is in a chain that is not there");
    const int64_t rows = layout_.chain_rows[static_cast<size_t>(chain)];
    std::vector<Touched> all;
    for (size_t s = begin; s < end; ++s) touch(s, rows, all);
    for (size_t i = 0; i < all.size(); ++i)
      for (size_t j = 0; j < i; ++j) meet(all[i], all[j], rows);
  }

  // Each window of a step; a step that does not work row by row is a fault.
  void touch(size_t s, int64_t rows, std::vector<Touched>& all) const {
    const Step& step = trace_.steps[s];
    const bool product = step.kind == Kind::Multiply;
    if ((!product && step.kind != Kind::Program) || !step.divisors.empty())
      fault(s, "works on no rows and is in a chain of them");
    const Array& like = step.out[0].array;
    const bool divides = product ? like.rank() > 0 && like.sizes[like.rank() - 1] * rows == like.numel
                                 : like.numel % rows == 0;
    const bool turned = product && step.attributes.ints[0];
    if (rows < 2 || !divides || (turned && step.in[0].array.rank() != 2))
      fault(s, "does not work over ", rows, " rows");
    for (size_t k = 0; k < step.in.size() + step.out.size(); ++k) {
      const bool writes = k >= step.in.size();
      const Window& window = writes ? step.out[k - step.in.size()] : step.in[k];
      if (window.buffer < 0) continue;
      Touched touched = place(s, window);
      touched.writes = writes;
      cut(touched, window.array, rows, product ? like.numel : 0,
          product ? (k == 0 && !turned) || writes : true, like.numel);
      if (writes && touched.whole)
        fault(s, "writes ", describe(window.array), ", which is not cut into rows");
      all.push_back(touched);
    }
  }

  Touched place(size_t s, const Window& window) const {
    const auto b = static_cast<size_t>(memory_[static_cast<size_t>(window.buffer)]);
    const int64_t offset = layout_.offsets[b];
    Touched touched{s, static_cast<int>(b), reinterpret_cast<int64_t>(window.array.data),
                    extent(window.array)};
    touched.in_arena = offset >= 0;
    if (touched.in_arena) {
      touched.at += offset;
      touched.end += offset;
    }
    return touched;
  }

  // Row r of an array: a stretch of its elements where it is one piece, row r where it is a matrix of rows.
  static void cut(Touched& touched, const Array& array, int64_t rows, int64_t of_product, bool by_rows,
                  int64_t numel) {
    const auto item = static_cast<int64_t>(itemsize(array.dtype));
    const bool is_matrix = array.rank() == 2 && array.sizes[0] == rows && array.strides[0] != 0;
    const bool in_one_piece =
        array.contiguous && (of_product ? array.numel % rows == 0 : array.numel == numel);
    touched.whole = !by_rows || array.numel <= 1 || (!is_matrix && !in_one_piece);
    if (touched.whole) return;
    if (is_matrix) {
      touched.pitch = array.strides[0] * item;
      touched.width = (1 + (array.sizes[1] - 1) * array.strides[1]) * item;
    } else {
      touched.pitch = touched.width = array.numel / rows * item;
    }
  }

  // No row may write what another row touches.
  void meet(const Touched& a, const Touched& b, int64_t rows) const {
    const bool same_memory = a.in_arena ? b.in_arena : !b.in_arena && a.buffer == b.buffer;
    if ((!a.writes && !b.writes) || !same_memory || a.end <= b.at || b.end <= a.at) return;
    const size_t s = std::max(a.step, b.step);
    if (a.whole || b.whole)
      fault(s, "meets what step ", std::min(a.step, b.step), " does with %", a.buffer,
            ": one reads all of it and one writes rows of it");
    // Row r of one and row r' of the other are apart; with one pitch those of r' = r - 1 and r + 1 tell.
    const bool apart =
        a.pitch == b.pitch && a.at + a.width <= b.at + b.pitch && b.at + b.width <= a.at + a.pitch;
    if (!apart && rows > 1)
      fault(s, "meets what step ", std::min(a.step, b.step), " does with %", a.buffer,
            ": their rows lie otherwise");
  }

  const Trace& trace_;
  const Layout& layout_;
  std::vector<int> memory_;  // of each buffer: the buffer whose memory it has
};

}  // namespace

void verify_chains(const Trace& trace, const Layout& layout) { ChainVerifier(trace, layout).run(); }

}  // namespace versant::trace
