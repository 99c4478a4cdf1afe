// multilabel_margin_loss: margins between the labels of a row and all its other classes.
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"

namespace versant {

namespace {

// Inputs: x (N, C), labels (N, C) of which those before the first negative number count. Outputs: the losses
// (N,), and their slopes by x (N, C), which are constant between the corners of the margins.
struct MultilabelMargin final : Primitive {
  const char* name() const override { return "multilabel_margin_loss"; }
  bool admits(const Claim& c) const override {
    if (!c.counts(2, 2, 0)) return false;
    const Array &x = *c.in[0], &labels = *c.in[1];
    return (x.dtype == DType::Float32 || x.dtype == DType::Float64) && labels.dtype == DType::Int64 &&
           x.rank() == 2 && x.sizes[1] > 0 && labels.sizes == x.sizes && x.contiguous && labels.contiguous;
  }
  void run(Run& run) const override {
    const Array &x = *run.in[0], &labels = *run.in[1];
    const int64_t rows = x.sizes[0], classes = x.sizes[1];
    for (int64_t i = 0; i < labels.numel; ++i)
      if (labels.as<int64_t>()[i] >= classes)
        fail(ErrorKind::Index, "[multilabel_margin_loss] target ", labels.as<int64_t>()[i],
             " is out of bounds for ", classes, " classes");
    run.out[0] = Array::empty(Dims{rows}, x.dtype);
    run.out[1] = Array::full(x.sizes, x.dtype, Scalar::of_int(0));
    run.n_outputs = 2;
    Unlocked unlocked(rows * classes > 20000);
    parallel_for(rows, std::max<int64_t>(1, 8192 / classes), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t* of_row = labels.as<int64_t>() + r * classes;
        if (x.dtype == DType::Float64)
          row(x.as<double>() + r * classes, of_row, classes, run.out[0].as<double>() + r,
              run.out[1].as<double>() + r * classes);
        else
          row(x.as<float>() + r * classes, of_row, classes, run.out[0].as<float>() + r,
              run.out[1].as<float>() + r * classes);
      }
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0u, 2u}; }
  void vjp(Vjp& vjp) const override {
    if (!vjp.needs(0) || !vjp.grad()) return;
    TensorRef grad = ops::unsqueeze(*vjp.grad(), 1), slopes = vjp.output(1);
    vjp.set(0, ops::mul(grad, *slopes));
  }

 private:
  template <typename T>
  static void row(const T* x, const int64_t* labels, int64_t classes, T* loss, T* slopes) {
    std::vector<bool> labelled(classes, false);
    int64_t count = 0;
    for (; count < classes && labels[count] >= 0; ++count) labelled[labels[count]] = true;
    const double share = 1.0 / static_cast<double>(classes);
    std::vector<int64_t> active(classes, 0);  // margins that are not kept, less those of the labels
    double total = 0.0;
    for (int64_t j = 0; j < count; ++j) {
      const double wanted = 1.0 - static_cast<double>(x[labels[j]]);
      for (int64_t i = 0; i < classes; ++i) {
        const double gap = wanted + static_cast<double>(x[i]);
        if (labelled[i] || gap <= 0.0) continue;
        total += gap;
        ++active[i];
        --active[labels[j]];
      }
    }
    *loss = static_cast<T>(total * share);
    for (int64_t i = 0; i < classes; ++i) slopes[i] = static_cast<T>(static_cast<double>(active[i]) * share);
  }
};

const MultilabelMargin kMultilabelMargin;

const Function kFunction("multilabel_margin_loss", [](Args& args) {
  Tensor &input = args.tensor(0), &target = args.tensor(1);
  if (!is_floating(input.dtype) || input.rank() != 2 || input.sizes[1] == 0 || target.sizes != input.sizes)
    fail(ErrorKind::Shape,
         "[multilabel_margin_loss] expected floating-point input (N, C) and target (N, C), ", "got ",
         name(input.dtype), " ", input.sizes, " and ", target.sizes);
  TensorRef x = ops::cast(input, input.dtype == DType::Float64 ? DType::Float64 : DType::Float32);
  x = ops::contiguous(*x);
  TensorRef labels = ops::cast(target, DType::Int64);
  labels = ops::contiguous(*labels);
  TensorRef losses = apply(kMultilabelMargin, {x.get(), labels.get()}).tensor[0];
  return Result(ops::cast(*losses, input.dtype));
});

}  // namespace

}  // namespace versant
