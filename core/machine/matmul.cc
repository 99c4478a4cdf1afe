// matmul and linear.
#include "machine/matmul.h"

#include <algorithm>

#include "machine/call.h"
#include "machine/complex.h"
#include "machine/kernels.h"
#include "machine/looks.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/trace.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace ops {
namespace {

// op(a) @ op(b) over at least two axes, leading ones broadcast. ints: whether a and b are read with their
// last two axes exchanged.
struct MatMul final : Primitive {
  const char* name() const override { return "matmul"; }
  Linearity linearity(const Attributes&) const override { return Linearity::Each; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override {
    return c.counts(2, 1, 2) && c.in[0]->rank() >= 2 && c.in[1]->rank() >= 2 &&
           c.in[0]->dtype == c.in[1]->dtype && c.in[0]->dtype != DType::Bool;
  }
  void run(Run& run) const override {
    const Array &a = *run.in[0], &b = *run.in[1];
    const bool ta = run.attributes.ints[0] != 0, tb = run.attributes.ints[1] != 0;
    const int ra = a.rank(), rb = b.rank();
    const int64_t m = a.sizes[ta ? ra - 1 : ra - 2], k = a.sizes[ta ? ra - 2 : ra - 1];
    const int64_t inner = b.sizes[tb ? rb - 1 : rb - 2], n = b.sizes[tb ? rb - 2 : rb - 1];
    if (k != inner) fail(ErrorKind::Shape, "[matmul] inner dimensions differ: ", a.sizes, " @ ", b.sizes);
    Dims sizes;
    if (ra > 2 || rb > 2) {
      Dims batch_a = a.sizes, batch_b = b.sizes;
      batch_a.resize(ra - 2);
      batch_b.resize(rb - 2);
      sizes = broadcast_sizes(batch_a, batch_b, "matmul");
    }
    sizes.push_back(m);
    sizes.push_back(n);
    run.out[0] = Array::empty(sizes, a.dtype);
    const watch::Asked ask(watch::take(this));
    multiply(a, ta, b, tb, run.out[0]);
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0};
  }
  bool adds() const override { return true; }
  void vjp(Vjp& vjp) const override;
};

const MatMul kMatMul;

TensorRef product(Tensor& a, bool ta, Tensor& b, bool tb) {
  // Two matrices, the common case, go the short way.
  trace::reach({&a, &b});
  if (a.rank() == 2 && b.rank() == 2 && !a.wrapped && !b.wrapped &&
      a.sizes[ta ? 0 : 1] == b.sizes[tb ? 1 : 0]) {
    Array result = Array::empty(Dims{a.sizes[ta ? 1 : 0], b.sizes[tb ? 0 : 1]}, a.dtype);
    multiply(a, ta, b, tb, result);
    Tensor* const inputs[] = {&a, &b};
    return record_result(kMatMul, inputs, {Dims{ta, tb}, {}}, std::move(result));
  }
  return apply(kMatMul, {&a, &b}, {Dims{ta, tb}, {}});
}

// A matrix that is the same for all samples, times the rows or columns of each: one product of matrices.
bool join_vectors(Batch& b) {
  if (b.rank(0) != 2 || b.rank(1) != 2 || (b.has(0) && b.has(1))) return false;
  const bool ta = b.attributes().ints[0] != 0, tb = b.attributes().ints[1] != 0;
  const bool right = b.has(1);  // whether the vectors stand on the right
  const Dims& sizes = b.sizes(right ? 1 : 0);
  const bool turned = right ? tb : ta;
  const int64_t vectors = sizes[right != turned ? 1 : 0], length = sizes[right != turned ? 0 : 1];
  Tensor& held = b.held(right ? 1 : 0);
  TensorRef rows;
  if (vectors == 1) {
    rows = reshape(held, Dims{b.size(), length});
  } else if (right || turned) {
    return false;  // they do not lie side by side
  } else {
    rows = reshape(held, Dims{b.size() * vectors, length});
  }
  Tensor& matrix = b.held(right ? 0 : 1);
  const TensorRef y = product(*rows, false, matrix, right ? !ta : tb);
  const int64_t width = y->sizes[1];
  b.set(0, view(*y, right ? Dims{b.size(), width, 1} : Dims{b.size(), vectors, width}));
  return true;
}

bool MatMul::batch(Batch& b) const {
  if (join_vectors(b)) return true;
  const int rank = std::max(b.rank(0), b.rank(1));
  const TensorRef x = b.aligned(0, rank), y = b.aligned(1, rank);
  b.set_all(apply(*this, {x.get(), y.get()}, b.attributes()));
  return true;
}

// Adds the product of two matrices to the sum that waits for input `i`, if that can be done.
bool add_product(Vjp& vjp, int i, Tensor& a, bool ta, Tensor& b, bool tb) {
  Tensor* const sum = vjp.sum(i);
  if (!sum || a.rank() != 2 || b.rank() != 2 || a.sizes[ta ? 0 : 1] > kAddedDepth) return false;
  if (sum->dtype != a.dtype || (sum->dtype != DType::Float32 && sum->dtype != DType::Float64)) return false;
  multiply(a, ta, b, tb, *sum, nullptr, true);
  return true;
}

// [..., m, k] as [rows, k].
TensorRef flatten_rows(Tensor& x) { return reshape(x, Dims{-1, x.sizes.back()}); }

void MatMul::vjp(Vjp& vjp) const {
  const bool ta = vjp.attributes().ints[0] != 0, tb = vjp.attributes().ints[1] != 0;
  Tensor& g = *vjp.grad();
  if (vjp.needs(0)) {
    TensorRef b = conj(*vjp.input(1));
    vjp.set(0, ta ? product(*b, tb, g, true) : product(g, false, *b, !tb));
  }
  if (vjp.needs(1)) {
    TensorRef a = conj(*vjp.input(0));
    // Rows of a batch that one matrix b serves are summed inside one product.
    const bool added = tb ? add_product(vjp, 1, g, true, *a, ta) : add_product(vjp, 1, *a, !ta, g, false);
    if (added) return;
    if (vjp.input_sizes(1).size() == 2 && !ta && g.rank() > 2 && g.numel > 0 && a->numel > 0) {
      TensorRef rows = flatten_rows(*a), grads = flatten_rows(g);
      vjp.set(1, tb ? product(*grads, true, *rows, false) : product(*rows, true, *grads, false));
    } else {
      vjp.set(1, tb ? product(g, true, *a, ta) : product(*a, !ta, g, false));
    }
  }
}

// x @ weight^T + bias over the last axis of x; weight (out, in), bias (out,) or absent.
struct Linear final : Primitive {
  const char* name() const override { return "linear"; }
  Linearity linearity(const Attributes&) const override { return Linearity::Each; }
  bool batch(Batch& b) const override;
  bool adds() const override { return true; }
  bool admits(const Claim& c) const override {
    if (c.in.size() < 2 || c.in.size() > 3 || c.out.size() != 1) return false;
    const Array &x = *c.in[0], &weight = *c.in[1];
    if (x.rank() < 2 || weight.rank() != 2 || x.sizes.back() != weight.sizes[1] || !is_floating(x.dtype) ||
        weight.dtype != x.dtype)
      return false;
    return c.in.size() == 2 || (c.in[2]->sizes == Dims{weight.sizes[0]} && c.in[2]->dtype == x.dtype);
  }
  void run(Run& run) const override {
    run.out[0] = value(*run.in[0], *run.in[1], run.in.size() > 2 ? run.in[2] : nullptr);
  }
  static Array value(const Array& x, const Array& weight, const Array* bias) {
    Dims sizes = x.sizes;
    sizes[x.rank() - 1] = weight.sizes[0];
    Array y = Array::empty(sizes, x.dtype);
    multiply(x, false, weight, true, y, bias);
    return y;
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0};
  }
  void vjp(Vjp& vjp) const override {
    Tensor& g = *vjp.grad();
    if (vjp.needs(0)) {
      TensorRef weight = vjp.input(1);
      vjp.set(0, product(g, false, *weight, false));
    }
    if (vjp.needs(1)) {
      TensorRef x = vjp.input(0);
      if (g.rank() > 2 && g.numel > 0 && x->numel > 0) {
        TensorRef rows = flatten_rows(*x), grads = flatten_rows(g);
        vjp.set(1, product(*grads, true, *rows, false));
      } else if (!add_product(vjp, 1, g, true, *x, false)) {
        vjp.set(1, product(g, true, *x, false));
      }
    }
    if (vjp.n_inputs() > 2 && vjp.needs(2)) {
      Dims axes(g.rank() - 1);
      for (int d = 0; d < axes.size(); ++d) axes[d] = d;
      vjp.set(2, sum(g, axes, false));
    }
  }
};

const Linear kLinear;

bool Linear::batch(Batch& b) const {
  const bool biased = b.count() > 2;
  if (!b.any_of({1, 2})) {
    std::vector<Tensor*> inputs = {&b.held(0), &b.held(1)};
    if (biased) inputs.push_back(&b.held(2));
    b.set_all(apply(*this, inputs, {}));
    return true;
  }
  // A weight for each sample: its rows are a matrix.
  Dims rows{b.has(0) ? b.size() : 1, -1, b.sizes(0).back()};
  if (b.sizes(0).back() == 0) return false;
  const TensorRef x = reshape(b.held(0), rows);
  TensorRef y = product(*x, false, b.held(1), true);
  if (biased) y = add(y, b.has(2) ? unsqueeze(b.held(2), 1) : TensorRef(&b.held(2)));
  Dims sizes = b.sizes(0);
  sizes[sizes.size() - 1] = y->sizes.back();
  sizes.insert(0, y->sizes[0]);
  y = view(*y, sizes);
  if (y->sizes[0] != b.size()) {
    sizes[0] = b.size();
    y = expand(*y, sizes);
  }
  b.set(0, y);
  return true;
}

}  // namespace

TensorRef linear(Tensor& x, Tensor& weight, Tensor* bias) {
  trace::reach({&x, &weight, bias});
  if (x.rank() >= 2 && weight.rank() == 2 && x.is_floating() && weight.dtype == x.dtype) {
    if (x.sizes.back() != weight.sizes[1])
      fail(ErrorKind::Shape, "[linear] expected last dimension ", weight.sizes[1], ", got input of shape ",
           x.sizes);
    if (!bias || (bias->dtype == x.dtype && bias->rank() == 1 && bias->sizes[0] == weight.sizes[0])) {
      Tensor* const inputs[] = {&x, &weight, bias};
      const std::span<Tensor* const> given(inputs, bias ? 3 : 2);
      if (transforms::level_of(given) > 0) return apply(kLinear, given, {});
      return record_result(kLinear, given, {}, Linear::value(x, weight, bias));
    }
  }
  TensorRef columns = weight.rank() == 2 ? transpose(weight, 0, 1) : TensorRef(&weight);
  TensorRef y = matmul(x, *columns);
  return bias ? add(*y, *bias) : y;
}

TensorRef matmul(Tensor& a, Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0)
    fail(ErrorKind::Shape, "[matmul] both arguments need at least one dimension, got ", a.sizes, " and ",
         b.sizes);
  if (a.dtype != b.dtype)
    fail(ErrorKind::DType, "[matmul] expected both inputs to have the same dtype, got ",
         versant::name(a.dtype), " and ", versant::name(b.dtype));
  if (a.dtype == DType::Bool) fail(ErrorKind::DType, "[matmul] not implemented for bool");
  if (a.sizes.back() != b.sizes[std::max(0, b.rank() - 2)])
    fail(ErrorKind::Shape, "[matmul] inner dimensions differ: ", a.sizes, " @ ", b.sizes);
  if (a.rank() >= 2 && b.rank() >= 2) {
    if (modes.transforming) {  // the error shows what the caller sees, without the samples
      Dims batch_a = a.sizes, batch_b = b.sizes;
      batch_a.resize(a.rank() - 2);
      batch_b.resize(b.rank() - 2);
      broadcast_sizes(batch_a, batch_b, "matmul");
    }
    return product(a, false, b, false);
  }
  // A vector is a matrix of one row, or of one column, for the time of the product.
  TensorRef left = a.rank() == 1 ? unsqueeze(a, 0) : TensorRef(&a);
  TensorRef right = b.rank() == 1 ? unsqueeze(b, 1) : TensorRef(&b);
  TensorRef result = product(*left, false, *right, false);
  Dims axes;
  if (a.rank() == 1) axes.push_back(-2);
  if (b.rank() == 1) axes.push_back(-1);
  return squeeze(*result, axes);
}

}  // namespace ops

namespace {
const Function kMatmul(
    "matmul", [](Args& a) { return Result(ops::matmul(a.tensor(0), a.tensor(1))); },
    [](std::span<Tensor* const> t) { return ops::matmul(*t[0], *t[1]); }, 2);
const Function kLinear(
    "linear", [](Args& a) { return Result(ops::linear(a.tensor(0), a.tensor(1), a.optional_tensor(2))); },
    [](std::span<Tensor* const> t) { return ops::linear(*t[0], *t[1], t.size() > 2 ? t[2] : nullptr); }, 2);
}  // namespace

}  // namespace versant
