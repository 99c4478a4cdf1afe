#include "machine/ops.h"

#include "machine/trace.h"
#include "machine/transforms/batching.h"
#include "machine/transforms/forward.h"

namespace versant::ops {

namespace {
const NamedOp kAdd("add"), kSub("sub"), kMul("mul"), kDiv("div"), kNeg("neg"), kWhere("where"), kEq("eq"),
    kCopy("copy");

template <typename... Inputs>
TensorRef call(const NamedOp& op, Inputs... inputs) {
  const Input list[] = {inputs...};
  return apply(*op, list);
}
}  // namespace

TensorRef empty(const Dims& sizes, DType dtype) {
  TensorRef tensor = Tensor::make(Array::empty(sizes, dtype));
  tensor->inference = modes.inference;
  return tensor;
}

TensorRef full(const Dims& sizes, DType dtype, Scalar value) {
  TensorRef tensor = empty(sizes, dtype);
  fill(*tensor, value);
  return tensor;
}

TensorRef add(Input a, Input b) { return call(kAdd, a, b); }
TensorRef sub(Input a, Input b) { return call(kSub, a, b); }
TensorRef mul(Input a, Input b) { return call(kMul, a, b); }
TensorRef div(Input a, Input b) { return call(kDiv, a, b); }
TensorRef neg(Input a) { return call(kNeg, a); }
TensorRef where(Input condition, Input a, Input b) { return call(kWhere, condition, a, b); }
TensorRef eq(Input a, Input b) { return call(kEq, a, b); }

void add_(Tensor& a, Tensor& b) {
  const Input list[] = {Input(a), Input(b)};
  apply_in_place(*kAdd, list, a);
}

void copy_(Tensor& to, Input from) {
  const Input list[] = {Input(to), from};
  apply_in_place(*kCopy, list, to);
}

namespace {

// Same values, new memory; `floats[0]` is 1 when the result shall be row-major.
struct Clone final : Primitive {
  const char* name() const override { return "clone"; }
  bool batch(Batch& b) const override { return b.leading(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 1); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    run.out[0] =
        run.attributes.ints[0] ? Array::empty(x.sizes, x.dtype) : Array::empty_like_layout(x, x.dtype);
    copy_into(run.out[0], x);
  }
  void vjp(Vjp& vjp) const override { vjp.set(0, vjp.grad()); }
};

struct Cast final : Primitive {
  const char* name() const override { return "to"; }
  bool batch(Batch& b) const override { return b.leading(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override { return c.counts(1, 1, 1) && c.is_dtype(0); }
  void run(Run& run) const override {
    const auto dtype = static_cast<DType>(run.attributes.ints[0]);
    run.out[0] = Array::empty_like_layout(*run.in[0], dtype);
    copy_into(run.out[0], *run.in[0]);
  }
  // The engine casts the gradient back to the input's dtype.
  void vjp(Vjp& vjp) const override { vjp.set(0, vjp.grad()); }
};

const Clone kClone;
const Cast kCast;

}  // namespace

TensorRef clone(Tensor& x) { return apply(kClone, {&x}, {Dims{0}, {}}); }

TensorRef contiguous(Tensor& x) {
  if (x.contiguous) return TensorRef(&x);
  return apply(kClone, {&x}, {Dims{1}, {}});
}

TensorRef cast(Tensor& x, DType dtype) {
  if (x.dtype == dtype) return TensorRef(&x);
  return apply(kCast, {&x}, {Dims{static_cast<int64_t>(dtype)}, {}});
}

TensorRef detach(Tensor& x) {
  if (x.wrapped) [[unlikely]]
    return transforms::detached(x);
  trace::reach({&x});
  TensorRef tensor = Tensor::make(x);
  tensor->inference = x.inference;
  return tensor;
}

}  // namespace versant::ops
