// Sorted values: where others belong among them, and the distinct ones of a tensor.
#include <algorithm>

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

DType arithmetic(DType dtype) { return is_half(dtype) ? DType::Float32 : dtype; }

// NaN comes after every number.
template <typename T>
bool comes_before(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a < b || (b != b && a == a);
  return a < b;
}

// Inputs: sorted [..., n], values [..., m] (or [n] and any shape), of one dtype. ints: 1 to stand behind
// equal ones.
struct Searchsorted final : Primitive {
  const char* name() const override { return "searchsorted"; }
  bool batch(Batch& b) const override {
    if (b.has(0) && b.rank(0) != b.rank(1)) return false;
    if (b.has(0)) return b.leading();
    b.set_all(apply(*this, {&b.held(0), &b.whole(1)}, b.attributes()));
    return b.rank(0) == 1;
  }
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
  bool admits(const Claim& c) const override {
    if (!c.counts(2, 1, 1) || c.in[0]->dtype != c.in[1]->dtype || is_complex(c.in[0]->dtype)) return false;
    const Dims &sorted = c.in[0]->sizes, &values = c.in[1]->sizes;
    if (sorted.size() == 1) return true;
    if (sorted.empty() || values.size() != sorted.size()) return false;
    return std::equal(sorted.begin(), sorted.end() - 1, values.begin());
  }
  void run(Run& run) const override {
    const DType dtype = arithmetic(run.in[0]->dtype);
    const Array sorted = run.in[0]->to_dtype(dtype).to_contiguous();
    const Array values = run.in[1]->to_dtype(dtype).to_contiguous();
    run.out[0] = Array::empty(values.sizes, DType::Int64);
    const bool behind = run.attributes.ints[0];
    const int64_t n = sorted.sizes.back();
    const int64_t per_row = sorted.rank() == 1 ? values.numel : values.sizes.back();
    visit_number(dtype, [&]<typename T>() {
      const T *table = sorted.as<T>(), *wanted = values.as<T>();
      auto* out = run.out[0].as<int64_t>();
      Unlocked unlocked(values.numel * 16 >= kUnlockBytes);
      parallel_for(values.numel, kParallelBytes / 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const T* row = table + i / per_row * n;
          out[i] = (behind ? std::upper_bound(row, row + n, wanted[i], comes_before<T>)
                           : std::lower_bound(row, row + n, wanted[i], comes_before<T>)) -
                   row;
        }
      });
    });
  }
};

// Every NaN counts as a value of its own.
struct Unique final : Primitive {
  const char* name() const override { return "unique"; }
  bool sized() const override { return true; }
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
  bool admits(const Claim& c) const override {
    return c.counts(1, 1, 0) && !is_complex(c.in[0]->dtype) && c.out[0]->dtype == c.in[0]->dtype &&
           c.out[0]->rank() == 1 && c.out[0]->contiguous;
  }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const DType dtype = arithmetic(x.dtype);
    Array sorted = Array::empty(Dims{x.numel}, dtype);
    copy_into(sorted.view(x.sizes, contiguous_strides(x.sizes)), x);
    const int64_t count = visit_number(dtype, [&]<typename T>() {
      Unlocked unlocked(sorted.bytes() >= kUnlockBytes);
      T* values = sorted.as<T>();
      std::sort(values, values + x.numel, comes_before<T>);
      return std::unique(values, values + x.numel) - values;
    });
    run.out[0] = Array::empty(Dims{count}, x.dtype);
    copy_into(run.out[0], sorted.view(Dims{count}, Dims{1}));
  }
};

const Searchsorted kSearchsorted;
const Unique kUnique;

}  // namespace

namespace ops {

TensorRef searchsorted(Tensor& sorted, Tensor& values, bool right) {
  bool fits = sorted.rank() >= 1;
  if (fits && sorted.rank() > 1) {
    fits = values.rank() == sorted.rank();
    for (int d = 0; fits && d < sorted.rank() - 1; ++d) fits = values.sizes[d] == sorted.sizes[d];
  }
  if (!fits)
    fail(ErrorKind::Shape,
         "[searchsorted] the sorted tensor must be a vector or agree with the values in all "
         "dimensions but the last, got shapes ",
         sorted.sizes, " and ", values.sizes);
  Promotion promotion;
  promotion.add(sorted.dtype, 1);
  promotion.add(values.dtype, values.rank());
  TensorRef table = cast(sorted, promotion.result()), wanted = cast(values, promotion.result());
  return apply(kSearchsorted, {table.get(), wanted.get()}, {Dims{right}, {}});
}

TensorRef unique(Tensor& x) { return apply(kUnique, {&x}); }

}  // namespace ops

namespace {
const Function kFunctions[] = {
    {"searchsorted", [](Args& a) { return Result(ops::searchsorted(a.tensor(0), a.tensor(1), a.flag(2))); }},
    {"unique", [](Args& a) { return Result(ops::unique(a.tensor(0))); }},
};
}  // namespace

}  // namespace versant
