// Attention on one thread: the tasks of Note [Attention by tiles].
#include "machine/attention.h"

#include <cmath>
#include <cstring>

#include "machine/kernels/tile.h"
#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

void philox(std::uint32_t* words, std::uint64_t seed, std::uint64_t block, std::ptrdiff_t groups);

namespace {

template <class T>
inline constexpr Size kPanel = 2 * kLanes<T>;

constexpr Size up_to(Size n, Size step) { return (n + step - 1) / step * step; }

// --- products

// Rows of a times panels of b; steps as in TileJob.
template <class T>
struct Factor {
  const T* data;
  Size step;   // from one k to the next
  Size panel;  // from one panel of columns to the next
};
template <class T>
Factor<T> rows_of(const T* data, Size row) {
  return {data, row, kPanel<T>};
}
template <class T>
Factor<T> panels_of(const T* data, Size k) {
  return {data, kPanel<T>, kPanel<T> * k};
}

// c[i, j] (+)= sum over p < k of a[i, p] b[p, j] for one tile of rows, or of a[p, i] b[p, j] when `turned`.
template <class T, bool turned>
void multiply(Size rows, Size columns, Size k, const T* a, Size a_row, const Factor<T>& b, T* c, Size c_row,
              bool add) {
  const Size start = 0;
  Size starts[kTileRows];
  for (Size i = 0; i < rows; ++i) starts[i] = i * a_row;
  TileJob<T> job;
  job.a = a;
  job.k = k;
  job.taps = 1;
  job.a_taps = job.b_taps = &start;
  job.a_step = a_row;
  job.a_rows = starts;
  job.b_step = b.step;
  job.c_row = c_row;
  job.tail = kLanes<T>;
  job.add = add;
  const Tile<T> tile = tile_of<T>(turned, rows, 2, Reads::Whole);
  for (Size j = 0; j < columns; j += kPanel<T>) {
    job.b = b.data + j / kPanel<T> * b.panel;
    job.c = c + j;
    tile(job);
  }
}

// Calls body(first, count) for tiles of rows of like height.
template <class Body>
void for_tiles(Size rows, Body body) {
  const Size tiles = (rows + kTileRows - 1) / kTileRows, height = (rows + tiles - 1) / tiles;
  for (Size r = 0; r < rows; r += height) body(r, rows - r < height ? rows - r : height);
}

// --- rows

// out[i] = exp(x[i] - shift), zero where it would be subnormal. The difference is at most about 0.
template <class T>
[[gnu::flatten]] void exp_below(T* x, T shift, Size n) {
  constexpr T least = sizeof(T) == 4 ? T(-87) : T(-708);
#pragma GCC ivdep
  for (Size i = 0; i < n; ++i) {
    const T d = x[i] - shift;
    const T y = exp_inner(d);
    x[i] = d < least ? T(0) : y;
  }
}

// Joins the lanes of a vector as a tree.
template <class T, class Join, int distance = kLanes<T> / 2>
[[gnu::always_inline]] inline T fold(Vector<T> x, Join join) {
  using Lane = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Lane Mask __attribute__((vector_size(kVectorBytes)));
  constexpr auto mask = [] {
    Mask m{};
    for (int l = 0; l < kLanes<T>; ++l) m[l] = l ^ distance;
    return m;
  };
  const Mask other = mask();
  x = join(x, __builtin_shuffle(x, other));
  if constexpr (distance > 1)
    return fold<T, Join, distance / 2>(x, join);
  else
    return x[0];
}

// n is a positive multiple of the lanes here and below.
template <class T>
T largest(const T* x, Size n) {
  Vector<T> top = Simd<T>::load(x);
  for (Size i = kLanes<T>; i < n; i += kLanes<T>) {
    const Vector<T> y = Simd<T>::load(x + i);
    top = y > top ? y : top;
  }
  return fold<T>(top, [](Vector<T> a, Vector<T> b) { return a > b ? a : b; });
}
// In 16 lanes whatever the vectors hold, which are then joined as a tree.
template <class T>
T total(const T* x, Size n) {
  constexpr int lanes = kLanes<T>, parts = 16 / lanes;
  Vector<T> sums[parts] = {};
  Size i = 0;
  for (; i + 16 <= n; i += 16)
    for (int p = 0; p < parts; ++p) sums[p] += Simd<T>::load(x + i + p * lanes);
  for (int p = 0; i < n; ++p, i += lanes) sums[p] += Simd<T>::load(x + i);
  for (int half = parts / 2; half > 0; half /= 2)
    for (int p = 0; p < half; ++p) sums[p] += sums[p + half];
  return fold<T>(sums[0], [](Vector<T> a, Vector<T> b) { return a + b; });
}
template <class T>
void multiply_row(T* x, T factor, Size n) {
  for (Size i = 0; i < n; ++i) x[i] *= factor;
}

// One task's head, and what both directions do with it.
template <class T>
class Head {
 public:
  Head(const AttentionJob& job, Size b, Size h) : job_(job), b_(b), h_(h), key_head_(h / job.group) {}

  // Copies rows [first, first + count) times `factor` to lines of `stride`, whose last columns become zeros.
  void fetch(T* to, Size stride, const AttentionRows& rows, Size head, Size first, Size count, Size width,
             T factor) const {
    for (Size r = 0; r < count; ++r, to += stride) {
      rows.load(to, rows.at(b_, head, first + r), rows.column, width);
      if (factor != T(1)) multiply_row(to, factor, width);
      for (Size i = width; i < stride; ++i) to[i] = 0;
    }
  }
  // Rows of keys or values as panels of columns.
  void fetch_panels(T* to, T* room, const AttentionRows& rows, Size first, Size count, Size width) const {
    for (Size j = 0; j < count; j += kPanel<T>, to += kPanel<T> * width) {
      const Size some = count - j < kPanel<T> ? count - j : kPanel<T>;
      const char* from = rows.at(b_, key_head_, first + j);
      if (rows.plain) {
        pack_panel(to, reinterpret_cast<const T*>(from), width, some, kPanel<T>, 1,
                   rows.row / static_cast<Size>(sizeof(T)));
      } else {
        fetch(room, width, rows, key_head_, first + j, some, width, T(1));
        pack_panel(to, room, width, some, kPanel<T>, 1, width);
      }
    }
  }
  void deliver(const AttentionRows& rows, Size head, Size row, const T* from, Size width) const {
    rows.store(rows.at(b_, head, row), rows.column, from, width);
  }

  // How many of the `count` keys from `first` on query `row` sees.
  Size seen(Size row, Size first, Size count) const {
    if (!job_.causal) return count;
    const Size n = row + 1 - first;
    return n < 0 ? 0 : n < count ? n : count;
  }

  // The scores of query `row` for `count` keys from `first` on: masked, and -infinity up to `padded`.
  void mask_row(T* scores, Size row, Size first, Size count, Size padded, T* room) const {
    for (Size i = count; i < padded; ++i) scores[i] = -kInf<T>;
    if (!job_.mask.data || count == 0) return;
    const AttentionRows& mask = job_.mask;
    mask.load(room, mask.at(b_, h_, row) + first * mask.column * job_.mask_item, mask.column, count);
    if (job_.choosing) {
#pragma GCC ivdep
      for (Size i = 0; i < count; ++i) scores[i] = room[i] != 0 ? scores[i] : -kInf<T>;
    } else {
#pragma GCC ivdep
      for (Size i = 0; i < count; ++i) scores[i] += room[i];
    }
  }

  // x[i] = kept ? x[i] / (1 - p) : 0 for the probabilities of query `row` from key `first` on.
  void drop(T* x, Size row, Size first, Size n) const {
    alignas(64) std::uint32_t words[AttentionJob::kForwardKeys];
    const auto group = static_cast<std::uint64_t>(
        ((b_ * job_.heads + h_) * job_.queries + row) * job_.draw_groups() + first / 64);
    philox(words, job_.seed, job_.first + group * 16, (n + 63) / 64);
    const T scale = static_cast<T>(job_.keep_scale);
    const std::uint32_t threshold = job_.threshold;
#pragma GCC ivdep
    for (Size i = 0; i < n; ++i) x[i] = words[i] >= threshold ? x[i] * scale : T(0);
  }

  T* lse() const { return static_cast<T*>(job_.lse) + (b_ * job_.heads + h_) * job_.queries; }
  Size key_head() const { return key_head_; }

 private:
  const AttentionJob& job_;
  const Size b_, h_, key_head_;
};

// Cuts working memory into 64-byte aligned pieces.
template <class T>
class Room {
 public:
  explicit Room(void* scratch) : at_(static_cast<T*>(scratch)) {}
  T* take(Size n) {
    T* const piece = at_;
    at_ += up_to(n, 64 / static_cast<Size>(sizeof(T)));
    return piece;
  }

 private:
  T* at_;
};

// --- forward

template <class T>
void forward(const AttentionJob& job, Size begin, Size end, void* scratch) {
  constexpr Size kKeys = AttentionJob::kForwardKeys, kQueries = AttentionJob::kQueries;
  const Size width = job.width, wide = AttentionJob::padded(job.value_width);
  Room<T> room(scratch);
  T* const keys = room.take(AttentionJob::padded(job.keys) * width);
  T* const values = room.take(AttentionJob::padded(job.keys) * wide);
  T* const queries = room.take(kQueries * width);
  T* const sums = room.take(kQueries * wide);
  T* const staging = room.take(32 * width);
  T* const scores = room.take(kQueries * kKeys);
  T* const top = room.take(kQueries);
  T* const mass = room.take(kQueries);
  T* const line = room.take(kKeys);
  const Size blocks = job.query_blocks();
  Size packed = -1;  // the head of keys that is there
  for (Size task = begin; task < end; ++task) {
    const Size which = task / blocks, t = task % blocks;
    // Under a causal mask long and short blocks take turns, so that equal shares are equal work.
    const Size block = !job.causal ? t : t % 2 ? blocks - 1 - t / 2 : t / 2;
    const Head<T> head(job, which / job.heads, which % job.heads);
    if (const Size wanted = which / job.group; packed != wanted) {
      packed = wanted;
      head.fetch_panels(keys, staging, job.k, 0, job.keys, width);
      head.fetch(values, wide, job.v, head.key_head(), 0, job.keys, job.value_width, T(1));
    }
    const Size q0 = block * kQueries, rows = std::min(kQueries, job.queries - q0);
    head.fetch(queries, width, job.q, which % job.heads, q0, rows, width, static_cast<T>(job.scale));
    for (Size r = 0; r < rows; ++r) {
      top[r] = -kInf<T>;
      mass[r] = 0;
    }
    std::memset(sums, 0, static_cast<std::size_t>(rows * wide) * sizeof(T));
    const Size limit = job.causal ? std::min(job.keys, q0 + rows) : job.keys;
    for (Size k0 = 0; k0 < limit; k0 += kKeys) {
      const Size count = std::min(kKeys, limit - k0);
      for_tiles(rows, [&](Size r0, Size n) {
        const Size columns = head.seen(q0 + r0 + n - 1, k0, count);
        if (columns == 0) return;
        const Size padded = up_to(columns, kPanel<T>);
        T* const tile = scores + r0 * kKeys;
        multiply<T, false>(n, padded, width, queries + r0 * width, width, panels_of(keys + k0 * width, width),
                           tile, kKeys, false);
        for (Size r = r0; r < r0 + n; ++r) {
          T* const x = scores + r * kKeys;
          head.mask_row(x, q0 + r, k0, head.seen(q0 + r, k0, count), padded, line);
          const T before = top[r], most = largest(x, padded);
          const T now = most > before ? most : before;
          const T shift = now == -kInf<T> ? T(0) : now;
          exp_below(x, shift, padded);
          const T sum = total(x, padded);
          if (now != before) {
            const T shrink = before == -kInf<T> ? T(0) : std::exp(before - shift);
            mass[r] *= shrink;
            if (mass[r] != 0) multiply_row(sums + r * wide, shrink, wide);
            top[r] = now;
          }
          mass[r] += sum;
          if (job.dropping) head.drop(x, q0 + r, k0, columns);
        }
        multiply<T, false>(n, wide, columns, tile, kKeys, rows_of(values + k0 * wide, wide), sums + r0 * wide,
                           wide, true);
      });
    }
    T* const lse = head.lse();
    for (Size r = 0; r < rows; ++r) {
      const bool none = mass[r] == 0;
      lse[q0 + r] = none ? kInf<T> : top[r] + std::log(mass[r]);
      multiply_row(sums + r * wide, none ? T(0) : 1 / mass[r], wide);
      head.deliver(job.out, which % job.heads, q0 + r, sums + r * wide, job.value_width);
    }
  }
}

// --- backward

template <class T>
void backward(const AttentionJob& job, Size begin, Size end, void* scratch) {
  constexpr Size kKeys = AttentionJob::kBackwardKeys, kQueries = AttentionJob::kQueries;
  const Size width = job.width, value_width = job.value_width;
  const Size wide = AttentionJob::padded(width), value_wide = AttentionJob::padded(value_width);
  const Size rows_of_group = job.group * job.queries;
  Room<T> room(scratch);
  T* const queries = room.take(rows_of_group * wide);
  T* const grads = room.take(rows_of_group * value_wide);
  T* const query_sums = room.take(rows_of_group * wide);
  T* const delta = room.take(rows_of_group);
  T* const keys = room.take(kKeys * wide);
  T* const key_panels = room.take(kKeys * width);
  T* const value_panels = room.take(kKeys * value_width);
  T* const staging = room.take(kKeys * std::max(wide, value_wide));
  T* const key_sums = room.take(kKeys * wide);
  T* const value_sums = room.take(kKeys * value_wide);
  T* const scores = room.take(kQueries * kKeys);
  T* const slopes = room.take(kQueries * kKeys);
  T* const line = room.take(kKeys);
  const Size key_heads = job.heads / job.group, blocks = job.key_blocks();
  for (Size task = begin; task < end; ++task) {
    const Size part = task % job.parts, which = task / job.parts;
    const Size b = which / key_heads, first_head = which % key_heads * job.group;
    const auto sums_of = [&](Size g) {
      if (job.parts == 1) return query_sums + g * job.queries * wide;
      return static_cast<T*>(job.partial) +
             ((b * job.heads + first_head + g) * job.parts + part) * job.queries * wide;
    };
    for (Size g = 0; g < job.group; ++g) {
      const Head<T> head(job, b, first_head + g);
      const Size at = g * job.queries;
      head.fetch(queries + at * wide, wide, job.q, first_head + g, 0, job.queries, width,
                 static_cast<T>(job.scale));
      head.fetch(grads + at * value_wide, value_wide, job.grad, first_head + g, 0, job.queries, value_width,
                 T(1));
      std::memset(sums_of(g), 0, static_cast<std::size_t>(job.queries * wide) * sizeof(T));
      for (Size r = 0; r < job.queries; ++r) {
        head.fetch(staging, value_wide, job.out, first_head + g, r, 1, value_width, T(1));
        const T* const grad = grads + (at + r) * value_wide;
        for (Size i = 0; i < value_wide; ++i) staging[i] *= grad[i];
        delta[at + r] = total(staging, value_wide);
      }
    }
    for (Size block = part; block < blocks; block += job.parts) {
      const Size k0 = block * kKeys, count = std::min(kKeys, job.keys - k0);
      const Head<T> owner(job, b, first_head);
      owner.fetch(keys, wide, job.k, owner.key_head(), k0, count, width, T(1));
      owner.fetch_panels(key_panels, staging, job.k, k0, count, width);
      owner.fetch_panels(value_panels, staging, job.v, k0, count, value_width);
      std::memset(key_sums, 0, static_cast<std::size_t>(count * wide) * sizeof(T));
      std::memset(value_sums, 0, static_cast<std::size_t>(count * value_wide) * sizeof(T));
      for (Size g = 0; g < job.group; ++g) {
        const Head<T> head(job, b, first_head + g);
        const T* const lse = head.lse();
        for (Size q0 = job.causal ? k0 / kQueries * kQueries : 0; q0 < job.queries; q0 += kQueries) {
          const Size rows = std::min(kQueries, job.queries - q0), at = g * job.queries + q0;
          for_tiles(rows, [&](Size r0, Size n) {
            const Size columns = head.seen(q0 + r0 + n - 1, k0, count);
            if (columns == 0) return;
            const Size padded = up_to(columns, kPanel<T>);
            T *const p = scores + r0 * kKeys, *const ds = slopes + r0 * kKeys;
            multiply<T, false>(n, padded, width, queries + (at + r0) * wide, wide,
                               panels_of(key_panels, width), p, kKeys, false);
            multiply<T, false>(n, padded, value_width, grads + (at + r0) * value_wide, value_wide,
                               panels_of(value_panels, value_width), ds, kKeys, false);
            for (Size r = 0; r < n; ++r) {
              T *const x = p + r * kKeys, *const y = ds + r * kKeys;
              const Size row = q0 + r0 + r, visible = head.seen(row, k0, count);
              head.mask_row(x, row, k0, visible, padded, line);
              exp_below(x, lse[row], padded);
              const T shift = delta[at + r0 + r];
              if (job.dropping) head.drop(y, row, k0, visible);
#pragma GCC ivdep
              for (Size i = 0; i < visible; ++i) y[i] = x[i] * (y[i] - shift);
              if (job.dropping) head.drop(x, row, k0, visible);
              // Zeros beside what is seen: the products over queries take whole tiles.
              for (Size i = visible; i < kKeys; ++i) y[i] = 0;
              for (Size i = padded; i < kKeys; ++i) x[i] = 0;
            }
            multiply<T, false>(n, wide, columns, ds, kKeys, rows_of(keys, wide),
                               sums_of(g) + (q0 + r0) * wide, wide, true);
          });
          for_tiles(count, [&](Size c0, Size n) {
            // The queries that see any of these keys.
            const Size from = job.causal ? std::clamp<Size>(k0 + c0 - q0, 0, rows) : 0;
            if (from == rows) return;
            multiply<T, true>(n, value_wide, rows - from, scores + from * kKeys + c0, kKeys,
                              rows_of(grads + (at + from) * value_wide, value_wide),
                              value_sums + c0 * value_wide, value_wide, true);
            multiply<T, true>(n, wide, rows - from, slopes + from * kKeys + c0, kKeys,
                              rows_of(queries + (at + from) * wide, wide), key_sums + c0 * wide, wide, true);
          });
        }
      }
      for (Size r = 0; r < count; ++r) {
        owner.deliver(job.dk, owner.key_head(), k0 + r, key_sums + r * wide, width);
        owner.deliver(job.dv, owner.key_head(), k0 + r, value_sums + r * value_wide, value_width);
      }
    }
    if (job.parts > 1) continue;
    for (Size g = 0; g < job.group; ++g) {
      const Head<T> head(job, b, first_head + g);
      for (Size r = 0; r < job.queries; ++r) {
        T* const sums = sums_of(g) + r * wide;
        multiply_row(sums, static_cast<T>(job.scale), width);
        head.deliver(job.dq, first_head + g, r, sums, width);
      }
    }
  }
}

// The parts of dQ, added in order.
template <class T>
void join(const AttentionJob& job, Size begin, Size end, void*) {
  const Size wide = AttentionJob::padded(job.width), step = job.queries * wide;
  for (Size task = begin; task < end; ++task) {
    T* const sums = static_cast<T*>(job.partial) + task * job.parts * step;
    const Head<T> head(job, task / job.heads, task % job.heads);
    for (Size r = 0; r < job.queries; ++r) {
      T* const to = sums + r * wide;
      for (Size part = 1; part < job.parts; ++part) {
        const T* const from = to + part * step;
        for (Size i = 0; i < job.width; ++i) to[i] += from[i];
      }
      multiply_row(to, static_cast<T>(job.scale), job.width);
      head.deliver(job.dq, task % job.heads, r, to, job.width);
    }
  }
}

}  // namespace

void fill_attention(Kernels& k) {
  k.attention_forward[0] = forward<float>;
  k.attention_forward[1] = forward<double>;
  k.attention_backward[0] = backward<float>;
  k.attention_backward[1] = backward<double>;
  k.attention_join[0] = join<float>;
  k.attention_join[1] = join<double>;
}

}  // namespace versant::isa::VERSANT_ISA
