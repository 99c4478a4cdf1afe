// softmax, log_softmax and logsumexp, line by line: the largest element is taken away before exp.
#include <cmath>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/promote.h"
#include "machine/reduce.h"
#include "machine/reduce_tree.h"
#include "machine/transforms/batching.h"

namespace versant::ops {

namespace {

constexpr int64_t kBlock = kReductionBlock;
constexpr int64_t kGroup = 64;            // short lines taken together, at most
constexpr int64_t kGroupElements = 4096;  // ... and their elements
constexpr int64_t kParallelWork = 8192;   // elements worth a second thread
constexpr int64_t kUnlockWork = 50000;    // ... worth giving the bookkeeping lock up
constexpr int64_t kStrip = 128;           // columns taken together
constexpr int64_t kFewColumns = 16;       // fewer columns are faster as lines

const NamedOp kExp("exp");
TensorRef exp(Input x) {
  const Input list[] = {x};
  return apply(*kExp, list);
}

// The lines of an array: the reduced axes moved to the end.
struct Arrangement {
  Dims kept, reduced;

  Arrangement(int rank, Axes axes) {
    for (int d = 0; d < rank; ++d) (axes.reduced(d) ? reduced : kept).push_back(d);
  }
  Array view(const Array& x) const {
    Dims sizes, strides;
    for (const Dims* part : {&kept, &reduced}) {
      for (const int64_t d : *part) {
        sizes.push_back(x.sizes[static_cast<int>(d)]);
        strides.push_back(x.strides[static_cast<int>(d)]);
      }
    }
    return x.view(std::move(sizes), std::move(strides));
  }
  // Row-major lines of the compute type; x itself when it is that already.
  Array lines(const Array& x, DType wide) const {
    const Array moved = view(x);
    if (moved.contiguous && x.dtype == wide) return moved;
    Array copy = Array::empty(moved.sizes, wide);
    copy_into(copy, moved);
    return copy;
  }
};

// Work on row-major lines of n numbers of one compute type. Lines are taken in groups: many short ones, or
// one of several blocks.
class LineWork {
 public:
  LineWork(const Array& lines, int64_t count)
      : compute_(compute_of(lines.dtype)),
        item_(static_cast<int64_t>(item_bytes(compute_))),
        count_(count),
        n_(lines.numel / count) {}

  // Calls body(first line, lines) in parallel.
  template <typename Body>
  void for_groups(Body body) const {
    const int64_t group = n_ > kBlock ? 1 : std::clamp<int64_t>(kGroupElements / n_, 1, kGroup);
    const int64_t groups = (count_ + group - 1) / group;
    Unlocked unlocked(count_ * n_ >= kUnlockWork);
    parallel_for(groups, std::max<int64_t>(1, kParallelWork / (group * n_)), [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) body(g * group, std::min(group, count_ - g * group));
    });
  }

  // results[l] = reduction of line `first` + l. `piece(at, lines, n)` gives the numbers of a piece that
  // starts at element `at`.
  template <typename Piece>
  void reduce(Reduction reduction, int64_t first, int64_t lines, char* results, Piece piece) const {
    const ReduceRows rows = kernels->reduce_rows[static_cast<int>(reduction)][static_cast<int>(compute_)];
    if (n_ <= kBlock) {
      rows({results, piece(first * n_, lines, n_), n_, lines, n_, nullptr, 0});
      return;
    }
    alignas(8) char room[ReductionTree::kMaxLevels * 8];
    ReductionTree tree(reduction, compute_, 1, room);
    for_pieces(first, lines, [&](int64_t at, int64_t, int64_t n) {
      rows({tree.next(), piece(at, 1, n), 0, 1, n, nullptr, 0});
      tree.pushed();
    });
    std::copy_n(tree.finish(), item_, results);
  }

  // Calls body(first element, lines, length) for a whole group of short lines, or for each block of a long
  // one.
  template <typename Body>
  void for_pieces(int64_t first, int64_t lines, Body body) const {
    if (n_ <= kBlock) return body(first * n_, lines, n_);
    for (int64_t k = 0; k < n_; k += kBlock) body(first * n_ + k, int64_t{1}, std::min(kBlock, n_ - k));
  }

  void step(LinesOp op, const LinesJob& job) const {
    kernels->lines[static_cast<int>(op)][static_cast<int>(compute_)](job);
  }
  void logarithms(char* results, const char* shift, int64_t lines) const {
    logarithms(compute_, results, shift, lines);
  }
  // results[l] = log(results[l]); `shift` is added when given.
  static void logarithms(Compute compute, char* results, const char* shift, int64_t count) {
    for (int64_t l = 0; l < count; ++l) {
      if (compute == Compute::F32)
        logarithm<float>(results, shift, l);
      else
        logarithm<double>(results, shift, l);
    }
  }

  int64_t item() const { return item_; }

 private:
  template <typename T>
  static void logarithm(char* results, const char* shift, int64_t l) {
    T& x = reinterpret_cast<T*>(results)[l];
    const double y = std::log(static_cast<double>(x));
    x = static_cast<T>(shift ? y + static_cast<double>(reinterpret_cast<const T*>(shift)[l]) : y);
  }

  const Compute compute_;
  const int64_t item_, count_, n_;
};

// One number for each line of a group.
struct alignas(64) PerLine {
  char bytes[kGroup * 8];
};
// The elements of a group.
struct alignas(64) Tile {
  char bytes[kGroupElements * 8];
};

void softmax_lines(const LineWork& work, const char* x, char* y) {
  const int64_t item = work.item();
  work.for_groups([&](int64_t first, int64_t lines) {
    PerLine top, total;
    work.reduce(Reduction::Max, first, lines, top.bytes,
                [&](int64_t at, int64_t, int64_t) { return x + at * item; });
    work.reduce(Reduction::Sum, first, lines, total.bytes, [&](int64_t at, int64_t some, int64_t n) {
      work.step(LinesOp::ExpShifted, {y + at * item, x + at * item, nullptr, top.bytes, nullptr, some, n});
      return y + at * item;
    });
    work.for_pieces(first, lines, [&](int64_t at, int64_t some, int64_t n) {
      work.step(LinesOp::Divide, {y + at * item, y + at * item, nullptr, total.bytes, nullptr, some, n});
    });
  });
}

void log_softmax_lines(const LineWork& work, const char* x, char* y) {
  const int64_t item = work.item();
  work.for_groups([&](int64_t first, int64_t lines) {
    PerLine top, total;
    Tile tile;
    work.reduce(Reduction::Max, first, lines, top.bytes,
                [&](int64_t at, int64_t, int64_t) { return x + at * item; });
    work.reduce(Reduction::Sum, first, lines, total.bytes, [&](int64_t at, int64_t some, int64_t n) {
      work.step(LinesOp::ExpShifted, {tile.bytes, x + at * item, nullptr, top.bytes, nullptr, some, n});
      return tile.bytes;
    });
    work.logarithms(total.bytes, nullptr, lines);
    work.for_pieces(first, lines, [&](int64_t at, int64_t some, int64_t n) {
      work.step(LinesOp::Subtract, {y + at * item, x + at * item, nullptr, top.bytes, total.bytes, some, n});
    });
  });
}

// Where the largest element is infinite nothing is taken away: exp has the right limits.
template <typename T>
void drop_infinite(char* top, int64_t lines) {
  for (T* x = reinterpret_cast<T*>(top); lines > 0; --lines, ++x)
    if (std::isinf(*x)) *x = 0;
}

void logsumexp_lines(const LineWork& work, const char* x, char* y) {
  const int64_t item = work.item();
  work.for_groups([&](int64_t first, int64_t lines) {
    PerLine top;
    Tile tile;
    work.reduce(Reduction::Max, first, lines, top.bytes,
                [&](int64_t at, int64_t, int64_t) { return x + at * item; });
    if (item == 4)
      drop_infinite<float>(top.bytes, lines);
    else
      drop_infinite<double>(top.bytes, lines);
    char* const results = y + first * item;
    work.reduce(Reduction::Sum, first, lines, results, [&](int64_t at, int64_t some, int64_t n) {
      work.step(LinesOp::ExpShifted, {tile.bytes, x + at * item, nullptr, top.bytes, nullptr, some, n});
      return tile.bytes;
    });
    work.logarithms(results, top.bytes, lines);
  });
}

// softmax: y (g - sum(g y)); log_softmax: g - exp(y) sum(g).
void backward_lines(const LineWork& work, bool logarithmic, const char* g, const char* y, char* to) {
  const int64_t item = work.item();
  work.for_groups([&](int64_t first, int64_t lines) {
    PerLine total;
    Tile tile;
    work.reduce(
        Reduction::Sum, first, lines, total.bytes, [&](int64_t at, int64_t some, int64_t n) -> const char* {
          if (logarithmic) return g + at * item;
          work.step(LinesOp::Multiply, {tile.bytes, g + at * item, y + at * item, nullptr, nullptr, some, n});
          return tile.bytes;
        });
    work.for_pieces(first, lines, [&](int64_t at, int64_t some, int64_t n) {
      work.step(logarithmic ? LinesOp::LogSoftmaxGrad : LinesOp::SoftmaxGrad,
                {to + at * item, g + at * item, y + at * item, total.bytes, nullptr, some, n});
    });
  });
}

// The same along an axis that is not the last, for row-major arrays (outer, n, inner): columns side by side.
// The steps are those of the lines, so the results are the same bits.
class ColumnWork {
 public:
  ColumnWork(const Array& x, int axis)
      : compute_(compute_of(x.dtype)), item_(static_cast<int64_t>(item_bytes(compute_))), n_(x.sizes[axis]) {
    for (int d = axis + 1; d < x.rank(); ++d) inner_ *= x.sizes[d];
    outer_ = x.numel / (n_ * inner_);
  }

  // Calls body(offset in bytes of the strip's first element, columns) in parallel.
  template <typename Body>
  void for_strips(Body body) const {
    const int64_t strips = (inner_ + kStrip - 1) / kStrip;
    Unlocked unlocked(outer_ * n_ * inner_ >= kUnlockWork);
    parallel_for(outer_ * strips, std::max<int64_t>(1, kParallelWork / (n_ * std::min(inner_, kStrip))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t s = begin; s < end; ++s) {
                     const int64_t at = s % strips * kStrip;
                     body((s / strips * n_ * inner_ + at) * item_, std::min(kStrip, inner_ - at));
                   }
                 });
  }

  // results[j] = reduction of column j of the strip at `x`.
  void reduce(Reduction reduction, const char* x, int64_t width, char* results) const {
    const ReduceColumns columns =
        kernels->reduce_columns[static_cast<int>(reduction)][static_cast<int>(compute_)];
    alignas(64) char room[kLevels * kStrip * 8];
    ReductionTree tree(reduction, compute_, width, room);
    for (int64_t k = 0; k < n_; k += kBlock) {
      const void* rows[kBlock];
      const int64_t n = std::min(kBlock, n_ - k);
      for (int64_t r = 0; r < n; ++r) rows[r] = x + (k + r) * inner_ * item_;
      columns({tree.next(), rows, 0, n, width, nullptr, false});
      tree.pushed();
    }
    std::copy_n(tree.finish(), width * item_, results);
  }

  // Calls body(offset in bytes from the first row) for every row.
  template <typename Body>
  void for_rows(Body body) const {
    for (int64_t k = 0; k < n_; ++k) body(k * inner_ * item_);
  }

  // out[j] = op(a[j], b[j])
  void step(Micro op, char* out, const char* a, const char* b, int64_t width) const {
    kernels->micro_of(op, compute_)(out, a, b, nullptr, width);
  }

  void logarithms(char* results, int64_t count) const {
    LineWork::logarithms(compute_, results, nullptr, count);
  }

 private:
  static constexpr int64_t kLevels = 32;  // of 2^41 elements

  const Compute compute_;
  const int64_t item_, n_;
  int64_t outer_ = 0, inner_ = 1;
};

// One number for each column of a strip.
struct alignas(64) PerColumn {
  char bytes[kStrip * 8];
};

void softmax_columns(const ColumnWork& work, bool logarithmic, const char* x, char* y) {
  work.for_strips([&](int64_t strip, int64_t width) {
    PerColumn top, total;
    work.reduce(Reduction::Max, x + strip, width, top.bytes);
    work.for_rows([&](int64_t row) {
      char* const to = y + strip + row;
      work.step(Micro::Sub, to, x + strip + row, top.bytes, width);
      work.step(Micro::Exp, to, to, nullptr, width);
    });
    work.reduce(Reduction::Sum, y + strip, width, total.bytes);
    if (logarithmic) work.logarithms(total.bytes, width);
    work.for_rows([&](int64_t row) {
      char* const to = y + strip + row;
      if (logarithmic) {
        work.step(Micro::Sub, to, x + strip + row, top.bytes, width);
        work.step(Micro::Sub, to, to, total.bytes, width);
      } else {
        work.step(Micro::Div, to, to, total.bytes, width);
      }
    });
  });
}

void backward_columns(const ColumnWork& work, bool logarithmic, const char* g, const char* y, char* to) {
  work.for_strips([&](int64_t strip, int64_t width) {
    PerColumn total;
    if (!logarithmic) {
      work.for_rows([&](int64_t row) {
        const int64_t at = strip + row;
        work.step(Micro::Mul, to + at, g + at, y + at, width);
      });
    }
    work.reduce(Reduction::Sum, (logarithmic ? g : to) + strip, width, total.bytes);
    work.for_rows([&](int64_t row) {
      const int64_t at = strip + row;
      if (logarithmic) {
        work.step(Micro::Exp, to + at, y + at, nullptr, width);
        work.step(Micro::Mul, to + at, to + at, total.bytes, width);
        work.step(Micro::Sub, to + at, g + at, to + at, width);
      } else {
        work.step(Micro::Sub, to + at, g + at, total.bytes, width);
        work.step(Micro::Mul, to + at, y + at, to + at, width);
      }
    });
  });
}

int axis_of(const Attributes& a) { return static_cast<int>(a.ints[0]); }

// Computes a result of the shape and dtype of `x` along an axis, from row-major operands of the compute type:
// by_lines(work, operands, result), where the axis comes last, or by_columns likewise.
template <typename ByLines, typename ByColumns>
Array along_axis(std::initializer_list<const Array*> operands, int axis, ByLines by_lines,
                 ByColumns by_columns) {
  const Array& x = **operands.begin();
  const DType wide = stored_dtype(compute_of(x.dtype));
  Array out = Array::empty(x.sizes, x.dtype);
  if (x.numel == 0) return out;
  int64_t inner = 1;
  for (int d = axis + 1; d < x.rank(); ++d) inner *= x.sizes[d];
  const bool columns = inner >= kFewColumns;
  // With no axis set apart, the arrangement leaves the order of axes as it is.
  const Arrangement arrangement(x.rank(), {columns ? 0 : uint64_t{1} << axis, 0});
  Array held[2];
  const char* data[2] = {};
  int n = 0;
  for (const Array* operand : operands) {
    held[n] = arrangement.lines(*operand, wide);
    data[n] = held[n].as<char>();
    ++n;
  }
  const Array moved = arrangement.view(out);
  const bool direct = moved.contiguous && out.dtype == wide;
  const Array result = direct ? moved : Array::empty(moved.sizes, wide);
  if (columns)
    by_columns(ColumnWork(held[0], axis), data, result.as<char>());
  else
    by_lines(LineWork(result, x.numel / (x.rank() ? x.sizes[axis] : 1)), data, result.as<char>());
  if (!direct) copy_into(moved, result);
  return out;
}

TensorRef softmax_backward(const TensorRef& g, const TensorRef& y, const Attributes& a, bool logarithmic);

// ints: axis.
class Softmax final : public Primitive {
 public:
  explicit Softmax(bool logarithmic) : logarithmic_(logarithmic) {}
  const char* name() const override { return logarithmic_ ? "log_softmax" : "softmax"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override {
    return c.counts(1, 1, 1) && is_floating(c.in[0]->dtype) && c.is_axis(0, *c.in[0]);
  }
  void run(Run& run) const override {
    run.out[0] = along_axis(
        {run.in[0]}, axis_of(run.attributes),
        [this](const LineWork& work, const char* const* x, char* y) {
          (logarithmic_ ? log_softmax_lines : softmax_lines)(work, x[0], y);
        },
        [this](const ColumnWork& work, const char* const* x, char* y) {
          softmax_columns(work, logarithmic_, x[0], y);
        });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.outputs = 1}; }
  void vjp(Vjp& vjp) const override {
    vjp.set(0, softmax_backward(vjp.grad(), vjp.output(), vjp.attributes(), logarithmic_));
  }

 private:
  bool logarithmic_;
};

// Inputs: the gradient g and the output y. ints: axis.
class SoftmaxBackward final : public Primitive {
 public:
  explicit SoftmaxBackward(bool logarithmic) : logarithmic_(logarithmic) {}
  const char* name() const override { return logarithmic_ ? "log_softmax_backward" : "softmax_backward"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override {
    return c.counts(2, 1, 1) && is_floating(c.in[0]->dtype) && c.alike(0, 1) && c.is_axis(0, *c.in[0]);
  }
  void run(Run& run) const override {
    run.out[0] = along_axis(
        {run.in[0], run.in[1]}, axis_of(run.attributes),
        [this](const LineWork& work, const char* const* in, char* to) {
          backward_lines(work, logarithmic_, in[0], in[1], to);
        },
        [this](const ColumnWork& work, const char* const* in, char* to) {
          backward_columns(work, logarithmic_, in[0], in[1], to);
        });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 3}; }
  void vjp(Vjp& vjp) const override {
    const Axes axes{uint64_t{1} << axis_of(vjp.attributes()), ~uint64_t{0}};
    const TensorRef &u = vjp.grad(), g = vjp.input(0), y = vjp.input(1);
    auto total = [&](const TensorRef& x) { return sum_over(*x, axes, x->dtype); };
    if (logarithmic_) {
      const TensorRef part = mul(u, exp(y));
      if (vjp.needs(0)) vjp.set(0, sub(u, total(part)));
      if (vjp.needs(1)) vjp.set(1, neg(mul(part, total(g))));
      return;
    }
    if (vjp.needs(0)) vjp.set(0, softmax_backward(u, y, vjp.attributes(), false));
    if (vjp.needs(1)) vjp.set(1, sub(mul(u, sub(g, total(mul(g, y)))), mul(g, total(mul(u, y)))));
  }

 private:
  bool logarithmic_;
};

// ints: mask, keep.
struct Logsumexp final : Primitive {
  const char* name() const override { return "logsumexp"; }
  bool batch(Batch& b) const override { return b.reduced(); }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 2) && is_floating(c.in[0]->dtype); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Axes axes = Axes::unpack(run.attributes.ints);
    const DType wide = stored_dtype(compute_of(x.dtype));
    const Array out = Array::empty(reduced_sizes(x.sizes, axes), wide);
    if (x.numel == 0) {
      fill(out, Scalar::of(-INFINITY));
    } else {
      const Array lines = Arrangement(x.rank(), axes).lines(x, wide);
      logsumexp_lines(LineWork(lines, out.numel), lines.as<char>(), out.as<char>());
    }
    run.out[0] = out.to_dtype(x.dtype);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 1, .outputs = 1}; }
  void vjp(Vjp& vjp) const override {
    const Axes axes = Axes::unpack(vjp.attributes().ints);
    const TensorRef x = vjp.input(0), y = spread(*vjp.output(), axes, x->sizes);
    vjp.set(0, mul(spread(*vjp.grad(), axes, x->sizes), exp(sub(x, y))));
  }
};

const Softmax kSoftmax(false), kLogSoftmax(true);
const SoftmaxBackward kSoftmaxBackward(false), kLogSoftmaxBackward(true);
const Logsumexp kLogsumexp;

TensorRef softmax_backward(const TensorRef& g, const TensorRef& y, const Attributes& a, bool logarithmic) {
  return apply(logarithmic ? kLogSoftmaxBackward : kSoftmaxBackward, {g.get(), y.get()}, a);
}

TensorRef softmax_of(Tensor& x, int64_t axis, std::optional<DType> dtype, const Softmax& primitive) {
  const DType result = dtype.value_or(x.dtype);
  if (!is_floating(result))
    fail(ErrorKind::DType, "[", primitive.name(), "] expected a floating-point input or dtype, got ",
         name(result));
  const TensorRef input = cast(x, result);
  return apply(primitive, {input.get()}, {Dims{wrap_axis(axis, x.rank(), primitive.name())}, {}});
}

const Function kSoftmaxFunction("softmax", [](Args& a) {
  return Result(softmax_of(a.tensor(0), a.integer(1), a.dtype(2), kSoftmax));
});
const Function kLogSoftmaxFunction("log_softmax", [](Args& a) {
  return Result(softmax_of(a.tensor(0), a.integer(1), a.dtype(2), kLogSoftmax));
});
const Function kLogsumexpFunction("logsumexp", [](Args& a) {
  const TensorRef x =
      is_differentiable(a.tensor(0).dtype) ? TensorRef(&a.tensor(0)) : cast(a.tensor(0), default_float());
  const Axes axes = parse_axes(a.ints(1), x->rank(), a.flag(2), "logsumexp");
  return Result(apply(kLogsumexp, {x.get()}, {axes.pack(), {}}));
});

}  // namespace

TensorRef softmax(Tensor& x, int64_t axis) { return softmax_of(x, axis, {}, kSoftmax); }
TensorRef log_softmax(Tensor& x, int64_t axis) { return softmax_of(x, axis, {}, kLogSoftmax); }

}  // namespace versant::ops
