#include "machine/along.h"

#include "machine/index_checks.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/reduce.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"
#include "machine/walk.h"

namespace versant::ops {

namespace {

constexpr int64_t kParallelWork = 16384;  // elements worth a second thread
constexpr int64_t kUnlockWork = 100000;   // ... worth giving the bookkeeping lock up

// Calls body(a, b, index) with the three lines' first elements, lines in parallel.
template <typename T, typename Body>
void for_lines(const Array& a, const Array& b, const Array& index, int axis, Body body) {
  const Lines a_lines(a, axis), b_lines(b, axis), i_lines(index, axis);
  Unlocked unlocked(index.numel >= kUnlockWork);
  parallel_for(i_lines.starts.count,
               std::max<int64_t>(1, kParallelWork / std::max<int64_t>(1, i_lines.length)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t line = begin; line < end; ++line)
                   body(a.as<T>() + a_lines.starts.offset(line), b.as<T>() + b_lines.starts.offset(line),
                        index.as<int64_t>() + i_lines.starts.offset(line));
               });
}

// T only carries the size.
template <typename T>
void take(const Array& x, const Array& index, const Array& out, int axis) {
  const Lines from(x, axis), to(out, axis), which(index, axis);
  for_lines<T>(x, out, index, axis, [&](const T* p, T* q, const int64_t* i) {
    for (int64_t k = 0; k < which.length; ++k) q[k * to.stride] = p[i[k * which.stride] * from.stride];
  });
}

template <typename T>
void put(const Array& g, const Array& index, const Array& out, int axis) {
  const Lines from(g, axis), to(out, axis), which(index, axis);
  for_lines<T>(g, out, index, axis, [&](const T* p, T* q, const int64_t* i) {
    for (int64_t k = 0; k < which.length; ++k) q[i[k * which.stride] * to.stride] += p[k * from.stride];
  });
}

// Whether an index goes with an array of the same lines, of the same length too where that is `whole`.
bool admits_index(const Claim& c, bool whole) {
  const Array &x = *c.in[0], &index = *c.in[1];
  if (index.dtype != DType::Int64 || index.rank() != x.rank() || !c.is_axis(0, x)) return false;
  for (int d = 0; d < x.rank(); ++d)
    if ((whole || d != c.attributes.ints[0]) && index.sizes[d] != x.sizes[d]) return false;
  return true;
}

// ints: axis.
struct TakeAlong final : Primitive {
  const char* name() const override { return "take_along"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override { return c.counts(2, 1, 1) && admits_index(c, false); }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    const int axis = static_cast<int>(a.ints[0]);
    check_bounds(name(), in[1], axis, in[0].rank() ? in[0].sizes[axis] : 1);
  }
  void run(Run& run) const override {
    const Array x = *run.in[0], index = *run.in[1];  // held while the lock is given up
    const int axis = static_cast<int>(run.attributes.ints[0]);
    Array& out = run.out[0] = Array::empty(index.sizes, x.dtype);
    if (out.numel == 0) return;
    visit_size(x.dtype, [&]<typename T>() { take<T>(x, index, out, axis); });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 2}; }
  void vjp(Vjp& vjp) const override {
    const int axis = static_cast<int>(vjp.attributes().ints[0]);
    const Dims& sizes = vjp.input_sizes(0);
    vjp.set(0, put_along(*vjp.grad(), *vjp.input(1), axis, sizes.empty() ? 1 : sizes[axis]));
  }
};

// ints: axis, size.
struct PutAlong final : Primitive {
  bool by_parts() const override { return true; }
  const char* name() const override { return "put_along"; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    return c.counts(2, 1, 2) && admits_index(c, true) && c.attributes.ints[1] >= (c.in[0]->rank() ? 0 : 1);
  }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    check_bounds(name(), in[1], static_cast<int>(a.ints[0]), in[0].rank() ? a.ints[1] : 1);
  }
  void run(Run& run) const override {
    const int axis = static_cast<int>(run.attributes.ints[0]);
    const DType dtype = run.in[0]->dtype, wide = stored_dtype(compute_of(dtype));
    const Array g = run.in[0]->to_dtype(wide), index = *run.in[1];  // held while the lock is given up
    Dims sizes = g.sizes;
    if (!sizes.empty()) sizes[axis] = run.attributes.ints[1];
    const Array out = Array::full(sizes, wide, Scalar::of_int(0));
    if (wide == DType::Float32)
      put<float>(g, index, out, axis);
    else if (wide == DType::Float64)
      put<double>(g, index, out, axis);
    else
      put<int64_t>(g, index, out, axis);
    run.out[0] = out.to_dtype(dtype);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.inputs = 2}; }
  void vjp(Vjp& vjp) const override {
    vjp.set(0, take_along(*vjp.grad(), *vjp.input(1), static_cast<int>(vjp.attributes().ints[0])));
  }
};

const TakeAlong kTakeAlong;
const PutAlong kPutAlong;

}  // namespace

TensorRef take_along(Tensor& x, Tensor& index, int axis) {
  return apply(kTakeAlong, {&x, &index}, {Dims{axis}, {}});
}
TensorRef put_along(Tensor& g, Tensor& index, int axis, int64_t size) {
  return apply(kPutAlong, {&g, &index}, {Dims{axis, size}, {}});
}

}  // namespace versant::ops
