// Matrix products of tensors.
//
// Note [Bits of a product]
// Every element of a float32 or float64 product is one chain of fused multiply-adds in the order of k
// (kernels/gemm.cc). So it depends on its row of a and its column of b alone: not on the other rows of a
// batch, not on transposition or memory layout, not on how threads share the work.
#include "machine/matmul.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant {

namespace {

constexpr double kParallelWork = 3e5;  // multiply-adds from which threads share a product
constexpr double kUnlockedWork = 1e6;  // ... and from which it gives the lock up

// Vectors lie along n: a product with few columns is computed transposed.
void orient(Product& x) {
  if (x.n >= 8 || x.m <= x.n) return;
  std::swap(x.m, x.n);
  std::swap(x.a, x.b);
  std::swap(x.a_row, x.b_col);
  std::swap(x.a_col, x.b_row);
  std::swap(x.c_row, x.c_col);
}

// Cuts c into a grid of about `pieces` blocks of like shape.
struct Grid {
  int64_t rows, columns;  // of a block
  int64_t down, across;   // blocks
  Grid(const Product& x, int64_t pieces) {
    // Each block packs its part of b and reads its part of a: prefer squares, and whole panels of columns.
    int64_t best_across = 1;
    double best = INFINITY;
    for (int64_t cut = 1; cut <= pieces; ++cut) {
      if (pieces % cut) continue;
      const double cost = static_cast<double>(x.m) / static_cast<double>(pieces / cut) +
                          static_cast<double>(x.n) / static_cast<double>(cut);
      const bool narrow = cut > 1 && x.n / cut < 32, low = cut < pieces && x.m / (pieces / cut) < 4;
      if (!narrow && !low && cost < best) {
        best = cost;
        best_across = cut;
      }
    }
    const int64_t best_down = std::isinf(best) ? 1 : pieces / best_across;
    auto share = [](int64_t total, int64_t parts, int64_t step) {
      const int64_t steps = (total + step - 1) / step;
      return (steps + parts - 1) / parts * step;
    };
    rows = std::max<int64_t>(1, share(x.m, best_down, best_down > 1 ? 2 : 1));
    columns = std::max<int64_t>(1, share(x.n, best_across, 32));
    down = (x.m + rows - 1) / rows;
    across = (x.n + columns - 1) / columns;
  }
};

template <typename T>
Product part_of(const Product& x, int64_t i, int64_t m, int64_t j, int64_t n) {
  Product y = x;
  y.m = m;
  y.n = n;
  y.a = static_cast<const T*>(x.a) + i * x.a_row;
  y.b = static_cast<const T*>(x.b) + j * x.b_col;
  y.c = static_cast<T*>(x.c) + i * x.c_row + j * x.c_col;
  return y;
}

// A number of products of one shape; a, b and c of each lie at offsets in elements.
template <typename T>
void run_products(const Product& shape, std::span<const std::array<int64_t, 3>> offsets) {
  const ProductKernel kernel = std::is_same_v<T, float> ? kernels->product_f32 : kernels->product_f64;
  auto at = [&](Product x, size_t index) {
    x.a = static_cast<const T*>(x.a) + offsets[index][0];
    x.b = static_cast<const T*>(x.b) + offsets[index][1];
    x.c = static_cast<T*>(x.c) + offsets[index][2];
    orient(x);
    return x;
  };
  const auto count = static_cast<int64_t>(offsets.size());
  const double work = static_cast<double>(shape.m) * static_cast<double>(shape.n) *
                      static_cast<double>(std::max<int64_t>(shape.k, 1));
  const int64_t threads = num_threads();
  const bool shared = threads > 1 && work * static_cast<double>(count) >= kParallelWork;
  const Product first = at(shape, 0);
  const size_t each = (product_scratch(first.n, first.k, sizeof(T)) + 63) / 64 * 64;
  if (!shared) {
    Scratch scratch(each);
    for (size_t i = 0; i < offsets.size(); ++i) kernel(at(shape, i), scratch.data());
    return;
  }
  const Grid grid(first, count >= threads ? 1 : threads);
  const int64_t blocks = grid.down * grid.across, tasks = count * blocks;
  const int64_t lanes = std::min(threads, tasks), stretch = (tasks + lanes - 1) / lanes;
  Scratch scratch(each * static_cast<size_t>(lanes));
  Unlocked unlocked(work * static_cast<double>(count) >= kUnlockedWork);
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      for (int64_t task = lane * stretch; task < std::min(tasks, (lane + 1) * stretch); ++task) {
        const Product x = at(shape, static_cast<size_t>(task / blocks));
        const int64_t i = task % blocks / grid.across * grid.rows, j = task % grid.across * grid.columns;
        kernel(part_of<T>(x, i, std::min(grid.rows, x.m - i), j, std::min(grid.columns, x.n - j)),
               scratch.data() + static_cast<size_t>(lane) * each);
      }
    }
  });
}

// Integers: sums wrap.
template <typename T>
void integer_product(const Product& x, const std::array<int64_t, 3>& offset) {
  using Wrap = std::make_unsigned_t<T>;
  const T* a = static_cast<const T*>(x.a) + offset[0];
  const T* b = static_cast<const T*>(x.b) + offset[1];
  T* c = static_cast<T*>(x.c) + offset[2];
  for (int64_t i = 0; i < x.m; ++i) {
    T* row = c + i * x.c_row;
    for (int64_t j = 0; j < x.n; ++j) row[j * x.c_col] = 0;
    for (int64_t p = 0; p < x.k; ++p) {
      const auto factor = static_cast<Wrap>(a[i * x.a_row + p * x.a_col]);
      const T* line = b + p * x.b_row;
      if (x.b_col == 1 && x.c_col == 1) {
        for (int64_t j = 0; j < x.n; ++j)
          row[j] = static_cast<T>(static_cast<Wrap>(row[j]) +
                                  static_cast<Wrap>(factor * static_cast<Wrap>(line[j])));
      } else {
        for (int64_t j = 0; j < x.n; ++j)
          row[j * x.c_col] = static_cast<T>(static_cast<Wrap>(row[j * x.c_col]) +
                                            static_cast<Wrap>(factor * static_cast<Wrap>(line[j * x.b_col])));
      }
    }
  }
}

template <typename T>
void run_integer_products(const Product& shape, std::span<const std::array<int64_t, 3>> offsets) {
  const double work =
      static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
  const auto count = static_cast<int64_t>(offsets.size());
  const int64_t tasks = count * shape.m;
  const auto grain = static_cast<int64_t>(std::max(
      1.0, kParallelWork / std::max(1.0, work / static_cast<double>(std::max<int64_t>(shape.m, 1)))));
  Unlocked unlocked(work * static_cast<double>(count) >= kUnlockedWork);
  parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t i = task % shape.m;
      integer_product<T>(part_of<T>(shape, i, 1, 0, shape.n), offsets[static_cast<size_t>(task / shape.m)]);
    }
  });
}

void run_any(DType dtype, const Product& shape, std::span<const std::array<int64_t, 3>> offsets) {
  switch (dtype) {
    case DType::Float32:
      return run_products<float>(shape, offsets);
    case DType::Float64:
      return run_products<double>(shape, offsets);
    case DType::UInt8:
      return run_integer_products<uint8_t>(shape, offsets);
    case DType::Int8:
      return run_integer_products<int8_t>(shape, offsets);
    case DType::Int16:
      return run_integer_products<int16_t>(shape, offsets);
    case DType::Int32:
      return run_integer_products<int32_t>(shape, offsets);
    case DType::Int64:
      return run_integer_products<int64_t>(shape, offsets);
    default:
      fail(ErrorKind::DType, "[matmul] not implemented for ", versant::name(dtype));
  }
}

// The leading axes of `x` as one axis over its rows: the stride of that axis, or -1 when they do not nest.
int64_t folded_stride(const Array& x) {
  const int rank = x.rank();
  int64_t stride = x.strides[rank - 2], run = x.sizes[rank - 2];
  for (int d = rank - 3; d >= 0; --d) {
    if (x.sizes[d] == 1) continue;
    if (run == 1)
      stride = x.strides[d];
    else if (x.strides[d] != stride * run)
      return -1;
    run *= x.sizes[d];
  }
  return stride;
}

}  // namespace

void multiply(const Array& a_in, bool a_turned, const Array& b_in, bool b_turned, const Array& c) {
  const bool half = c.dtype == DType::Float16 || c.dtype == DType::BFloat16;
  const Array a = half ? a_in.to_dtype(DType::Float32) : a_in;
  const Array b = half ? b_in.to_dtype(DType::Float32) : b_in;
  const Array wide = half ? Array::empty(c.sizes, DType::Float32) : c;
  const int ra = a.rank(), rb = b.rank(), rc = c.rank();
  Product x;
  x.m = wide.sizes[rc - 2];
  x.n = wide.sizes[rc - 1];
  x.k = a.sizes[a_turned ? ra - 2 : ra - 1];
  x.a = a.data;
  x.b = b.data;
  x.c = wide.data;
  x.a_row = a.strides[a_turned ? ra - 1 : ra - 2];
  x.a_col = a.strides[a_turned ? ra - 2 : ra - 1];
  x.b_row = b.strides[b_turned ? rb - 1 : rb - 2];
  x.b_col = b.strides[b_turned ? rb - 2 : rb - 1];
  x.c_row = wide.strides[rc - 2];
  x.c_col = wide.strides[rc - 1];
  if (wide.numel > 0) {
    const std::array<int64_t, 3> none{};
    const int64_t folded = rc > 2 && rb == 2 && !a_turned ? folded_stride(a) : -1;
    const int64_t c_folded = folded >= 0 ? folded_stride(wide) : -1;
    if (rc == 2) {
      run_any(wide.dtype, x, {&none, 1});
    } else if (folded >= 0 && c_folded >= 0) {
      x.m = wide.numel / x.n;
      x.a_row = folded;
      x.c_row = c_folded;
      run_any(wide.dtype, x, {&none, 1});
    } else {
      Dims batch(rc - 2);
      int64_t count = 1;
      for (int d = 0; d < rc - 2; ++d) count *= batch[d] = wide.sizes[d];
      auto steps = [&](const Array& array) {
        Dims sizes(array.rank() - 2), strides(array.rank() - 2);
        for (int d = 0; d < sizes.size(); ++d) {
          sizes[d] = array.sizes[d];
          strides[d] = array.strides[d];
        }
        return broadcast_strides(sizes, strides, batch);
      };
      const Dims step[3] = {steps(a), steps(b), steps(wide)};
      std::vector<std::array<int64_t, 3>> offsets(static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) {
        int64_t left = i;
        for (int d = rc - 3; d >= 0; --d) {
          const int64_t at = left % batch[d];
          left /= batch[d];
          for (int which = 0; which < 3; ++which)
            offsets[static_cast<size_t>(i)][which] += at * step[which][d];
        }
      }
      run_any(wide.dtype, x, offsets);
    }
  }
  if (half) copy_into(c, wide);
}

namespace ops {
namespace {

// op(a) @ op(b) over at least two axes, leading ones broadcast. ints: whether a and b are read with their
// last two axes exchanged.
struct MatMul final : Primitive {
  const char* name() const override { return "matmul"; }
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
    multiply(a, ta, b, tb, run.out[0]);
  }
  Saves saves(const Attributes&, uint32_t needing) const override {
    return {(needing & 1 ? 2u : 0u) | (needing & 2 ? 1u : 0u), 0};
  }
  void vjp(Vjp& vjp) const override;
};

const MatMul kMatMul;

TensorRef product(Tensor& a, bool ta, Tensor& b, bool tb) {
  return apply(kMatMul, {&a, &b}, {Dims{ta, tb}, {}});
}

// [..., m, k] as [rows, k].
TensorRef flatten_rows(Tensor& x) { return reshape(x, Dims{-1, x.sizes.back()}); }

void MatMul::vjp(Vjp& vjp) const {
  const bool ta = vjp.attributes().ints[0] != 0, tb = vjp.attributes().ints[1] != 0;
  Tensor& g = *vjp.grad();
  if (vjp.needs(0)) {
    TensorRef b = vjp.input(1);
    vjp.set(0, ta ? product(*b, tb, g, true) : product(g, false, *b, !tb));
  }
  if (vjp.needs(1)) {
    TensorRef a = vjp.input(0);
    // Rows of a batch that one matrix b serves are summed inside one product.
    if (vjp.input_sizes(1).size() == 2 && !ta && g.rank() > 2 && g.numel > 0 && a->rank() == g.rank()) {
      TensorRef rows = flatten_rows(*a), grads = flatten_rows(g);
      vjp.set(1, tb ? product(*grads, true, *rows, false) : product(*rows, true, *grads, false));
    } else {
      vjp.set(1, tb ? product(g, true, *a, ta) : product(*a, !ta, g, false));
    }
  }
}

}  // namespace

TensorRef matmul(Tensor& a, Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0)
    fail(ErrorKind::Shape, "[matmul] both arguments need at least one dimension, got ", a.sizes, " and ",
         b.sizes);
  if (a.dtype != b.dtype)
    fail(ErrorKind::DType, "[matmul] expected both inputs to have the same dtype, got ",
         versant::name(a.dtype), " and ", versant::name(b.dtype));
  if (a.dtype == DType::Bool) fail(ErrorKind::DType, "[matmul] not implemented for bool");
  if (a.rank() >= 2 && b.rank() >= 2) return product(a, false, b, false);
  if (a.sizes.back() != b.sizes[std::max(0, b.rank() - 2)])
    fail(ErrorKind::Shape, "[matmul] inner dimensions differ: ", a.sizes, " @ ", b.sizes);
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
const Function kMatmul("matmul", [](Args& a) { return Result(ops::matmul(a.tensor(0), a.tensor(1))); });
}  // namespace

}  // namespace versant
