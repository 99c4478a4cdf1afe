// Running reductions: finds the cheapest way to feed the block kernels, and joins blocks.
#include <bit>
#include <memory>

#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/reduce.h"
#include "machine/reduce_tree.h"
#include "machine/walk.h"

namespace versant {

namespace {

constexpr int64_t kBlock = kReductionBlock;
constexpr int64_t kStrip = 256;           // columns taken together
constexpr int64_t kParallelWork = 32768;  // elements worth a second thread
constexpr int64_t kUnlockWork = 200000;   // ... worth giving the bookkeeping lock up
constexpr int64_t kTaskWork = 65536;      // elements of one task, about
constexpr int64_t kFewRows = 8;           // this many elements a result are faster column by column
constexpr int64_t kFewColumns = 8;        // fewer columns are faster one by one

int64_t blocks_of(int64_t count) { return (count + kBlock - 1) / kBlock; }

// How one array is reduced into a row-major buffer of the compute type.
class Plan {
 public:
  Plan(const Reducer& reducer, const Array& x, Axes axes, char* results)
      : reducer_(reducer),
        item_(item_bytes(reducer.compute)),
        x_(x.as<char>()),
        x_item_(itemsize(x.dtype)),
        direct_(x.dtype == stored_dtype(reducer.compute)),
        load_(kernels->load_of(x.dtype, reducer.compute)),
        results_(results) {
    for (int d = 0; d < x.rank(); ++d) (axes.reduced(d) ? reduced_ : kept_).add(x.sizes[d], x.strides[d]);
    reduced_.finish();
    kept_.finish();
    const bool contiguous_rows = reduced_.rank == 1 && reduced_.strides[0] == 1 && direct_;
    const bool contiguous_columns = kept_.inner_stride() == 1 && reduced_.inner_stride() != 1;
    gapless_ =
        contiguous_columns && reduced_.rank == 1 && reduced_.strides[0] == kept_.inner_size() && direct_;
    if (gapless_ || (kept_.inner_size() >= kFewColumns && (contiguous_columns || reduced_.count <= kFewRows)))
      way_ = Way::Columns;
    else
      way_ = contiguous_rows ? Way::Rows : Way::Gathered;
    loads_ = way_ == Way::Columns && !(direct_ && kept_.inner_stride() == 1);
  }

  void run() {
    const int64_t numel = kept_.count * reduced_.count;
    Unlocked unlocked(numel >= kUnlockWork);
    const int64_t n_blocks = blocks_of(reduced_.count);
    if (n_blocks == 1 && way_ == Way::Rows) return short_rows();

    // Columns are taken in strips; otherwise results are taken one by one.
    const int64_t inner = way_ == Way::Columns ? kept_.inner_size() : 1;
    const int64_t strip = std::min(kStrip, inner);
    const int64_t strips = (inner + strip - 1) / strip, groups = kept_.count / inner * strips;
    const int64_t per_task =
        std::bit_floor(static_cast<uint64_t>(std::clamp<int64_t>(kTaskWork / kBlock / strip, 1, n_blocks)));
    const int64_t tasks = (n_blocks + per_task - 1) / per_task;
    // With several tasks a result, their partial results: [tasks, results].
    std::unique_ptr<char[]> partial;
    if (tasks > 1) partial.reset(new char[tasks * kept_.count * item_]);
    const int64_t work = std::min(reduced_.count, per_task * kBlock) * strip;
    parallel_for(groups * tasks, std::max<int64_t>(1, kParallelWork / work), [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t group = t / tasks, task = t % tasks;
        const int64_t at = group % strips * strip;  // of the inner kept axis
        const int64_t first = group / strips * inner + at, width = std::min(strip, inner - at);
        char* to = (tasks > 1 ? partial.get() + task * kept_.count * item_ : results_) + first * item_;
        reduce_blocks(first, width, task * per_task, std::min(n_blocks, (task + 1) * per_task), to);
      }
    });
    if (tasks > 1) join_tasks(partial.get(), tasks);
  }

 private:
  enum class Way { Rows, Columns, Gathered };

  ReduceRows rows_kernel() const {
    return kernels->reduce_rows[static_cast<int>(reducer_.reduction)][static_cast<int>(reducer_.compute)];
  }
  ReduceColumns columns_kernel() const {
    return kernels->reduce_columns[static_cast<int>(reducer_.reduction)][static_cast<int>(reducer_.compute)];
  }
  const char* center(int64_t result) const {
    return reducer_.center ? static_cast<const char*>(reducer_.center) + result * item_ : nullptr;
  }

  // One block a result: many results in one call.
  void short_rows() {
    const ReduceRows kernel = rows_kernel();
    parallel_for(kept_.count, std::max<int64_t>(1, kParallelWork / reduced_.count),
                 [&](int64_t begin, int64_t end) {
                   kept_.runs(begin, end - begin, [&](int64_t offset, int64_t length, int64_t done) {
                     const int64_t r = begin + done;
                     kernel({results_ + r * item_, x_ + offset * x_item_, kept_.inner_stride(), length,
                             reduced_.count, center(r), 1});
                   });
                 });
  }

  // Blocks [begin, end) of the results [first, first + width).
  void reduce_blocks(int64_t first, int64_t width, int64_t begin, int64_t end, char* to) const {
    // Few leaves of wide strips, or up to 64 single numbers.
    alignas(64) char room[2 * kStrip * 8];
    ReductionTree tree(reducer_.reduction, reducer_.compute, width, room);
    const int64_t base = kept_.offset(first);
    for (int64_t b = begin; b < end;) {
      const int64_t p = b * kBlock, n = std::min(kBlock, reduced_.count - p);
      if (way_ == Way::Rows) {
        // Full blocks of the row together, as if they were rows.
        alignas(64) char leaves[16 * 8];
        const int64_t many = n < kBlock ? 1 : std::min<int64_t>({16, end - b, (reduced_.count - p) / kBlock});
        rows_kernel()({leaves, x_ + (base + p) * x_item_, kBlock, many, n, center(first), 0});
        for (int64_t k = 0; k < many; ++k) {
          tree.push(leaves + k * item_);
        }
        b += many;
        continue;
      }
      if (way_ == Way::Columns)
        column_block(base, width, p, n, center(first), tree.next());
      else
        gathered_block(base, p, n, center(first), tree.next());
      tree.pushed();
      ++b;
    }
    std::copy_n(tree.finish(), width * item_, to);
  }

  void column_block(int64_t base, int64_t width, int64_t p, int64_t n, const char* center, char* to) const {
    const void* rows[kBlock];
    const int64_t step = reduced_.inner_stride() * x_item_;
    reduced_.runs(p, n, [&](int64_t offset, int64_t length, int64_t done) {
      const char* from = x_ + (base + offset) * x_item_;
      for (int64_t r = 0; r < length; ++r, from += step) rows[done + r] = from;
    });
    ColumnsJob job{to, rows, 0, n, width, center, gapless_ && width == kept_.inner_size()};
    if (loads_) {
      job.load = load_;
      job.step = kept_.inner_stride();
      job.item = x_item_;
    }
    columns_kernel()(job);
  }

  void gathered_block(int64_t base, int64_t p, int64_t n, const char* center, char* to) const {
    if (direct_ && reduced_.inner_stride() == 1 && p % reduced_.inner_size() + n <= reduced_.inner_size()) {
      rows_kernel()({to, x_ + (base + reduced_.offset(p)) * x_item_, 0, 1, n, center, 0});
      return;
    }
    alignas(64) char tile[kBlock * 8];
    reduced_.runs(p, n, [&](int64_t offset, int64_t length, int64_t done) {
      load_(tile + done * item_, x_ + (base + offset) * x_item_, reduced_.inner_stride(), length);
    });
    rows_kernel()({to, tile, 0, 1, n, center, 0});
  }

  void join_tasks(const char* partial, int64_t tasks) {
    constexpr int64_t kWidth = 64;
    parallel_for((kept_.count + kWidth - 1) / kWidth, std::max<int64_t>(1, kParallelWork / (tasks * kWidth)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t g = begin; g < end; ++g) {
                     alignas(64) char room[64 * kWidth * 8];
                     const int64_t first = g * kWidth, width = std::min(kWidth, kept_.count - first);
                     ReductionTree tree(reducer_.reduction, reducer_.compute, width, room);
                     for (int64_t t = 0; t < tasks; ++t) {
                       tree.push(partial + (t * kept_.count + first) * item_);
                     }
                     std::copy_n(tree.finish(), width * item_, results_ + first * item_);
                   }
                 });
  }

  const Reducer& reducer_;
  const int64_t item_;
  const char* x_;
  const int64_t x_item_;
  const bool direct_;  // stored in the compute type
  const LoadKernel load_;
  char* results_;
  Walk kept_, reduced_;
  Way way_;
  bool loads_;    // columns: the kernel loads rows
  bool gapless_;  // columns: each row begins where the row before it ends
};

// The result of reducing nothing.
double empty_result(Reduction reduction) {
  return reduction == Reduction::Prod || reduction == Reduction::All ? 1 : 0;
}

template <typename T>
void divide(T* x, int64_t n, T by) {
  for (int64_t i = 0; i < n; ++i) x[i] /= by;
}

void divide(char* results, int64_t n, Compute compute, double by) {
  if (compute == Compute::F32)
    divide(reinterpret_cast<float*>(results), n, static_cast<float>(by));
  else
    divide(reinterpret_cast<double*>(results), n, by);
}

}  // namespace

Array Reducer::run(const Array& x, Axes axes, DType dtype) const {
  Array out = Array::empty(reduced_sizes(x.sizes, axes), dtype);
  if (out.numel == 0) return out;
  const bool direct = dtype == stored_dtype(compute);
  const StoreKernel store = kernels->store_of(dtype, compute);
  const int r = static_cast<int>(reduction), c = static_cast<int>(compute);

  if (out.numel == 1 && x.contiguous && 0 < x.numel && x.numel <= kBlock) {
    // Small and whole: no plan.
    alignas(64) char tile[kBlock * 8];
    double result;  // room for one number of any compute type
    const void* from = x.data;
    if (x.dtype != stored_dtype(compute)) {
      kernels->load_of(x.dtype, compute)(tile, x.data, 1, x.numel);
      from = tile;
    }
    char* const to = direct ? out.as<char>() : reinterpret_cast<char*>(&result);
    kernels->reduce_rows[r][c]({to, from, 0, 1, x.numel, center, 0});
    if (divisor != 1) divide(to, 1, compute, divisor);
    if (!direct) store(out.data, 1, to, 1);
    return out;
  }
  if (x.numel == 0) {
    fill(out, Scalar::of(empty_result(reduction) / divisor));
    return out;
  }
  if (x.numel == out.numel && reduction != Reduction::Deviation && divisor == 1) {
    // One element a result.
    Dims strides(out.rank());
    for (int d = 0, at = 0; d < x.rank(); ++d)
      if (!axes.reduced(d) || axes.kept(d)) strides[at++] = x.strides[d];
    copy_into(out, x.view(out.sizes, std::move(strides)));
    return out;
  }
  const Array wide = direct ? out : Array::empty(out.sizes, stored_dtype(compute));
  const Ref<Storage> held = x.storage;  // while the lock is given up
  Plan(*this, x, axes, wide.as<char>()).run();
  if (divisor != 1) divide(wide.as<char>(), wide.numel, compute, divisor);
  if (!direct) copy_into(out, wide);
  return out;
}

Axes parse_axes(const Dims& wanted, int rank, bool keepdim, const char* op) {
  Axes axes;
  for (const int64_t axis : wanted) {
    const int d = wrap_axis(axis, rank, op);
    if (axes.reduced(d)) fail(ErrorKind::Shape, "[", op, "] axis ", d, " appears twice");
    axes.mask |= uint64_t{1} << d;
  }
  if (wanted.empty()) axes.mask = ~uint64_t{0};
  axes.keep = keepdim ? ~uint64_t{0} : 0;
  return axes;
}

Dims reduced_sizes(const Dims& sizes, Axes axes) {
  Dims result;
  for (int d = 0; d < sizes.size(); ++d) {
    if (!axes.reduced(d))
      result.push_back(sizes[d]);
    else if (axes.kept(d))
      result.push_back(1);
  }
  return result;
}

int64_t reduced_count(const Dims& sizes, Axes axes) {
  int64_t count = 1;
  for (int d = 0; d < sizes.size(); ++d)
    if (axes.reduced(d)) count *= sizes[d];
  return count;
}

}  // namespace versant
