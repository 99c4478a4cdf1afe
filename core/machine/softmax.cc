// softmax, log_softmax and logsumexp, line by line: the largest element is taken away before exp.
#include <cmath>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/promote.h"
#include "machine/reduce.h"
#include "machine/reduce_tree.h"

namespace versant::ops {

namespace {

constexpr int64_t kBlock = kReductionBlock;
constexpr int64_t kGroup = 64;            // short lines taken together, at most
constexpr int64_t kGroupElements = 4096;  // ... and their elements
constexpr int64_t kParallelWork = 8192;   // elements worth a second thread
constexpr int64_t kUnlockWork = 50000;    // ... worth giving the bookkeeping lock up

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
  // results[l] = log(results[l]); `shift` is added when given.
  void logarithms(char* results, const char* shift, int64_t lines) const {
    for (int64_t l = 0; l < lines; ++l) {
      if (compute_ == Compute::F32)
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

Axes axis_of(const Attributes& a) { return {uint64_t{1} << a.ints[0], ~uint64_t{0}}; }

// Computes a result of the shape of `x` along an axis: compute(work, address of the result's lines).
template <typename Compute>
Array along_axis(const Array& x, const Attributes& attributes, Compute compute) {
  const Arrangement arrangement(x.rank(), axis_of(attributes));
  const DType wide = stored_dtype(compute_of(x.dtype));
  Array out = Array::empty(x.sizes, x.dtype);
  if (x.numel == 0) return out;
  const Array moved = arrangement.view(out);
  const bool direct = moved.contiguous && out.dtype == wide;
  const Array lines = direct ? moved : Array::empty(moved.sizes, wide);
  const int64_t n = x.rank() ? x.sizes[static_cast<int>(attributes.ints[0])] : 1;
  compute(arrangement, LineWork(lines, x.numel / n), lines.as<char>());
  if (!direct) copy_into(moved, lines);
  return out;
}

TensorRef softmax_backward(const TensorRef& g, const TensorRef& y, const Attributes& a, bool logarithmic);

// ints: axis.
class Softmax final : public Primitive {
 public:
  explicit Softmax(bool logarithmic) : logarithmic_(logarithmic) {}
  const char* name() const override { return logarithmic_ ? "log_softmax" : "softmax"; }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    run.out[0] = along_axis(x, run.attributes, [&](const Arrangement& a, const LineWork& work, char* to) {
      const Array lines = a.lines(x, stored_dtype(compute_of(x.dtype)));
      (logarithmic_ ? log_softmax_lines : softmax_lines)(work, lines.as<char>(), to);
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
  void run(Run& run) const override {
    const Array &g = *run.in[0], &y = *run.in[1];
    run.out[0] = along_axis(y, run.attributes, [&](const Arrangement& a, const LineWork& work, char* to) {
      const DType wide = stored_dtype(compute_of(y.dtype));
      const Array g_lines = a.lines(g, wide), y_lines = a.lines(y, wide);
      backward_lines(work, logarithmic_, g_lines.as<char>(), y_lines.as<char>(), to);
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 3}; }
  void vjp(Vjp& vjp) const override {
    const Axes axes = axis_of(vjp.attributes());
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
      is_floating(a.tensor(0).dtype) ? TensorRef(&a.tensor(0)) : cast(a.tensor(0), default_float());
  const Axes axes = parse_axes(a.ints(1), x->rank(), a.flag(2), "logsumexp");
  return Result(apply(kLogsumexp, {x.get()}, {axes.pack(), {}}));
});

}  // namespace

TensorRef softmax(Tensor& x, int64_t axis) { return softmax_of(x, axis, {}, kSoftmax); }
TensorRef log_softmax(Tensor& x, int64_t axis) { return softmax_of(x, axis, {}, kLogSoftmax); }

}  // namespace versant::ops
