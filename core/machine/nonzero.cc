// Where a tensor is not zero: coordinates for `nonzero`, flat positions for masks.
#include <algorithm>
#include <cstring>

#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/ops.h"
#include "machine/parallel.h"

namespace versant {

namespace {

constexpr int64_t kChunk = 32 << 10;  // elements that one thread scans at a time

// One byte per element, 0 or not, row-major.
Array as_flags(const Array& x) {
  Array flags = x.dtype == DType::Bool ? x : Array();
  if (!flags.storage) {
    flags = Array::empty(x.sizes, DType::Bool);
    copy_into(flags, x);
  }
  return flags.to_contiguous();
}

int64_t count_flags(const uint8_t* flags, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) count += flags[i] != 0;
  return count;
}

// Calls visit(positions, count) with the positions of set flags, a block at a time. Blocks are filled without
// branches, because no processor foresees random flags; eight zeros at a time are passed over.
template <typename Visit>
void for_flags(const uint8_t* flags, int64_t begin, int64_t end, Visit visit) {
  constexpr int64_t kBlock = 512;
  int64_t positions[kBlock];
  for (int64_t from = begin; from < end; from += kBlock) {
    const int64_t to = std::min(end, from + kBlock);
    int64_t count = 0, i = from;
    for (; i + 8 <= to; i += 8) {
      uint64_t word;
      std::memcpy(&word, flags + i, 8);
      if (word == 0) continue;
      for (int64_t k = 0; k < 8; ++k) {
        positions[count] = i + k;
        count += flags[i + k] != 0;
      }
    }
    for (; i < to; ++i) {
      positions[count] = i;
      count += flags[i] != 0;
    }
    visit(positions, count);
  }
}

// Turns rising flat positions into coordinates; those of the axes before the last change only at a line's
// end.
class Coordinates {
 public:
  explicit Coordinates(const Dims& sizes) : sizes_(sizes), rank_(sizes.size()) {}
  void write(int64_t position, int64_t* to) {
    if (position >= line_end_) {
      const int64_t length = sizes_[rank_ - 1];
      int64_t line = position / length;
      line_begin_ = line * length, line_end_ = line_begin_ + length;
      for (int d = rank_ - 2; d >= 0; --d) {
        at_[d] = line % sizes_[d];
        line /= sizes_[d];
      }
    }
    for (int d = 0; d < rank_ - 1; ++d) to[d] = at_[d];
    to[rank_ - 1] = position - line_begin_;
  }

 private:
  const Dims& sizes_;
  int rank_;
  int64_t line_begin_ = 0, line_end_ = 0;
  int64_t at_[kMaxRank];
};

// ints: 1 for coordinates [n, rank], 0 for flat positions [n].
struct Nonzero final : Primitive {
  const char* name() const override { return "nonzero"; }
  bool sized() const override { return true; }
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
  bool admits(const Claim& c) const override {
    if (!c.counts(1, 1, 1) || is_complex(c.in[0]->dtype)) return false;
    const Array& out = *c.out[0];
    const bool coordinates = c.attributes.ints[0] != 0;
    return out.dtype == DType::Int64 && out.contiguous && out.rank() == (coordinates ? 2 : 1) &&
           (!coordinates || out.sizes[1] == c.in[0]->rank());
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const bool coordinates = run.attributes.ints[0];
    const Array flags = as_flags(x);
    const uint8_t* at = flags.as<uint8_t>();
    const int64_t n = x.numel, chunks = (n + kChunk - 1) / kChunk;
    Array starts = Array::empty(Dims{chunks + 1}, DType::Int64);
    auto* start = starts.as<int64_t>();
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c)
        start[c + 1] = count_flags(at + c * kChunk, std::min(kChunk, n - c * kChunk));
    });
    start[0] = 0;
    for (int64_t c = 0; c < chunks; ++c) start[c + 1] += start[c];

    const int64_t found = start[chunks];
    run.out[0] = Array::empty(coordinates ? Dims{found, x.rank()} : Dims{found}, DType::Int64);
    if (run.out[0].numel == 0) return;
    auto* out = run.out[0].as<int64_t>();
    Unlocked unlocked(n >= kUnlockBytes);
    parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
      const int64_t from = begin * kChunk, to = std::min(n, end * kChunk);
      if (!coordinates || x.rank() == 1) {
        int64_t* write = out + start[begin];
        for_flags(at, from, to, [&](const int64_t* positions, int64_t count) {
          write = std::copy_n(positions, count, write);
        });
        return;
      }
      Coordinates split(x.sizes);
      int64_t* write = out + start[begin] * x.rank();
      for_flags(at, from, to, [&](const int64_t* positions, int64_t count) {
        for (int64_t i = 0; i < count; ++i, write += x.rank()) split.write(positions[i], write);
      });
    });
  }
};

const Nonzero kNonzero;

}  // namespace

namespace ops {

TensorRef nonzero(Tensor& x) { return apply(kNonzero, {&x}, {Dims{1}, {}}); }
TensorRef flat_nonzero(Tensor& x) { return apply(kNonzero, {&x}, {Dims{0}, {}}); }

}  // namespace ops

}  // namespace versant
