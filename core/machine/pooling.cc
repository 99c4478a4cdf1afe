// Pooling over the last two axes: the largest or the mean of windows, fixed or adaptive.
//
// Both kinds of windows become two lists, one per axis: where each window begins and how many elements it
// takes.
#include <cmath>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"

namespace versant {

namespace {

// One axis of a pooling. A window takes elements first, first + dilation, ... below last, those in [0, size)
// only.
struct Windows {
  std::vector<int64_t> first, last;
  std::vector<int64_t> padded;  // how many a window takes when padding counts too
  int64_t dilation = 1;
  int64_t count() const { return static_cast<int64_t>(first.size()); }
};

// What a pooling is: kernel, stride, padding, dilation per axis, and switches. Adaptive ones have only output
// sizes.
struct Form {
  bool adaptive = false, ceil = false, padding_counts = true;
  int64_t kernel[2] = {1, 1}, stride[2] = {1, 1}, padding[2] = {0, 0}, dilation[2] = {1, 1};
  int64_t divisor = 0;  // 0: the number of elements

  Attributes pack() const {
    Attributes a;
    a.ints = Dims{adaptive,  ceil,      padding_counts, divisor,    kernel[0],   kernel[1],
                  stride[0], stride[1], padding[0],     padding[1], dilation[0], dilation[1]};
    return a;
  }
  static Form unpack(const Attributes& a) {
    Form f;
    f.adaptive = a.ints[0], f.ceil = a.ints[1], f.padding_counts = a.ints[2], f.divisor = a.ints[3];
    for (int k = 0; k < 2; ++k)
      f.kernel[k] = a.ints[4 + k], f.stride[k] = a.ints[6 + k], f.padding[k] = a.ints[8 + k],
      f.dilation[k] = a.ints[10 + k];
    return f;
  }

  Windows windows(int axis, int64_t size) const {
    Windows w;
    if (adaptive) {
      const int64_t n = kernel[axis];  // the output size
      for (int64_t o = 0; o < n; ++o) {
        w.first.push_back(o * size / n);
        w.last.push_back(((o + 1) * size + n - 1) / n);
        w.padded.push_back(w.last.back() - w.first.back());
      }
      return w;
    }
    const int64_t reach = dilation[axis] * (kernel[axis] - 1) + 1, room = size + 2 * padding[axis] - reach;
    const int64_t steps = room + (ceil ? stride[axis] - 1 : 0);  // a part of a window counts when `ceil`
    int64_t n = steps < 0 ? 0 : steps / stride[axis] + 1;
    // The last window must begin inside the input or its left padding.
    if (ceil && n > 0 && (n - 1) * stride[axis] >= size + padding[axis]) --n;
    w.dilation = dilation[axis];
    for (int64_t o = 0; o < n; ++o) {
      int64_t begin = o * stride[axis] - padding[axis];
      const int64_t end = begin + reach;
      w.padded.push_back(std::min(end, size + padding[axis]) - begin);
      while (begin < 0) begin += w.dilation;
      w.first.push_back(begin);
      w.last.push_back(std::min(end, size));
    }
    return w;
  }
};

// Images of a tensor (..., H, W) and the windows over them.
struct Plan {
  Plan(const Form& form, const Dims& sizes) : height(sizes[sizes.size() - 2]), width(sizes.back()) {
    for (int d = 0; d < sizes.size() - 2; ++d) images *= sizes[d];
    rows = form.windows(0, height);
    columns = form.windows(1, width);
    out_sizes = sizes;
    out_sizes[sizes.size() - 2] = rows.count();
    out_sizes[sizes.size() - 1] = columns.count();
  }
  double divisor(const Form& form, int64_t oh, int64_t ow) const {
    if (form.divisor) return static_cast<double>(form.divisor);
    if (form.padding_counts) return static_cast<double>(rows.padded[oh] * columns.padded[ow]);
    return static_cast<double>(std::max<int64_t>(0, rows.last[oh] - rows.first[oh]) *
                               std::max<int64_t>(0, columns.last[ow] - columns.first[ow]));
  }
  int64_t outputs() const { return rows.count() * columns.count(); }

  int64_t images = 1, height, width;
  Windows rows, columns;
  Dims out_sizes;
};

template <typename Body>
void by_dtype(DType dtype, const char* op, Body&& body) {
  if (dtype == DType::Float64)
    body.template operator()<double>();
  else if (dtype == DType::Float32)
    body.template operator()<float>();
  else if (dtype == DType::Int64)
    body.template operator()<int64_t>();
  else
    fail(ErrorKind::DType, "[", op, "] not implemented for ", name(dtype));
}

template <typename Body>
void each_image(const Plan& plan, Body&& body) {
  const int64_t work = plan.height * plan.width + plan.outputs();
  Unlocked unlocked(plan.images * work > 100000);
  parallel_for(plan.images, std::max<int64_t>(1, 16384 / std::max<int64_t>(work, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t image = begin; image < end; ++image) body(image);
               });
}

// Outputs: the largest of each window (NaN counts as larger than all), and its place in its image.
struct MaxPool final : Primitive {
  const char* name() const override { return "max_pool2d"; }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Plan plan(Form::unpack(run.attributes), x.sizes);
    run.out[0] = Array::empty(plan.out_sizes, x.dtype);
    run.out[1] = Array::empty(plan.out_sizes, DType::Int64);
    run.n_outputs = 2;
    by_dtype(x.dtype, name(), [&]<typename T>() {
      each_image(plan, [&](int64_t image) {
        const T* from = x.as<T>() + image * plan.height * plan.width;
        T* to = run.out[0].template as<T>() + image * plan.outputs();
        int64_t* where = run.out[1].template as<int64_t>() + image * plan.outputs();
        for (int64_t oh = 0; oh < plan.rows.count(); ++oh) {
          for (int64_t ow = 0; ow < plan.columns.count(); ++ow) {
            int64_t best = plan.rows.first[oh] * plan.width + plan.columns.first[ow];
            T top = from[best];
            for (int64_t h = plan.rows.first[oh]; h < plan.rows.last[oh]; h += plan.rows.dilation) {
              for (int64_t w = plan.columns.first[ow]; w < plan.columns.last[ow];
                   w += plan.columns.dilation) {
                const T value = from[h * plan.width + w];
                if (value > top || (value != value && top == top)) {
                  top = value;
                  best = h * plan.width + w;
                }
              }
            }
            *to++ = top;
            *where++ = best;
          }
        }
      });
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0, 2}; }
  void vjp(Vjp& vjp) const override;
};

// Spreads a gradient to the places that were chosen. Inputs: gradient, places. ints: height and width of the
// images.
struct MaxPoolBackward final : Primitive {
  const char* name() const override { return "max_pool2d_backward"; }
  void run(Run& run) const override {
    const Array &grad = *run.in[0], &places = *run.in[1];
    Dims sizes = grad.sizes;
    sizes[sizes.size() - 2] = run.attributes.ints[0];
    sizes[sizes.size() - 1] = run.attributes.ints[1];
    run.out[0] = Array::full(sizes, grad.dtype, Scalar::of_int(0));
    const int64_t image = sizes[sizes.size() - 2] * sizes.back();
    const int64_t outputs = grad.sizes[grad.rank() - 2] * grad.sizes.back();
    by_dtype(grad.dtype, name(), [&]<typename T>() {
      const int64_t images = outputs ? grad.numel / outputs : 0;
      Unlocked unlocked(grad.numel > 100000);
      parallel_for(
          images, std::max<int64_t>(1, 16384 / std::max<int64_t>(image, 1)), [&](int64_t begin, int64_t end) {
            for (int64_t i = begin * outputs; i < end * outputs; ++i)
              run.out[0].template as<T>()[i / outputs * image + places.as<int64_t>()[i]] += grad.as<T>()[i];
          });
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {2, 0}; }
  void vjp(Vjp& vjp) const override;
};

// Reads images at the places that were chosen. Inputs: images, places.
struct PickPlaces final : Primitive {
  const char* name() const override { return "max_pool2d_pick"; }
  void run(Run& run) const override {
    const Array &x = *run.in[0], &places = *run.in[1];
    run.out[0] = Array::empty(places.sizes, x.dtype);
    const int64_t image = x.sizes[x.rank() - 2] * x.sizes.back();
    const int64_t outputs = places.sizes[places.rank() - 2] * places.sizes.back();
    by_dtype(x.dtype, name(), [&]<typename T>() {
      for (int64_t i = 0; i < places.numel; ++i)
        run.out[0].template as<T>()[i] = x.as<T>()[i / outputs * image + places.as<int64_t>()[i]];
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {2, 0}; }
  void vjp(Vjp& vjp) const override;
};

const MaxPool kMaxPool;
const MaxPoolBackward kMaxPoolBackward;
const PickPlaces kPickPlaces;

Attributes image_sizes(const Dims& sizes) { return {Dims{sizes[sizes.size() - 2], sizes.back()}, {}}; }

void MaxPool::vjp(Vjp& vjp) const {
  if (!vjp.grad()) return;
  TensorRef grad = ops::contiguous(*vjp.grad()), places = vjp.output(1);
  vjp.set(0, apply(kMaxPoolBackward, {grad.get(), places.get()}, image_sizes(vjp.input_sizes(0))));
}
void MaxPoolBackward::vjp(Vjp& vjp) const {
  TensorRef grad = ops::contiguous(*vjp.grad()), places = vjp.input(1);
  vjp.set(0, apply(kPickPlaces, {grad.get(), places.get()}));
}
void PickPlaces::vjp(Vjp& vjp) const {
  TensorRef grad = ops::contiguous(*vjp.grad()), places = vjp.input(1);
  vjp.set(0, apply(kMaxPoolBackward, {grad.get(), places.get()}, image_sizes(vjp.input_sizes(0))));
}

struct AvgPool final : Primitive {
  const char* name() const override { return "avg_pool2d"; }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Form form = Form::unpack(run.attributes);
    const Plan plan(form, x.sizes);
    run.out[0] = Array::empty(plan.out_sizes, x.dtype);
    by_dtype(x.dtype, name(), [&]<typename T>() {
      each_image(plan, [&](int64_t image) {
        const T* from = x.as<T>() + image * plan.height * plan.width;
        T* to = run.out[0].template as<T>() + image * plan.outputs();
        for (int64_t oh = 0; oh < plan.rows.count(); ++oh) {
          for (int64_t ow = 0; ow < plan.columns.count(); ++ow) {
            double sum = 0.0;
            for (int64_t h = plan.rows.first[oh]; h < plan.rows.last[oh]; ++h)
              for (int64_t w = plan.columns.first[ow]; w < plan.columns.last[ow]; ++w)
                sum += static_cast<double>(from[h * plan.width + w]);
            *to++ = static_cast<T>(sum / plan.divisor(form, oh, ow));
          }
        }
      });
    });
  }
  void vjp(Vjp& vjp) const override;
};

// ints: as AvgPool, then height and width of the images.
struct AvgPoolBackward final : Primitive {
  const char* name() const override { return "avg_pool2d_backward"; }
  void run(Run& run) const override {
    const Array& grad = *run.in[0];
    const Form form = Form::unpack(run.attributes);
    Dims sizes = grad.sizes;
    sizes[sizes.size() - 2] = run.attributes.ints[12];
    sizes[sizes.size() - 1] = run.attributes.ints[13];
    const Plan plan(form, sizes);
    run.out[0] = Array::full(sizes, grad.dtype, Scalar::of_int(0));
    by_dtype(grad.dtype, name(), [&]<typename T>() {
      each_image(plan, [&](int64_t image) {
        const T* from = grad.as<T>() + image * plan.outputs();
        T* to = run.out[0].template as<T>() + image * plan.height * plan.width;
        for (int64_t oh = 0; oh < plan.rows.count(); ++oh) {
          for (int64_t ow = 0; ow < plan.columns.count(); ++ow) {
            const T share = static_cast<T>(static_cast<double>(*from++) / plan.divisor(form, oh, ow));
            for (int64_t h = plan.rows.first[oh]; h < plan.rows.last[oh]; ++h)
              for (int64_t w = plan.columns.first[ow]; w < plan.columns.last[ow]; ++w)
                to[h * plan.width + w] += share;
          }
        }
      });
    });
  }
  void vjp(Vjp& vjp) const override;
};

const AvgPool kAvgPool;
const AvgPoolBackward kAvgPoolBackward;

void AvgPool::vjp(Vjp& vjp) const {
  Attributes a = vjp.attributes();
  const Dims& sizes = vjp.input_sizes(0);
  a.ints.push_back(sizes[sizes.size() - 2]);
  a.ints.push_back(sizes.back());
  TensorRef grad = ops::contiguous(*vjp.grad());
  vjp.set(0, apply(kAvgPoolBackward, {grad.get()}, a));
}
void AvgPoolBackward::vjp(Vjp& vjp) const {
  Attributes a = vjp.attributes();
  a.ints.resize(12);
  TensorRef grad = ops::contiguous(*vjp.grad());
  vjp.set(0, apply(kAvgPool, {grad.get()}, a));
}

// --- arguments
// ------------------------------------------------------------------------------------------------------------

void pair(const Dims& given, int64_t (&to)[2], const char* op, const char* what, int64_t least) {
  if (given.size() != 1 && given.size() != 2)
    fail(ErrorKind::Value, "[", op, "] ", what, " must be one number or two, got ", given);
  to[0] = given[0];
  to[1] = given[given.size() - 1];
  if (to[0] < least || to[1] < least)
    fail(ErrorKind::Value, "[", op, "] ", what, " must be at least ", least, ", got ", given);
}

TensorRef checked_input(Tensor& input, const char* op) {
  if (input.rank() != 3 && input.rank() != 4)
    fail(ErrorKind::Shape, "[", op, "] expected 4-D input (N, C, H, W) or 3-D input (C, H, W), got ",
         input.sizes);
  TensorRef x =
      ops::cast(input, itemsize(input.dtype) == 2 && is_floating(input.dtype) ? DType::Float32 : input.dtype);
  return ops::contiguous(*x);
}

Form checked_form(const Dims& kernel, const Dims& stride, const Dims& padding, const char* op) {
  Form form;
  pair(kernel, form.kernel, op, "kernel_size", 1);
  pair(stride.empty() ? kernel : stride, form.stride, op, "stride", 1);
  pair(padding, form.padding, op, "padding", 0);
  for (int k = 0; k < 2; ++k) {
    if (form.padding[k] * 2 > form.kernel[k])
      fail(ErrorKind::Runtime, "[", op, "] padding should be at most half of the kernel size, got padding ",
           padding, " and kernel_size ", kernel);
  }
  return form;
}

void check_output(const Form& form, const Tensor& x, const char* op) {
  const Plan plan(form, x.sizes);
  if (plan.rows.count() < 1 || plan.columns.count() < 1)
    fail(ErrorKind::Shape, "[", op, "] input of shape ", x.sizes,
         " is smaller than the window: the output would be empty");
  // A dilated window may begin before a small input and step over it.
  for (const Windows* windows : {&plan.rows, &plan.columns})
    for (int64_t o = 0; o < windows->count(); ++o)
      if (windows->first[o] >= windows->last[o])
        fail(ErrorKind::Shape, "[", op, "] a window of input of shape ", x.sizes,
             " lies in the padding alone");
}

Result max_result(Tensor& input, Tensor& x, const Form& form) {
  Outputs out = apply(kMaxPool, {&x}, form.pack());
  std::vector<TensorRef> both = {ops::cast(*out.tensor[0], input.dtype), std::move(out.tensor[1])};
  return Result(std::move(both));
}

Result max_pool2d(Args& args) {
  Tensor& input = args.tensor(0);
  TensorRef x = checked_input(input, "max_pool2d");
  Form form = checked_form(args.ints(1), args.ints(2), args.ints(3), "max_pool2d");
  pair(args.ints(4), form.dilation, "max_pool2d", "dilation", 1);
  form.ceil = args.flag(5);
  check_output(form, *x, "max_pool2d");
  return max_result(input, *x, form);
}

Result avg_pool2d(Args& args) {
  Tensor& input = args.tensor(0);
  TensorRef x = checked_input(input, "avg_pool2d");
  Form form = checked_form(args.ints(1), args.ints(2), args.ints(3), "avg_pool2d");
  form.ceil = args.flag(4);
  form.padding_counts = args.flag(5);
  if (auto divisor = args.optional_integer(6)) {
    if (*divisor == 0) fail(ErrorKind::Runtime, "[avg_pool2d] divisor_override must not be zero");
    form.divisor = *divisor;
  }
  check_output(form, *x, "avg_pool2d");
  TensorRef y = apply(kAvgPool, {x.get()}, form.pack());
  return Result(ops::cast(*y, input.dtype));
}

Form adaptive_form(const Tensor& x, const Dims& sizes, const char* op) {
  Form form;
  form.adaptive = true;
  pair(sizes, form.kernel, op, "output_size", 0);
  if (x.sizes[x.rank() - 1] == 0 || x.sizes[x.rank() - 2] == 0)
    fail(ErrorKind::Shape, "[", op, "] expected images with at least one element, got ", x.sizes);
  return form;
}

Result adaptive_avg_pool2d(Args& args) {
  Tensor& input = args.tensor(0);
  TensorRef x = checked_input(input, "adaptive_avg_pool2d");
  TensorRef y = apply(kAvgPool, {x.get()}, adaptive_form(*x, args.ints(1), "adaptive_avg_pool2d").pack());
  return Result(ops::cast(*y, input.dtype));
}

Result adaptive_max_pool2d(Args& args) {
  Tensor& input = args.tensor(0);
  TensorRef x = checked_input(input, "adaptive_max_pool2d");
  return max_result(input, *x, adaptive_form(*x, args.ints(1), "adaptive_max_pool2d"));
}

const Function kMaxPoolFunction("max_pool2d", max_pool2d);
const Function kAvgPoolFunction("avg_pool2d", avg_pool2d);
const Function kAdaptiveAvgFunction("adaptive_avg_pool2d", adaptive_avg_pool2d);
const Function kAdaptiveMaxFunction("adaptive_max_pool2d", adaptive_max_pool2d);

}  // namespace

}  // namespace versant
