// Where the largest and smallest elements are: max and min along an axis, argmax, argmin.
#include "machine/along.h"
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/reduce.h"
#include "machine/visit_dtype.h"
#include "machine/walk.h"

namespace versant::ops {

namespace {

constexpr int64_t kBlock = kReductionBlock;
constexpr int64_t kGroup = 64;            // lines taken together
constexpr int64_t kRows = 128;            // rows of columns taken together
constexpr int64_t kParallelWork = 16384;  // elements worth a second thread
constexpr int64_t kUnlockWork = 100000;   // ... worth giving the bookkeeping lock up
constexpr int64_t kFewColumns = 8;        // fewer columns are faster one by one

// Finds the first largest (smallest) element of every line of `x` along `axis`; NaN counts as larger
// (smaller) than any number. `at` is row-major over the other axes.
class Search {
 public:
  Search(const Array& x, int axis, bool largest, int64_t* at)
      : lines_(x, axis),
        starts_(lines_.starts),
        compute_(compute_of(x.dtype)),
        item_(item_bytes(compute_)),
        x_(x.as<char>()),
        x_item_(itemsize(x.dtype)),
        direct_(x.dtype == stored_dtype(compute_)),
        load_(kernels->load_of(x.dtype, compute_)),
        largest_(largest),
        best_(kernels->reduce_rows[static_cast<int>(largest ? Reduction::Max : Reduction::Min)]
                                  [static_cast<int>(compute_)]),
        find_(kernels->find[static_cast<int>(compute_)]),
        at_(at) {}

  void run() {
    const int64_t n = lines_.length;
    const bool columns =
        lines_.stride != 1 && starts_.inner_stride() == 1 && starts_.inner_size() >= kFewColumns;
    Unlocked unlocked(starts_.count * n >= kUnlockWork);
    parallel_for(starts_.count, std::max<int64_t>(1, kParallelWork / n), [&](int64_t begin, int64_t end) {
      starts_.runs(begin, end - begin, [&](int64_t offset, int64_t length, int64_t done) {
        for (int64_t g = 0; g < length; g += kGroup) {
          const char* from = x_ + (offset + g * starts_.inner_stride()) * x_item_;
          int64_t* to = at_ + begin + done + g;
          const int64_t width = std::min(kGroup, length - g);
          if (columns)
            search_columns(from, width, to);
          else if (direct_ && lines_.stride == 1 && n <= kBlock)
            search_rows(from, width, to);
          else
            for (int64_t j = 0; j < width; ++j)
              to[j] = search_line(from + j * starts_.inner_stride() * x_item_);
        }
      });
    });
  }

 private:
  void search_rows(const char* from, int64_t width, int64_t* to) const {
    alignas(64) char values[kGroup * 8];
    best_({values, from, starts_.inner_stride(), width, lines_.length, nullptr, 0});
    for (int64_t j = 0; j < width; ++j)
      to[j] = find_(from + j * starts_.inner_stride() * x_item_, lines_.length, values + j * item_);
  }

  // The best of each block; then where it is in the first block that has it.
  int64_t search_line(const char* from) const {
    alignas(64) char tile[kBlock * 8];
    double best = 0, value = 0;  // room for one number of any compute type
    int64_t best_block = 0;
    auto block = [&](int64_t begin, int64_t n) -> const void* {
      const char* at = from + begin * lines_.stride * x_item_;
      if (direct_ && lines_.stride == 1) return at;
      load_(tile, at, lines_.stride, n);
      return tile;
    };
    for (int64_t begin = 0; begin < lines_.length; begin += kBlock) {
      const int64_t n = std::min(kBlock, lines_.length - begin);
      best_({&value, block(begin, n), 0, 1, n, nullptr, 0});
      if (begin > 0 && !beyond(&value, &best)) continue;
      best = value;
      best_block = begin;
    }
    const int64_t n = std::min(kBlock, lines_.length - best_block);
    return best_block + find_(block(best_block, n), n, &best);
  }

  bool beyond(const void* value, const void* best) const {
    switch (compute_) {
      case Compute::F32:
        return beyond_typed<float>(value, best);
      case Compute::F64:
        return beyond_typed<double>(value, best);
      default:
        return beyond_typed<int64_t>(value, best);
    }
  }
  template <typename T>
  bool beyond_typed(const void* value, const void* best) const {
    const T v = *static_cast<const T*>(value), b = *static_cast<const T*>(best);
    if (v != v) return b == b;
    return largest_ ? v > b : v < b;
  }

  void search_columns(const char* from, int64_t width, int64_t* to) const {
    alignas(64) char best[kGroup * 8];
    alignas(64) char tile[kRows * kGroup * 8];
    const void* rows[kRows];
    const int64_t step = lines_.stride * x_item_;
    load_(best, from, 1, width);
    std::fill_n(to, width, 0);
    for (int64_t begin = 1; begin < lines_.length; begin += kRows) {
      const int64_t n = std::min(kRows, lines_.length - begin);
      for (int64_t r = 0; r < n; ++r) {
        rows[r] = from + (begin + r) * step;
        if (direct_) continue;
        load_(tile + r * width * item_, rows[r], 1, width);
        rows[r] = tile + r * width * item_;
      }
      kernels->arg_columns[largest_ ? 0 : 1][static_cast<int>(compute_)](
          {best, to, rows, 0, n, width, begin});
    }
  }

  const Lines lines_;
  const Walk& starts_;
  const Compute compute_;
  const int64_t item_;
  const char* x_;
  const int64_t x_item_;
  const bool direct_;
  const LoadKernel load_;
  const bool largest_;
  const ReduceRows best_;
  const FindKernel find_;
  int64_t* at_;
};

Dims without_axis(const Dims& sizes, int axis, bool keepdim) {
  Dims result = sizes;
  if (sizes.empty()) return result;
  if (keepdim)
    result[axis] = 1;
  else
    result.erase(axis);
  return result;
}

// `x` is held while the lock is given up.
Array search(const Array x, int axis, bool keepdim, bool largest) {
  Array at = Array::empty(without_axis(x.sizes, axis, keepdim), DType::Int64);
  if (at.numel > 0) Search(x, axis, largest, at.as<int64_t>()).run();
  return at;
}

template <typename T>
void pick(const Array& x, int axis, const int64_t* at, T* to) {
  const Lines lines(x, axis);
  for (int64_t line = 0; line < lines.starts.count; ++line)
    to[line] = x.as<T>()[lines.starts.offset(line) + at[line] * lines.stride];
}

// ints: axis, keepdim.
class Along : public Primitive {
 public:
  Along(const char* name, bool largest) : name_(name), largest_(largest) {}
  const char* name() const final { return name_; }
  bool admits(const Claim& c) const final {
    return c.counts(1, 2, 2) && c.is_axis(0, *c.in[0]) && !is_complex(c.in[0]->dtype) &&
           (c.in[0]->rank() == 0 || c.in[0]->sizes[static_cast<int>(c.attributes.ints[0])] > 0);
  }
  void run(Run& run) const final {
    const Array& x = *run.in[0];
    const int axis = static_cast<int>(run.attributes.ints[0]);
    const Array at = run.out[1] = search(x, axis, run.attributes.ints[1], largest_);
    const Array& out = run.out[0] = Array::empty(at.sizes, x.dtype);
    run.n_outputs = 2;
    if (out.numel == 0) return;
    visit_size(x.dtype, [&]<typename T>() { pick(x, axis, at.as<int64_t>(), out.as<T>()); });
  }
  Saves saves(const Attributes&, uint32_t) const final { return {.outputs = 2}; }
  void vjp(Vjp& vjp) const final {
    const Dims& sizes = vjp.input_sizes(0);
    const int axis = static_cast<int>(vjp.attributes().ints[0]);
    if (!vjp.grad()) return;
    if (sizes.empty()) return vjp.set(0, vjp.grad());
    TensorRef g = vjp.grad(), at = vjp.output(1);
    if (!vjp.attributes().ints[1]) {
      g = unsqueeze(*g, axis);
      at = unsqueeze(*at, axis);
    }
    vjp.set(0, put_along(*g, *at, axis, sizes[axis]));
  }

 private:
  const char* name_;
  bool largest_;
};

const Along kMaxDim("max", true), kMinDim("min", false);

void check_not_empty(const Tensor& x, int axis, const char* op) {
  if (x.rank() && x.sizes[axis] == 0)
    fail(ErrorKind::Index, "[", op, "] no element to choose from: axis ", axis, " of shape ", x.sizes,
         " has size 0");
}

Result along(const Along& primitive, Args& a) {
  Tensor& x = a.tensor(0);
  const int axis = wrap_axis(a.integer(1), x.rank(), primitive.name());
  check_not_empty(x, axis, primitive.name());
  Outputs out = apply(primitive, {&x}, {Dims{axis, a.flag(2)}, {}});
  return Result({std::move(out.tensor[0]), std::move(out.tensor[1])}, "values indices");
}

// Without an axis: over all elements in row-major order.
Result where_best(Args& a, bool largest) {
  Tensor& x = a.tensor(0);
  const bool keepdim = a.flag(2);
  const std::optional<int64_t> wanted = a.optional_integer(1);
  Array at;
  if (wanted) {
    const int axis = wrap_axis(*wanted, x.rank(), a.name());
    check_not_empty(x, axis, a.name());
    at = search(x, axis, keepdim, largest);
  } else {
    if (x.numel == 0)
      fail(ErrorKind::Index, "[", a.name(), "] no element to choose from: shape ", x.sizes, " is empty");
    const Array flat = x.to_contiguous();
    at = search(flat.view(Dims{x.numel}, Dims{1}), 0, false, largest);
    if (keepdim) at = at.view(Dims(x.rank(), 1), Dims(x.rank(), 1));
  }
  TensorRef result = Tensor::make(std::move(at));
  result->inference = modes.inference;
  return Result(std::move(result));
}

const Function kMaxFunction("max_dim", [](Args& a) { return along(kMaxDim, a); });
const Function kMinFunction("min_dim", [](Args& a) { return along(kMinDim, a); });
const Function kArgmaxFunction(
    "argmax", [](Args& a) { return where_best(a, true); }, Opaque{});
const Function kArgminFunction(
    "argmin", [](Args& a) { return where_best(a, false); }, Opaque{});

}  // namespace

}  // namespace versant::ops
