// What optimizers share: a pass over all parameters of a group, with their gradients and buffers, in place.
#pragma once

#include <algorithm>
#include <vector>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/looks.h"
#include "machine/parallel.h"
#include "machine/tensor.h"
#include "machine/trace.h"
#include "machine/visit_dtype.h"

namespace versant {

// The tensors that belong to one parameter, contiguous and of one dtype, float32 or float64. A complex number
// is two elements, its real and its imaginary part, each updated for itself as in PyTorch.
struct Item {
  static constexpr int kLists = 5;  // parameter, gradient and up to three buffers

  bool wide = false;  // float64
  int64_t count = 0;
  void* data[kLists] = {};

  // Where an element of a list lies; null for a list that is not there.
  void* at(int list, int64_t element) const {
    return data[list] ? static_cast<char*>(data[list]) + element * (wide ? 8 : 4) : nullptr;
  }
};

// An array that was changed in a contiguous float copy.
struct WriteBack {
  const Tensor* to;
  Array from;
};

class Update {
 public:
  static constexpr int64_t kGrain = 16384;           // elements that one thread takes at least
  static constexpr int64_t kUnlockedCount = 200000;  // elements from which an update gives the lock up

  // `lists[0]` are the parameters, `lists[1]` the gradients; an empty list stands for none.
  Update(const char* op, std::span<const std::span<Tensor* const>> lists) {
    const size_t n = lists[0].size();
    for (const auto& list : lists)
      if (list.size() != n && !(list.empty() && &list > &lists[1]))
        fail(ErrorKind::Value, "[", op, "] expected ", n, " tensors in each list, got ", list.size());
    items_.reserve(n);
    for (size_t i = 0; i < n; ++i) add(op, lists, i);
  }

  // Over all parts of all parameters: each thread makes a part of its own, `auto part = body()`, and calls
  // part(item, first element, number of elements).
  template <typename Body>
  void run(Body&& body) {
    watch::Looks* const looks = changed_.empty() ? watch::take(&watch::kUpdates, params_) : nullptr;
    {
      Unlocked unlocked(total_ >= kUnlockedCount);
      parallel_for(total_, kGrain, [&](int64_t begin, int64_t end) {
        auto part = body();
        int64_t start = 0;
        for (const Item& item : items_) {
          const int64_t from = std::max(begin, start), to = std::min(end, start + item.count);
          if (looks) [[unlikely]]
            look(part, *looks, &item - items_.data(), from - start, to - start);
          else if (from < to)
            part(item, from - start, to - from);
          start += item.count;
          if (start >= end) break;
        }
      });
    }
    for (const WriteBack& changed : changed_) copy_into(*changed.to, changed.from);
  }

 private:
  // A part of item i in pieces that are looked at while they are in the first cache.
  template <typename Part>
  void look(Part& part, watch::Looks& looks, std::ptrdiff_t i, int64_t from, int64_t to) {
    constexpr int64_t kPiece = 2048;
    for (; from < to; from += kPiece) {
      const int64_t n = std::min(kPiece, to - from);
      part(items_[static_cast<size_t>(i)], from, n);
      looks.look_at(static_cast<int>(i), from, from + n);
    }
  }
  void add(const char* op, std::span<const std::span<Tensor* const>> lists, size_t i) {
    Tensor& param = *lists[0][i];
    if (watch::offered.looks) [[unlikely]]
      params_.push_back(&param);
    const bool pairs = is_complex(param.dtype);
    if (!param.is_floating() && !pairs)
      fail(ErrorKind::DType, "[", op, "] expected floating-point parameters, got ", name(param.dtype));
    const DType compute = is_half(param.dtype) ? DType::Float32 : param.dtype;
    const bool plain = param.dtype == compute && param.is_dense();
    Item item;
    item.wide = compute == DType::Float64 || compute == DType::Complex128;
    item.count = pairs ? 2 * param.numel : param.numel;
    for (size_t k = 0; k < lists.size(); ++k) {
      if (lists[k].empty()) continue;
      if (!lists[k][i]) fail(ErrorKind::Value, "[", op, "] tensor ", i, " of list ", k, " is missing");
      Tensor& tensor = *lists[k][i];
      if (tensor.sizes != param.sizes)
        fail(ErrorKind::Shape, "[", op, "] parameter ", i, " has shape ", param.sizes, ", its ",
             k == 1 ? "gradient " : "buffer ", tensor.sizes);
      if (k != 1) {
        begin_write(tensor, op);
        bump_version(tensor);
      }
      const bool fits = plain && tensor.dtype == compute &&
                        ((tensor.contiguous && param.contiguous) || tensor.strides == param.strides);
      if (fits) {
        item.data[k] = tensor.data;
        continue;
      }
      Array copy = plain ? Array::empty_like_layout(param, compute) : Array::empty(param.sizes, compute);
      copy_into(copy, tensor);
      item.data[k] = copy.data;
      (k == 1 ? kept_ : changed_).push_back({&tensor, std::move(copy)});
    }
    total_ += item.count;
    items_.push_back(item);
  }

  std::vector<Item> items_;
  std::vector<const Array*> params_;
  std::vector<WriteBack> kept_, changed_;
  int64_t total_ = 0;
};

// The gradients of the parameters. Holds them: another thread may drop one.
struct Gradients {
  explicit Gradients(std::span<Tensor* const> params) {
    for (Tensor* param : params) {
      if (param && modes.tracing) [[unlikely]]
        trace::recorder->touches_gradient(*param, true);
      held.push_back(param ? param->grad : TensorRef());
      own.push_back(held.back().get());
    }
    tensors = own;
  }
  Gradients(const Gradients&) = delete;
  std::span<Tensor* const> tensors;

 private:
  std::vector<TensorRef> held;
  std::vector<Tensor*> own;
};

using Lists = std::span<const std::span<Tensor* const>>;

// Calls update(lists), which changes all lists but the gradients; a trace takes it as one step.
template <typename Action>
void perform_update(const char* op, Lists lists, Action update) {
  if (!modes.observed()) [[likely]]
    return update(lists);
  if (!modes.tracing) {
    // Of what it changes the parameters are shown: the buffers follow from these and the gradients.
    std::vector<Operand> in;
    std::vector<const Array*> out;
    for (const auto& list : lists)
      for (Tensor* tensor : list) in.push_back({tensor, {}});
    for (Tensor* tensor : lists[0]) out.push_back(tensor);
    return watch::around(op, in, out, [&] { update(lists); });
  }
  std::vector<const Array*> read, written;
  std::vector<size_t> counts;
  for (size_t k = 0; k < lists.size(); ++k) {
    counts.push_back(lists[k].size());
    for (Tensor* tensor : lists[k]) {
      if (!tensor) fail(ErrorKind::Value, "[", op, "] a tensor of list ", k, " is missing");
      trace::reach({tensor});
      (k == 1 ? read : written).push_back(tensor);
    }
  }
  const auto again = [counts, update](std::span<const Array> arrays) {
    std::vector<TensorRef> held;
    for (const Array& array : arrays) held.push_back(Tensor::make(array));
    std::vector<std::vector<Tensor*>> tensors(counts.size());
    size_t next = 0, changed = counts[1];  // the gradients come first
    for (size_t k = 0; k < counts.size(); ++k)
      for (size_t i = 0; i < counts[k]; ++i) tensors[k].push_back(held[k == 1 ? next++ : changed++].get());
    const std::vector<std::span<Tensor* const>> all(tensors.begin(), tensors.end());
    update(Lists(all));
  };
  trace::recorder->call(again, op, read, written);  // first: it changes versions
  const trace::Quiet quiet;
  perform_update(op, lists, update);
}

}  // namespace versant
