// Note [Bits of a product]
// Every element of a float32 or float64 product is one chain of fused multiply-adds in the order of k
// (kernels/gemm.cc); one of bfloat16 sums two or 32 steps of k after the other (gemm_bf16.cc,
// gemm_bf16_tiles.cc). So it depends on its row of a and its column of b alone: not on the other rows of a
// batch, not on transposition or memory layout, not on how threads share the work.
#include "machine/matmul.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "machine/complex.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/scratch.h"
#include "machine/trace.h"
#include "machine/watch.h"

namespace versant {

namespace {

constexpr double kParallelWork = 3e5;  // multiply-adds from which threads share a product
constexpr double kUnlockedWork = 1e6;  // ... and from which it gives the lock up
constexpr int64_t kJoinedBias = 8;     // columns: narrower products are computed transposed

// Vectors lie along n: a product with few columns is computed transposed.
void orient(Product& x) {
  if (x.n >= 8 || x.m <= x.n || x.bias) return;
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
    // Each block packs its part of b once and its part of a for every so many columns: prefer what packs
    // least, and whole panels of columns.
    constexpr double columns_of_a_pass = kProductColumnBytes / 4.0;
    int64_t best_across = 1;
    double best = INFINITY;
    for (int64_t cut = 1; cut <= pieces; ++cut) {
      if (pieces % cut) continue;
      const double wide = static_cast<double>(x.n) / static_cast<double>(cut);
      const double cost =
          static_cast<double>(x.m) / static_cast<double>(pieces / cut) * std::ceil(wide / columns_of_a_pass) +
          wide;
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
  constexpr int64_t bias_bytes = sizeof(T) == 2 ? sizeof(float) : sizeof(T);
  if (x.bias) y.bias = static_cast<const char*>(x.bias) + j * bias_bytes;
  return y;
}

// A number of products of one shape; a, b and c of each lie at offsets in elements.
template <typename T>
void run_products(const Product& shape, std::span<const std::array<int64_t, 3>> offsets,
                  watch::Looks* looks = nullptr) {
  constexpr bool halves = std::is_same_v<T, BFloat16>;
  const bool tiles = halves && kernels->product_bf16_tiles;
  const ProductKernel kernel = tiles                      ? kernels->product_bf16_tiles
                               : halves                   ? kernels->product_bf16
                               : std::is_same_v<T, float> ? kernels->product_f32
                                                          : kernels->product_f64;
  auto at = [&](Product x, size_t index) {
    x.a = static_cast<const T*>(x.a) + offsets[index][0];
    x.b = static_cast<const T*>(x.b) + offsets[index][1];
    x.c = static_cast<T*>(x.c) + offsets[index][2];
    orient(x);
    return x;
  };
  const auto run = [&](Product x, void* scratch) {
    uint64_t largest = 0;
    if (looks) x.largest = &largest;
    kernel(x, scratch);
    if (looks) looks->saw(0, largest);
  };
  const auto count = static_cast<int64_t>(offsets.size());
  const double work = static_cast<double>(shape.m) * static_cast<double>(shape.n) *
                      static_cast<double>(std::max<int64_t>(shape.k, 1));
  const int64_t threads = num_threads();
  const bool shared = threads > 1 && work * static_cast<double>(count) >= kParallelWork;
  const Product first = at(shape, 0);
  const size_t bytes = tiles    ? tile_scratch(first.m, first.n, first.k)
                       : halves ? pair_scratch(first.m, first.n, first.k)
                                : product_scratch(first.m, first.n, first.k, sizeof(T));
  const size_t each = (bytes + 63) / 64 * 64;
  if (!shared) {
    Scratch scratch(each);
    for (size_t i = 0; i < offsets.size(); ++i) run(at(shape, i), scratch.data());
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
        run(part_of<T>(x, i, std::min(grid.rows, x.m - i), j, std::min(grid.columns, x.n - j)),
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

void run_any(DType dtype, const Product& shape, std::span<const std::array<int64_t, 3>> offsets,
             watch::Looks* looks) {
  switch (dtype) {
    case DType::Float32:
      return run_products<float>(shape, offsets, looks);
    case DType::Float64:
      return run_products<double>(shape, offsets, looks);
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
    case DType::BFloat16:
      return run_products<BFloat16>(shape, offsets);
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

void run_batch(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
               const void* bias = nullptr, bool add = false) {
  const int ra = a.rank(), rb = b.rank(), rc = c.rank();
  Product x;
  x.m = c.sizes[rc - 2];
  x.n = c.sizes[rc - 1];
  x.k = a.sizes[a_turned ? ra - 2 : ra - 1];
  x.a = a.data;
  x.b = b.data;
  x.c = c.data;
  x.a_row = a.strides[a_turned ? ra - 1 : ra - 2];
  x.a_col = a.strides[a_turned ? ra - 2 : ra - 1];
  x.b_row = b.strides[b_turned ? rb - 1 : rb - 2];
  x.b_col = b.strides[b_turned ? rb - 2 : rb - 1];
  x.c_row = c.strides[rc - 2];
  x.c_col = c.strides[rc - 1];
  x.bias = bias;
  x.add = add;
  const bool plain = c.dtype == DType::Float32 || c.dtype == DType::Float64;
  watch::Looks* looks = std::exchange(watch::asked, nullptr);
  const Array* const outputs[] = {&c};
  if (looks && !(plain && looks->begin(outputs))) looks = nullptr;
  const std::array<int64_t, 3> none{};
  if (rc == 2) return run_any(c.dtype, x, {&none, 1}, looks);
  if (rb == 2 && !a_turned) {
    const int64_t a_folded = folded_stride(a), c_folded = folded_stride(c);
    if (a_folded >= 0 && c_folded >= 0) {
      x.m = c.numel / x.n;
      x.a_row = a_folded;
      x.c_row = c_folded;
      return run_any(c.dtype, x, {&none, 1}, looks);
    }
  }
  Dims batch(rc - 2);
  int64_t count = 1;
  for (int d = 0; d < rc - 2; ++d) count *= batch[d] = c.sizes[d];
  auto steps = [&](const Array& array) {
    Dims sizes(array.rank() - 2), strides(array.rank() - 2);
    for (int d = 0; d < sizes.size(); ++d) {
      sizes[d] = array.sizes[d];
      strides[d] = array.strides[d];
    }
    return broadcast_strides(sizes, strides, batch);
  };
  const Dims step[3] = {steps(a), steps(b), steps(c)};
  std::vector<std::array<int64_t, 3>> offsets(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    int64_t left = i;
    for (int d = rc - 3; d >= 0; --d) {
      const int64_t at = left % batch[d];
      left /= batch[d];
      for (int which = 0; which < 3; ++which) offsets[static_cast<size_t>(i)][which] += at * step[which][d];
    }
  }
  run_any(c.dtype, x, offsets, looks);
}

// y[..., j] += bias[j]; y is contiguous.
void add_to_rows(const Array& y, const Array& bias) {
  const Array shift = bias.to_contiguous();
  const MicroKernel add =
      kernels->micro_of(Micro::Add, y.dtype == DType::Float64 ? Compute::F64 : Compute::F32);
  const int64_t width = y.sizes[y.rank() - 1], rows = width ? y.numel / width : 0;
  const auto bytes = width * static_cast<int64_t>(itemsize(y.dtype));
  parallel_for(rows, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, width)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) {
                   char* const row = y.as<char>() + r * bytes;
                   add(row, row, shift.data, nullptr, width);
                 }
               });
}

// Four real products.
void multiply_complex(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c) {
  const Array ar = part_of(a, 0).to_contiguous(), ai = part_of(a, 1).to_contiguous();
  const Array br = part_of(b, 0).to_contiguous(), bi = part_of(b, 1).to_contiguous();
  const DType real = ar.dtype;
  const Array first = Array::empty(c.sizes, real), second = Array::empty(c.sizes, real);
  const auto join = [&](Micro micro, int part) {
    kernels->micro_of(micro, real == DType::Float32 ? Compute::F32 : Compute::F64)(
        first.data, first.data, second.data, nullptr, first.numel);
    copy_into(part_of(c, part), first);
  };
  run_batch(ar, a_turned, br, b_turned, first);
  run_batch(ai, a_turned, bi, b_turned, second);
  join(Micro::Sub, 0);
  run_batch(ar, a_turned, bi, b_turned, first);
  run_batch(ai, a_turned, br, b_turned, second);
  join(Micro::Add, 1);
}

[[gnu::noinline]] void multiply_observed(const Array& a, bool a_turned, const Array& b, bool b_turned,
                                         const Array& c, const Array* bias, bool add) {
  const auto run = [&] { multiply(a, a_turned, b, b_turned, c, bias, add); };
  if (modes.tracing) {
    {
      const trace::Quiet quiet;
      run();
    }
    return trace::recorder->multiply(a, a_turned, b, b_turned, c, bias, add);
  }
  if (!modes.watching) return;  // dry
  const Operand in[] = {{&a, {}}, {&b, {}}, {bias, {}}};
  const Array* const out[] = {&c};
  watch::around("matmul", {in, bias ? 3u : 2u}, out, run, nullptr, true);
}

}  // namespace

void multiply(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c, const Array* bias,
              bool add) {
  if (c.numel == 0) return;
  if (modes.tracing | modes.watching | modes.dry) [[unlikely]]
    return multiply_observed(a, a_turned, b, b_turned, c, bias, add);
  if (add) return run_batch(a, a_turned, b, b_turned, c, nullptr, true);
  if (is_complex(c.dtype)) return multiply_complex(a, a_turned, b, b_turned, c);
  if (c.dtype == DType::BFloat16 && a.numel > 0) {
    Array wide;
    if (bias) {
      // Kernels read whole vectors of it.
      wide = Array::empty(Dims{bias->numel + 128}, DType::Float32);
      std::fill_n(wide.as<float>(), wide.numel, 0.0f);
      copy_into(wide.view(Dims{bias->numel}, Dims{1}), *bias);
    }
    const float* const row = bias ? wide.as<float>() : nullptr;
    run_batch(a, a_turned, b, b_turned, c, row);
  } else if (c.dtype == DType::Float16 || c.dtype == DType::BFloat16) {
    const Array wide = Array::empty(c.sizes, DType::Float32);
    run_batch(a.to_dtype(DType::Float32), a_turned, b.to_dtype(DType::Float32), b_turned, wide);
    if (bias) add_to_rows(wide, bias->to_dtype(DType::Float32));
    copy_into(c, wide);
  } else {
    // Products with few columns are computed transposed.
    const bool joins = bias && is_floating(c.dtype) && bias->contiguous && bias->numel >= kJoinedBias;
    const watch::Asked ask(bias && !joins ? nullptr : watch::asked);
    run_batch(a, a_turned, b, b_turned, c, joins ? bias->data : nullptr);
    if (bias && !joins) add_to_rows(c, *bias);
  }
}

void multiply_rows(const Array& a, bool a_turned, const Array& b, bool b_turned, const Array& c,
                   const Array* bias, bool add, int64_t begin, int64_t end, void* scratch) {
  const bool wide = c.dtype == DType::Float64;
  const auto item = static_cast<int64_t>(itemsize(c.dtype));
  const auto pitch = [](const Array& x) {
    const int rank = x.rank();
    return rank == 2 ? x.strides[0] : x.sizes[rank - 1];
  };
  const int last_a = a.rank() - 1, last_c = c.rank() - 1;
  Product x;
  x.m = end - begin;
  x.n = c.sizes[last_c];
  x.k = a.sizes[a_turned ? 0 : last_a];
  x.a_row = a_turned ? a.strides[1] : pitch(a);
  x.a_col = a_turned ? a.strides[0] : a.strides[last_a];
  x.b_row = b.strides[b_turned ? 1 : 0];
  x.b_col = b.strides[b_turned ? 0 : 1];
  x.c_row = pitch(c);
  x.c_col = c.strides[last_c];
  x.a = a.as<char>() + begin * x.a_row * item;
  x.b = b.data;
  char* const rows = c.as<char>() + begin * x.c_row * item;
  x.c = rows;
  x.add = add;
  const bool joins = bias && bias->numel >= kJoinedBias;
  if (joins) x.bias = bias->data;
  orient(x);
  (wide ? kernels->product_f64 : kernels->product_f32)(x, scratch);
  if (!bias || joins) return;
  const MicroKernel plus = kernels->micro_of(Micro::Add, wide ? Compute::F64 : Compute::F32);
  for (int64_t r = 0; r < end - begin; ++r) {
    char* const row = rows + r * pitch(c) * item;
    plus(row, row, bias->data, nullptr, c.sizes[last_c]);
  }
}

size_t multiply_rows_scratch(int64_t rows, int64_t columns, int64_t depth, size_t itemsize) {
  return std::max(product_scratch(rows, columns, depth, itemsize),
                  product_scratch(columns, rows, depth, itemsize));
}

}  // namespace versant
