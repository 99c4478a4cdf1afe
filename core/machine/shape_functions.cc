// Flipping, rolling, triangles and repetition.
#include <cstring>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

// ints: axes to reverse.
struct Flip final : Primitive {
  const char* name() const override { return "flip"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    for (int64_t& axis : a.ints) ++axis;
    return b.leading(a);
  }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    if (c.in.size() != 1 || c.out.size() != 1) return false;
    uint64_t seen = 0;  // an axis that is turned twice would leave the array
    for (int i = 0; i < c.attributes.ints.size(); ++i) {
      if (!c.within(i, 0, c.in[0]->rank() - 1) || seen >> c.attributes.ints[i] & 1) return false;
      seen |= uint64_t{1} << c.attributes.ints[i];
    }
    return true;
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    run.out[0] = Array::empty_like_layout(x, x.dtype);
    Dims strides = x.strides;
    int64_t shift = 0;
    for (const int64_t axis : run.attributes.ints) {
      const int d = static_cast<int>(axis);
      shift += std::max<int64_t>(x.sizes[d] - 1, 0) * strides[d];
      strides[d] = -strides[d];
    }
    copy_into(run.out[0], x.view(x.sizes, std::move(strides), shift));
  }
  void vjp(Vjp& vjp) const override { vjp.set(0, apply(*this, {vjp.grad().get()}, vjp.attributes())); }
};

constexpr int kAxesAtOnce = 4;

// ints: axis and shift (in [0, size)) for each axis that moves.
struct Roll final : Primitive {
  const char* name() const override { return "roll"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    for (int i = 0; i < a.ints.size(); i += 2) ++a.ints[i];
    return b.leading(a);
  }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    const Dims& a = c.attributes.ints;
    if (c.in.size() != 1 || c.out.size() != 1 || a.size() % 2 || a.size() > 2 * kAxesAtOnce) return false;
    uint64_t seen = 0;
    for (int i = 0; i < a.size(); i += 2) {
      if (!c.within(i, 0, c.in[0]->rank() - 1) || seen >> a[i] & 1) return false;
      if (!c.within(i + 1, 0, c.in[0]->sizes[static_cast<int>(a[i])])) return false;
      seen |= uint64_t{1} << a[i];
    }
    return true;
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Dims& a = run.attributes.ints;
    run.out[0] = Array::empty_like_layout(x, x.dtype);
    if (x.numel == 0) return;
    // Each axis falls into two parts that change places: a block of every combination is copied.
    const int n = a.size() / 2;
    for (int64_t block = 0; block < int64_t{1} << n; ++block) {
      Dims sizes = x.sizes;
      int64_t from = 0, to = 0;
      for (int k = 0; k < n; ++k) {
        const int axis = static_cast<int>(a[2 * k]);
        const int64_t shift = a[2 * k + 1], kept = x.sizes[axis] - shift;
        const bool wraps = block >> k & 1;
        sizes[axis] = wraps ? shift : kept;
        from += (wraps ? kept : 0) * x.strides[axis];
        to += (wraps ? 0 : shift) * run.out[0].strides[axis];
      }
      copy_into(run.out[0].view(sizes, run.out[0].strides, to), x.view(sizes, x.strides, from));
    }
  }
  void vjp(Vjp& vjp) const override {
    Attributes back = vjp.attributes();
    const Dims& sizes = vjp.output_sizes();
    for (int k = 0; k < back.ints.size(); k += 2)
      back.ints[k + 1] = sizes[static_cast<int>(back.ints[k])] - back.ints[k + 1];
    vjp.set(0, apply(*this, {vjp.grad().get()}, back));
  }
};

// ints: the diagonal; the lower or upper part of the last two axes stays, the diagonal included.
struct Triangle final : Primitive {
  Triangle(const char* name, bool lower) : name_(name), lower_(lower) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override { return b.leading(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 1) && c.in[0]->rank() >= 2; }
  void run(Run& run) const override {
    const Array x = run.in[0]->to_contiguous();
    const int64_t rows = x.sizes[x.rank() - 2], columns = x.sizes[x.rank() - 1];
    const int64_t diagonal = run.attributes.ints[0];
    run.out[0] = Array::empty(x.sizes, x.dtype);
    if (x.numel == 0) return;
    const auto item = static_cast<int64_t>(itemsize(x.dtype));
    const char* from = x.as<char>();
    char* to = run.out[0].as<char>();
    Unlocked unlocked(x.bytes() >= kUnlockBytes);
    const int64_t grain = std::max<int64_t>(1, kParallelBytes / (columns * item));
    parallel_for(x.numel / columns, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        // Columns before the split belong to the lower part.
        const int64_t diagonal_column = std::clamp(diagonal, -rows, columns) + r % rows + lower_;
        const int64_t split = std::clamp<int64_t>(diagonal_column, 0, columns) * item;
        const int64_t at = r * columns * item, rest = columns * item - split;
        if (lower_) {
          std::memcpy(to + at, from + at, split);
          std::memset(to + at + split, 0, rest);
        } else {
          std::memset(to + at, 0, split);
          std::memcpy(to + at + split, from + at + split, rest);
        }
      }
    });
  }
  void vjp(Vjp& vjp) const override { vjp.set(0, apply(*this, {vjp.grad().get()}, vjp.attributes())); }

  const char* name_;
  bool lower_;
};

const Flip kFlip;
const Roll kRoll;
const Triangle kTril("tril", true), kTriu("triu", false);

TensorRef triangle(const Triangle& primitive, Tensor& x, int64_t diagonal) {
  if (x.rank() < 2)
    fail(ErrorKind::Shape, "[", primitive.name(), "] expected at least 2 dimensions, got shape ", x.sizes);
  return apply(primitive, {&x}, {Dims{diagonal}, {}});
}

// Every element `repeats` times in a row along an axis that both shapes name.
TensorRef repeat_axis(Tensor& x, int axis, int64_t repeats) {
  Dims wide = x.sizes, sizes = x.sizes;
  wide.insert(axis + 1, repeats);
  if (__builtin_mul_overflow(sizes[axis], repeats, &sizes[axis]))
    fail(ErrorKind::Shape, "[repeat_interleave] the size of dimension ", axis, " overflows");
  TensorRef spaced = ops::unsqueeze(x, axis + 1);
  TensorRef expanded = ops::expand(*spaced, wide);
  TensorRef result = ops::reshape(*expanded, sizes);
  return result->storage.get() == x.storage.get() ? ops::clone(*result) : result;
}

}  // namespace

namespace ops {

TensorRef flip(Tensor& x, const Dims& wanted) {
  Dims axes;
  uint64_t seen = 0;
  for (const int64_t axis : wanted) {
    const int d = wrap_axis(axis, x.rank(), "flip");
    if (seen >> d & 1) fail(ErrorKind::Value, "[flip] dimension ", d, " appears more than once in ", wanted);
    seen |= uint64_t{1} << d;
    if (x.rank()) axes.push_back(d);
  }
  return apply(kFlip, {&x}, {axes, {}});
}

TensorRef roll(Tensor& x, const Dims& shifts, const Dims& axes) {
  if (shifts.empty()) fail(ErrorKind::Value, "[roll] expected at least one shift");
  if (axes.empty() && shifts.size() == 1) {
    TensorRef flat = reshape(x, {-1});
    return reshape(*roll(*flat, shifts, {0}), x.sizes);
  }
  if (axes.size() != shifts.size())
    fail(ErrorKind::Value, "[roll] shifts ", shifts, " and dims ", axes, " must have the same length");
  Dims total(x.rank(), 0);
  for (int k = 0; k < axes.size(); ++k) {
    if (x.rank() == 0)
      fail(ErrorKind::Axis, "[roll] a tensor without axes cannot be rolled along axis ", axes[k]);
    const int d = wrap_axis(axes[k], x.rank(), "roll");
    if (x.sizes[d] == 0) continue;
    const int64_t size = x.sizes[d], shift = (shifts[k] % size + size) % size;
    total[d] = (total[d] + shift) % size;
  }
  TensorRef result(&x);
  Attributes attributes;
  bool moved = false;
  for (int d = 0; d < x.rank(); ++d) {
    if (total[d] != 0) {
      attributes.ints.push_back(d);
      attributes.ints.push_back(total[d]);
    }
    // A few axes at a time: the blocks to copy double with each.
    const bool enough = attributes.ints.size() == 2 * kAxesAtOnce;
    if (!enough && (d + 1 < x.rank() || attributes.ints.empty())) continue;
    result = apply(kRoll, {result.get()}, attributes);
    attributes.ints = Dims();
    moved = true;
  }
  return moved ? result : clone(x);
}

TensorRef tril(Tensor& x, int64_t diagonal) { return triangle(kTril, x, diagonal); }
TensorRef triu(Tensor& x, int64_t diagonal) { return triangle(kTriu, x, diagonal); }

TensorRef repeat(Tensor& x, const Dims& repeats) {
  const int rank = repeats.size(), lead = rank - x.rank();
  if (lead < 0)
    fail(ErrorKind::Shape, "[repeat] expected at least ", x.rank(), " repeats for shape ", x.sizes, ", got ",
         repeats);
  // Each axis gets one of its repeats in front; together they fold into the result.
  Dims spaced, wide, sizes;
  for (int d = 0; d < rank; ++d) {
    const int64_t size = d < lead ? 1 : x.sizes[d - lead];
    if (repeats[d] < 0) fail(ErrorKind::Value, "[repeat] repeats must not be negative, got ", repeats);
    int64_t total;
    if (__builtin_mul_overflow(size, repeats[d], &total))
      fail(ErrorKind::Shape, "[repeat] the size of dimension ", d, " overflows");
    sizes.push_back(total);
    if (repeats[d] != 1) spaced.push_back(1), wide.push_back(repeats[d]);
    spaced.push_back(size);
    wide.push_back(size);
  }
  TensorRef lined_up = reshape(x, spaced);
  TensorRef expanded = expand(*lined_up, wide);
  TensorRef copied = clone(*expanded);
  return reshape(*copied, sizes);
}

TensorRef repeat_interleave(Tensor& x, int64_t repeats, std::optional<int64_t> axis) {
  if (repeats < 0) fail(ErrorKind::Value, "[repeat_interleave] repeats must not be negative, got ", repeats);
  TensorRef flat = axis && x.rank() ? TensorRef(&x) : reshape(x, {-1});
  return repeat_axis(*flat, axis ? wrap_axis(*axis, flat->rank(), "repeat_interleave") : 0, repeats);
}

}  // namespace ops

namespace {

const Function kFunctions[] = {
    {"flip", [](Args& a) { return Result(ops::flip(a.tensor(0), a.ints(1))); }},
    {"roll", [](Args& a) { return Result(ops::roll(a.tensor(0), a.ints(1), a.ints(2))); }},
    {"tril", [](Args& a) { return Result(ops::tril(a.tensor(0), a.integer(1))); }},
    {"triu", [](Args& a) { return Result(ops::triu(a.tensor(0), a.integer(1))); }},
    {"repeat", [](Args& a) { return Result(ops::repeat(a.tensor(0), a.ints(1))); }},
    {"repeat_interleave",
     [](Args& a) {
       return Result(ops::repeat_interleave(a.tensor(0), a.integer(1), a.optional_integer(2)));
     }},
};

}  // namespace

}  // namespace versant
