// Sorting along an axis, and the k largest or smallest.
//
// Note [Sort keys]
// Every number becomes an unsigned key whose order is the wanted one: floats with their bits turned so that
// they compare as integers, -0 as 0, NaN as the largest; a descending sort inverts keys. Equal keys keep
// their order, so every sort is stable, and ties go to the smaller index.
#include <array>
#include <atomic>
#include <memory>

#include "machine/along.h"
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"
#include "machine/walk.h"

namespace versant::ops {

namespace {

constexpr int64_t kRadixFrom = 512;      // longer lines are sorted by digits
constexpr int64_t kParallelWork = 2048;  // elements worth a second thread
constexpr int64_t kUnlockWork = 5000;    // ... worth giving the bookkeeping lock up

template <typename T>
using Key = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <typename T>
Key<T> key_of(T x) {
  using K = Key<T>;
  constexpr K top = K{1} << (8 * sizeof(K) - 1);
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return key_of(static_cast<float>(x));
  } else if constexpr (std::is_floating_point_v<T>) {
    if (x != x) return ~K{0};
    const auto bits = __builtin_bit_cast(K, x == 0 ? T(0) : x);
    return bits & top ? ~bits : bits | top;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<K>(static_cast<std::make_signed_t<K>>(x)) ^ top;
  } else {
    return x;
  }
}

// A key and where its number stands in the line.
template <typename K>
struct Item {
  K key;
  K index;
  friend bool operator<(const Item& a, const Item& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  }
};

// Sorts by one digit of 8 bits after the other, the lowest first; digits that are the same everywhere are
// skipped. The result is in `items`.
template <typename K>
void radix_sort(Item<K>* items, Item<K>* other, int64_t n) {
  constexpr int kDigits = sizeof(K);
  std::array<std::array<int64_t, 256>, kDigits> counts{};
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < kDigits; ++d) ++counts[d][items[i].key >> (8 * d) & 255];
  Item<K>* from = items;
  for (int d = 0; d < kDigits; ++d) {
    auto& count = counts[d];
    if (count[items[0].key >> (8 * d) & 255] == n) continue;
    int64_t before = 0;
    for (int64_t& c : count) before += std::exchange(c, before);
    Item<K>* to = from == items ? other : items;
    for (int64_t i = 0; i < n; ++i) to[count[from[i].key >> (8 * d) & 255]++] = from[i];
    from = to;
  }
  if (from != items) std::copy_n(from, n, items);
}

// Memory for each thread of a parallel loop, taken before it starts.
template <typename T>
class Scratch {
 public:
  Scratch(int64_t n, int64_t users) : n_(n), memory_(new T[n * std::min<int64_t>(users, num_threads())]) {}
  T* take() { return memory_.get() + n_ * next_++; }

 private:
  int64_t n_;
  std::atomic<int> next_{0};
  std::unique_ptr<T[]> memory_;
};

// The first k of a line, in order. `items` has room for 2 k: the best so far, then newcomers that are better
// than the worst of those. When it is full the worse half goes.
template <typename K, typename KeyAt>
void first_few(Item<K>* items, int64_t n, int64_t k, KeyAt key_at) {
  for (int64_t i = 0; i < k; ++i) items[i] = {key_at(i), static_cast<K>(i)};
  K worst = std::max_element(items, items + k)->key;
  int64_t held = k;
  for (int64_t i = k; i < n; ++i) {
    const K key = key_at(i);
    if (key >= worst) continue;  // of equals the earlier one stays
    items[held++] = {key, static_cast<K>(i)};
    if (held < 2 * k) continue;
    std::nth_element(items, items + k - 1, items + held);
    worst = items[k - 1].key;
    held = k;
  }
  std::nth_element(items, items + k - 1, items + held);
  std::sort(items, items + k);
}

// All of a line in order.
template <typename K, typename KeyAt>
void sort_all(Item<K>* items, int64_t n, KeyAt key_at) {
  for (int64_t i = 0; i < n; ++i) items[i] = {key_at(i), static_cast<K>(i)};
  if (n >= kRadixFrom)
    radix_sort(items, items + n, n);
  else
    std::sort(items, items + n);
}

// The k first of every line in order.
template <typename T>
void sort_lines(const Array& x, const Array& values, const Array& indices, int axis, bool descending,
                int64_t k) {
  using K = Key<T>;
  const Lines from(x, axis), to(values, axis);
  const int64_t n = from.length;
  if (n > static_cast<int64_t>(std::min<uint64_t>(static_cast<K>(~K{0}), INT64_MAX)))
    fail(ErrorKind::Value, "[sort] an axis of ", n, " elements of this dtype is too long");
  const K flip = descending ? static_cast<K>(~K{0}) : K{0};
  const bool few = k <= n / 4;
  Scratch<Item<K>> scratch(2 * (few ? k : n), from.starts.count);
  Unlocked unlocked(x.numel >= kUnlockWork);
  parallel_for(from.starts.count, std::max<int64_t>(1, kParallelWork / n), [&](int64_t begin, int64_t end) {
    Item<K>* const items = scratch.take();
    for (int64_t line = begin; line < end; ++line) {
      const T* p = x.as<T>() + from.starts.offset(line);
      auto key_at = [&](int64_t i) { return static_cast<K>(key_of(p[i * from.stride]) ^ flip); };
      if (few)
        first_few(items, n, k, key_at);
      else
        sort_all(items, n, key_at);
      const int64_t at = to.starts.offset(line);
      for (int64_t i = 0; i < k; ++i) {
        values.as<T>()[at + i * to.stride] = p[static_cast<int64_t>(items[i].index) * from.stride];
        indices.as<int64_t>()[at + i * to.stride] = static_cast<int64_t>(items[i].index);
      }
    }
  });
}

// ints: axis, descending, k.
class Sort final : public Primitive {
 public:
  explicit Sort(const char* name) : name_(name) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override { return b.shifted({0}); }
  bool admits(const Claim& c) const override {
    if (!c.counts(1, 2, 3) || !c.is_axis(0, *c.in[0])) return false;
    const Array& x = *c.in[0];
    return c.within(2, 0, x.rank() ? x.sizes[static_cast<int>(c.attributes.ints[0])] : 1);
  }
  void run(Run& run) const override {
    const Array x = *run.in[0];  // held while the lock is given up
    const int axis = static_cast<int>(run.attributes.ints[0]);
    const int64_t k = run.attributes.ints[2];
    Dims sizes = x.sizes;
    if (!sizes.empty()) sizes[axis] = k;
    const Array values = run.out[0] = Array::empty(sizes, x.dtype);
    const Array indices = run.out[1] = Array::empty(sizes, DType::Int64);
    run.n_outputs = 2;
    if (values.numel == 0) return;
    auto sort = [&]<typename T>() { sort_lines<T>(x, values, indices, axis, run.attributes.ints[1], k); };
    if (x.dtype == DType::Float16) return sort.template operator()<Half>();
    if (x.dtype == DType::BFloat16) return sort.template operator()<BFloat16>();
    visit_number(x.dtype, sort);
  }
  Saves saves(const Attributes&, uint32_t) const override { return {.outputs = 2}; }
  void vjp(Vjp& vjp) const override {
    if (!vjp.grad()) return;
    const Dims& sizes = vjp.input_sizes(0);
    const int axis = static_cast<int>(vjp.attributes().ints[0]);
    vjp.set(0, put_along(*vjp.grad(), *vjp.output(1), axis, sizes.empty() ? 1 : sizes[axis]));
  }

 private:
  const char* name_;
};

const Sort kSort("sort"), kTopk("topk");

int64_t size_along(const Tensor& x, int axis) { return x.rank() ? x.sizes[axis] : 1; }

Result sorted(const Sort& primitive, Tensor& x, int axis, bool descending, int64_t k) {
  Outputs out = apply(primitive, {&x}, {Dims{axis, descending, k}, {}});
  return Result({std::move(out.tensor[0]), std::move(out.tensor[1])}, "values indices");
}

// Every sort is stable; the flag (argument 3) is there for callers that ask.
const Function kSortFunction("sort", [](Args& a) {
  Tensor& x = a.tensor(0);
  const int axis = wrap_axis(a.integer(1), x.rank(), "sort");
  return sorted(kSort, x, axis, a.flag(2), size_along(x, axis));
});
// The result is always in order, asked for (argument 4) or not.
const Function kTopkFunction("topk", [](Args& a) {
  Tensor& x = a.tensor(0);
  const int64_t k = a.integer(1);
  const int axis = wrap_axis(a.integer(2), x.rank(), "topk");
  if (k < 0 || k > size_along(x, axis))
    fail(ErrorKind::Runtime, "[topk] k = ", k, " is out of range for axis ", axis, " of shape ", x.sizes);
  return sorted(kTopk, x, axis, a.flag(3), k);
});

}  // namespace

}  // namespace versant::ops
