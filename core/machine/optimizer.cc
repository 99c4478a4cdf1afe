// Updates of optimizers: one call changes all parameters of a group in place. Nothing is recorded.
#include <algorithm>
#include <cmath>

#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/tensor.h"

namespace versant {

namespace {

constexpr int64_t kGrain = 16384;           // elements that one thread takes at least
constexpr int64_t kUnlockedCount = 200000;  // elements from which an update gives the lock up
constexpr int kLists = 5;                   // parameter, gradient and up to three buffers

// The tensors that belong to one parameter, contiguous and of one dtype, float32 or float64.
struct Item {
  bool wide = false;  // float64
  int64_t count = 0;
  void* data[kLists] = {};
};

// An array that was changed in a contiguous float copy.
struct WriteBack {
  const Tensor* to;
  Array from;
};

class Update {
 public:
  // `lists[0]` are the parameters, `lists[1]` the gradients; an empty list stands for none.
  Update(const char* op, std::span<const std::span<Tensor* const>> lists) {
    const size_t n = lists[0].size();
    for (const auto& list : lists)
      if (list.size() != n && !(list.empty() && &list > &lists[1]))
        fail(ErrorKind::Value, "[", op, "] expected ", n, " tensors in each list, got ", list.size());
    items_.reserve(n);
    for (size_t i = 0; i < n; ++i) add(op, lists, i);
  }

  // body(item, first element, number of elements) over all parts of all parameters.
  template <typename Body>
  void run(Body&& body) {
    {
      Unlocked unlocked(total_ >= kUnlockedCount);
      parallel_for(total_, kGrain, [&](int64_t begin, int64_t end) {
        int64_t start = 0;
        for (const Item& item : items_) {
          const int64_t from = std::max(begin, start), to = std::min(end, start + item.count);
          if (from < to) body(item, from - start, to - from);
          start += item.count;
          if (start >= end) break;
        }
      });
    }
    for (const WriteBack& changed : changed_) copy_into(*changed.to, changed.from);
  }

 private:
  void add(const char* op, std::span<const std::span<Tensor* const>> lists, size_t i) {
    Tensor& param = *lists[0][i];
    if (!param.is_floating())
      fail(ErrorKind::DType, "[", op, "] expected floating-point parameters, got ", name(param.dtype));
    const bool plain = (param.dtype == DType::Float32 || param.dtype == DType::Float64) && param.is_dense();
    const DType compute = param.dtype == DType::Float64 ? DType::Float64 : DType::Float32;
    Item item;
    item.wide = compute == DType::Float64;
    item.count = param.numel;
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
  std::vector<WriteBack> kept_, changed_;
  int64_t total_ = 0;
};

void* at(const Item& item, int list, int64_t element) {
  if (!item.data[list]) return nullptr;
  return static_cast<char*>(item.data[list]) + element * (item.wide ? 8 : 4);
}

// The gradients given, or those of the parameters themselves. Holds them: another thread may drop a gradient.
struct Gradients {
  explicit Gradients(const Args& a) {
    if (!a.none(1)) {
      tensors = a.optional_tensors(1);
      return;
    }
    for (Tensor* param : a.optional_tensors(0)) {
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

// params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, maximize, first_step
Result sgd_step(Args& a) {
  SgdStep step;
  step.lr = a.number(3);
  step.momentum = a.number(4);
  step.dampening = a.number(5);
  step.weight_decay = a.number(6);
  step.nesterov = a.flag(7);
  step.gradient = a.flag(8) ? -1 : 1;
  step.first = a.flag(9);
  const Gradients gradients(a);
  const std::span<Tensor* const> lists[] = {a.optional_tensors(0), gradients.tensors, a.optional_tensors(2)};
  if (step.momentum != 0 && lists[2].size() != lists[0].size())
    fail(ErrorKind::Value, "[sgd_step] momentum needs a buffer for each parameter");
  Update update("sgd_step", lists);
  update.run([&](const Item& item, int64_t from, int64_t count) {
    const SgdKernel kernel = item.wide ? kernels->sgd_f64 : kernels->sgd_f32;
    kernel(step, at(item, 0, from), at(item, 1, from), at(item, 2, from), count);
  });
  return Result::none();
}

// params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, lr, beta1, beta2, eps, weight_decay,
// decoupled, maximize
Result adam_step(Args& a) {
  const auto t = static_cast<double>(a.integer(5));
  const double lr = a.number(6), weight_decay = a.number(10);
  if (t < 1) fail(ErrorKind::Value, "[adam_step] steps count from 1, got ", a.integer(5));
  AdamStep step;
  step.beta1 = a.number(7);
  step.beta2 = a.number(8);
  step.eps = a.number(9);
  step.step_size = lr / (1 - std::pow(step.beta1, t));
  step.correction = std::sqrt(1 - std::pow(step.beta2, t));
  if (a.flag(11))
    step.shrink = 1 - lr * weight_decay;
  else
    step.weight_decay = weight_decay;
  step.gradient = a.flag(12) ? -1 : 1;
  const Gradients gradients(a);
  const std::span<Tensor* const> lists[] = {a.optional_tensors(0), gradients.tensors, a.optional_tensors(2),
                                            a.optional_tensors(3), a.optional_tensors(4)};
  if (lists[2].size() != lists[0].size() || lists[3].size() != lists[0].size())
    fail(ErrorKind::Value, "[adam_step] expected exp_avg and exp_avg_sq for each parameter");
  Update update("adam_step", lists);
  update.run([&](const Item& item, int64_t from, int64_t count) {
    const AdamKernel kernel = item.wide ? kernels->adam_f64 : kernels->adam_f32;
    kernel(step, at(item, 0, from), at(item, 1, from), at(item, 2, from), at(item, 3, from),
           at(item, 4, from), count);
  });
  return Result::none();
}

const Function kSgdStep("sgd_step", sgd_step);
const Function kAdamStep("adam_step", adam_step);

}  // namespace

}  // namespace versant
