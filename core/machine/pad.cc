// Padding with a constant.
#include <bit>

#include "machine/axis_order.h"
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/promote.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

// Amounts before and after each axis, first axis first; negative ones cut off.
struct Amounts {
  Dims before, after;
};

// Row by row of the result: outside all value; inside value, elements of x, value.
template <typename T>
void pad_rows(const Array& out, const Array& x, const Amounts& pads, T value) {
  const int last = x.rank() - 1;
  const int64_t width = out.sizes[last], before = pads.before[last];
  const int64_t left = std::clamp<int64_t>(before, 0, width), skipped = std::max<int64_t>(-before, 0);
  const int64_t middle = std::clamp<int64_t>(x.sizes[last] - skipped, 0, width - left);
  const int64_t step = x.strides[last];
  Unlocked unlocked(out.bytes() >= kUnlockBytes);
  const int64_t grain = std::max<int64_t>(1, kParallelBytes / (width * static_cast<int64_t>(sizeof(T))));
  parallel_for(out.numel / width, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* to = out.as<T>() + r * width;
      int64_t offset = skipped * step;
      bool inside = true;
      int64_t rest = r;
      for (int d = last - 1; d >= 0; --d) {
        const int64_t at = rest % out.sizes[d] - pads.before[d];
        rest /= out.sizes[d];
        inside &= at >= 0 && at < x.sizes[d];
        offset += at * x.strides[d];
      }
      if (!inside) {
        std::fill_n(to, width, value);
        continue;
      }
      const T* from = x.as<T>() + offset;
      std::fill_n(to, left, value);
      if (step == 1)
        std::copy_n(from, middle, to + left);
      else
        for (int64_t j = 0; j < middle; ++j) to[left + j] = from[j * step];
      std::fill_n(to + left + middle, width - left - middle, value);
    }
  });
}

// ints: before and after for each axis, first axis first, then kind and bits of the value, and
// bits of its imaginary part.
struct PadConstant final : Primitive {
  const char* name() const override { return "pad_constant"; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    for (int i = 0; i < 2; ++i) a.ints.insert(0, 0);
    return b.leading(a);
  }
  bool admits(const Claim& c) const override {
    const int rank = c.in.empty() ? 0 : c.in[0]->rank();
    constexpr int64_t kMost = int64_t{1} << 46;
    if (!c.counts(1, 1, 2 * rank + 3) || !c.within(2 * rank, 0, 3)) return false;
    for (int d = 0; d < rank; ++d) {
      if (!c.within(2 * d, -kMost, kMost) || !c.within(2 * d + 1, -kMost, kMost)) return false;
      if (c.in[0]->sizes[d] + c.attributes.ints[2 * d] + c.attributes.ints[2 * d + 1] < 0) return false;
    }
    return true;
  }
  void run(Run& run) const override {
    const int rank = run.in[0]->rank();
    const Dims order = memory_order(*run.in[0]);
    const Array x = run.in[0]->view(permuted(run.in[0]->sizes, order), permuted(run.in[0]->strides, order));
    Amounts pads{Dims(rank), Dims(rank)};
    Dims sizes(rank);
    for (int d = 0; d < rank; ++d) {
      const int axis = static_cast<int>(order[d]);
      pads.before[d] = run.attributes.ints[2 * axis];
      pads.after[d] = run.attributes.ints[2 * axis + 1];
      sizes[d] = x.sizes[d] + pads.before[d] + pads.after[d];
    }
    const Array out = Array::empty(sizes, x.dtype);
    if (rank == 0) {
      copy_into(out, x);
    } else if (out.numel) {
      const Array value = Array::full({}, x.dtype, value_of(run.attributes));
      visit_size(x.dtype, [&]<typename T>() { pad_rows<T>(out, x, pads, *value.as<T>()); });
    }
    run.out[0] = unpermuted(out, order);
  }
  void vjp(Vjp& vjp) const override {
    Dims back = vjp.attributes().ints;
    back.resize(back.size() - 3);
    for (int64_t& amount : back) amount = -amount;
    vjp.set(0, apply(*this, {vjp.grad().get()}, pack(back, Scalar::of_int(0))));
  }

  static Attributes pack(Dims amounts, Scalar value) {
    amounts.push_back(static_cast<int64_t>(value.kind));
    amounts.push_back(value.i);
    amounts.push_back(std::bit_cast<int64_t>(value.imaginary_part().f));
    return {std::move(amounts), {}};
  }
  static Scalar value_of(const Attributes& attributes) {
    const int n = attributes.ints.size();
    Scalar value;
    value.kind = static_cast<Scalar::Kind>(attributes.ints[n - 3]);
    value.i = attributes.ints[n - 2];
    value.imaginary = std::bit_cast<double>(attributes.ints[n - 1]);
    return value;
  }
};

const PadConstant kPadConstant;

}  // namespace

namespace ops {

TensorRef pad_constant(Tensor& x, const Dims& pad, Scalar value) {
  const int rank = x.rank();
  check_range(value, x.dtype, "pad");
  if (pad.size() % 2 || pad.size() > 2 * rank)
    fail(ErrorKind::Shape, "[pad] pad must hold a pair for each of the last dimensions, at most ", rank,
         " pairs, got ", pad);
  Dims amounts(2 * rank, 0);
  for (int k = 0; k < pad.size() / 2; ++k) {
    const int d = rank - 1 - k;
    amounts[2 * d] = pad[2 * k];
    amounts[2 * d + 1] = pad[2 * k + 1];
    // What is cut off must be there before anything is added.
    const int64_t before = pad[2 * k], after = pad[2 * k + 1];
    int64_t size;
    bool overflow = __builtin_add_overflow(x.sizes[d], std::min<int64_t>(before, 0), &size);
    overflow |= __builtin_add_overflow(size, std::min<int64_t>(after, 0), &size) || size < 0;
    overflow |= __builtin_add_overflow(size, std::max<int64_t>(before, 0), &size);
    overflow |= __builtin_add_overflow(size, std::max<int64_t>(after, 0), &size);
    if (overflow)
      fail(ErrorKind::Shape, "[pad] dimension ", d, " of size ", x.sizes[d], " cannot be padded by ", before,
           " and ", after);
  }
  return apply(kPadConstant, {&x}, PadConstant::pack(amounts, value));
}

TensorRef pad_to(Tensor& x, const Dims& sizes) {
  if (x.sizes == sizes) return TensorRef(&x);
  if (x.numel == 0) return zeros(sizes, x.dtype);
  Dims amounts(2 * x.rank(), 0);
  for (int d = 0; d < x.rank(); ++d) amounts[2 * d + 1] = sizes[d] - x.sizes[d];
  return apply(kPadConstant, {&x}, PadConstant::pack(amounts, Scalar::of_int(0)));
}

}  // namespace ops

namespace {
const Function kFunction("pad_constant", [](Args& a) {
  return Result(ops::pad_constant(a.tensor(0), a.ints(1), a.scalar(2)));
});
}  // namespace

}  // namespace versant
