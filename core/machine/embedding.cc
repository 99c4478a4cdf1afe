// Rows of a table by number, and the sum of gradients for each row.
#include <cstring>

#include "machine/call.h"
#include "machine/element_copy.h"
#include "machine/index_checks.h"
#include "machine/index_rows.h"
#include "machine/ops.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

constexpr IndexPlace kRows[] = {{0, 1}};

// Inputs: weight [rows, width], positions. ints: padding (-1: none), whether its rows come out as zeros.
struct Embedding final : Primitive {
  const char* name() const override { return "embedding"; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override { return c.counts(2, 1, 2) && c.in[0]->rank() == 2; }
  void run(Run& run) const override {
    const Array& weight = *run.in[0];
    const Array positions = as_positions(name(), *run.in[1]);
    const Array* indices[] = {&positions};
    const IndexPlan plan(name(), weight, indices, kRows, false);
    run.out[0] = Array::empty(plan.result, weight.dtype);
    take_rows(plan, weight, run.out[0]);
    if (!run.attributes.ints[1]) return;
    const int64_t padding = run.attributes.ints[0], row = weight.sizes[1] * itemsize(weight.dtype);
    const Array flat = positions.to_contiguous();
    for (int64_t i = 0; i < flat.numel; ++i)
      if (flat.as<int64_t>()[i] == padding) std::memset(run.out[0].as<char>() + i * row, 0, row);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0b10}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: gradient of the result, positions. ints: padding, rows of the table.
struct EmbeddingBackward final : Primitive {
  const char* name() const override { return "embedding_backward"; }
  bool batch(Batch& b) const override;
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    if (!c.counts(2, 1, 2) || c.in[0]->rank() < 1 || is_complex(c.in[0]->dtype)) return false;
    Dims sizes = c.in[1]->sizes;
    sizes.push_back(c.in[0]->sizes.back());
    return sizes == c.in[0]->sizes && c.within(1, 0, INT32_MAX) && c.within(0, -1, c.attributes.ints[1] - 1);
  }
  void run(Run& run) const override {
    const Array& grad = *run.in[0];
    const Array positions = as_positions(name(), *run.in[1]);
    const int64_t padding = run.attributes.ints[0];
    const Dims sizes{run.attributes.ints[1], grad.sizes.back()};
    // Sums of float16 and bfloat16 are rounded once, at the end.
    const DType compute = is_half(grad.dtype) ? DType::Float32 : grad.dtype;
    Array sums = Array::empty(sizes, compute);
    zero_bytes(sums);
    const Array* indices[] = {&positions};
    put_rows(IndexPlan(name(), sums, indices, kRows, false), sums, grad.to_dtype(compute), Put::Add, name());
    const int64_t row = sizes[1] * static_cast<int64_t>(itemsize(compute));
    if (padding >= 0) std::memset(sums.as<char>() + padding * row, 0, row);
    run.out[0] = sums.to_dtype(grad.dtype);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0b10}; }
  void vjp(Vjp& vjp) const override;
};

const Embedding kEmbedding;
const EmbeddingBackward kEmbeddingBackward;

// Positions in the tables of all samples, one below the other.
TensorRef in_all_tables(Batch& b, int64_t rows) {
  const TensorRef first =
      ops::arange(Scalar::of_int(0), Scalar::of_int(b.size()), Scalar::of_int(1), DType::Int64);
  Dims sizes(b.rank(1) + 1, 1);
  sizes[0] = b.size();
  return ops::add(b.held(1), ops::mul(ops::view(*first, sizes), Scalar::of_int(rows)));
}

bool Embedding::batch(Batch& b) const {
  if (!b.has(0)) {
    b.set_all(apply(*this, {&b.held(0), &b.held(1)}, b.attributes()));
    return true;
  }
  if (b.attributes().ints[0] >= 0) return false;
  const TensorRef weight = b.folded(0), positions = in_all_tables(b, b.sizes(0)[0]);
  b.set_all(apply(*this, {weight.get(), positions.get()}, b.attributes()));
  return true;
}

bool EmbeddingBackward::batch(Batch& b) const {
  if (b.attributes().ints[0] >= 0) return false;
  Attributes a = b.attributes();
  const TensorRef positions = in_all_tables(b, a.ints[1]);
  Dims sizes = positions->sizes;
  sizes[0] = b.size();
  const TensorRef everywhere = ops::expand(*positions, sizes);
  a.ints[1] *= b.size();
  const Outputs weight = apply(*this, {&b.whole(0), everywhere.get()}, a);
  b.set(0, b.unfolded(*weight.tensor[0]));
  return true;
}

void Embedding::vjp(Vjp& vjp) const {
  TensorRef positions = vjp.input(1);
  vjp.set(0, apply(kEmbeddingBackward, {vjp.grad().get(), positions.get()},
                   {Dims{vjp.attributes().ints[0], vjp.input_sizes(0)[0]}, {}}));
}

void EmbeddingBackward::vjp(Vjp& vjp) const {
  TensorRef positions = vjp.input(1);
  const int64_t padding = vjp.attributes().ints[0];
  vjp.set(0, apply(kEmbedding, {vjp.grad().get(), positions.get()}, {Dims{padding, padding >= 0}, {}}));
}

}  // namespace

namespace ops {

TensorRef embedding(Tensor& weight, Tensor& indices, int64_t padding) {
  if (weight.rank() != 2)
    fail(ErrorKind::Shape, "[embedding] the weight must have 2 dimensions, got shape ", weight.sizes);
  check_index_dtype("embedding", indices.dtype);
  const int64_t rows = weight.sizes[0];
  if (padding < -1 || padding >= rows)
    fail(ErrorKind::Index, "[embedding] padding_idx ", padding, " is out of bounds for ", rows, " rows");
  return apply(kEmbedding, {&weight, &indices}, {Dims{padding, false}, {}});
}

}  // namespace ops

namespace {
const Function kFunction("embedding", [](Args& a) {
  return Result(ops::embedding(a.tensor(0), a.tensor(1), a.integer(2)));
});
}  // namespace

}  // namespace versant
