// The functions of pooling: arguments and their checks.
#include "machine/call.h"
#include "machine/ops.h"
#include "machine/pooling.h"
#include "machine/trace.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

using pooling::Form;

// One number for all axes, or one for each, at least `least`, to the last places of `to`.
void per_axis(std::array<int64_t, 3>& to, const Dims& given, int axes, const char* op, const char* what,
              int64_t least) {
  if (given.size() != 1 && given.size() != axes)
    fail(ErrorKind::Shape, "[", op, "] expected one number or ", axes, " for ", what, ", got ", given);
  for (int d = 0; d < axes; ++d) {
    const int64_t value = given[given.size() == 1 ? 0 : d];
    if (value < least || value > INT32_MAX)
      fail(ErrorKind::Shape, "[", op, "] ", what, " must be at least ", least, ", got ", given);
    to[static_cast<size_t>(3 - axes + d)] = value;
  }
}

const char* axes_of(int axes) { return axes == 1 ? "L" : axes == 2 ? "H, W" : "D, H, W"; }

void check_input(Tensor& x, int axes, const char* op) {
  bool fits = x.rank() == axes + 1 || x.rank() == axes + 2;
  for (int d = x.rank() == axes + 2 ? 1 : 0; fits && d < x.rank(); ++d) fits = x.sizes[d] > 0;
  if (!fits)
    fail(ErrorKind::Shape, "[", op, "] expected ", axes + 2, "-D input (N, C, ", axes_of(axes), ") or (C, ",
         axes_of(axes), ") with no empty axis but N, got ", x.sizes);
}

// The input as (N, C, ...), of a dtype that kernels read. The results go back by `restored`.
struct Given {
  TensorRef x;
  DType dtype;
  bool batched;

  Given(Tensor& input, int axes) : x(&input), dtype(input.dtype), batched(input.rank() == axes + 2) {
    if (is_half(dtype)) x = ops::cast(*x, DType::Float32);
    if (!batched) x = ops::unsqueeze(*x, 0);
  }
  TensorRef restored(TensorRef y) const {
    if (!batched) y = ops::squeeze(*y, Dims{0});
    return y->dtype == DType::Float32 && is_half(dtype) ? ops::cast(*y, dtype) : y;
  }
};

void check_windows(const Form& form, const Tensor& x, const char* op) {
  const pooling::Plan plan(form, x.sizes);
  if (plan.outputs() < 1)
    fail(ErrorKind::Shape, "[", op, "] input of shape ", x.sizes,
         " is smaller than the window: the output would be empty");
  // A dilated window may begin before a small input and step over it.
  for (const pooling::Windows& windows : plan.axes)
    for (size_t o = 0; o < windows.first.size(); ++o)
      if (windows.first[o] >= windows.last[o])
        fail(ErrorKind::Shape, "[", op, "] a window of input of shape ", x.sizes,
             " lies in the padding alone");
}

Form checked_form(const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation, int axes,
                  const char* op) {
  Form form;
  per_axis(form.kernel, kernel, axes, op, "kernel_size", 1);
  per_axis(form.stride, stride.empty() ? kernel : stride, axes, op, "stride", 1);
  per_axis(form.padding, padding, axes, op, "padding", 0);
  per_axis(form.dilation, dilation, axes, op, "dilation", 1);
  for (size_t d = 0; d < 3; ++d) {
    if (form.padding[d] * 2 > form.dilation[d] * (form.kernel[d] - 1) + 1)
      fail(ErrorKind::Runtime, "[", op, "] padding should be at most half of the kernel size, got padding ",
           padding, " and kernel_size ", kernel);
  }
  return form;
}

Result both(const Given& given, Outputs out) {
  std::vector<TensorRef> results = {given.restored(std::move(out.tensor[0])),
                                    given.restored(std::move(out.tensor[1]))};
  return Result(std::move(results));
}

// max_pool(input, kernel_size, stride, padding, dilation, ceil_mode) -> values, places
template <int axes>
Result max_pool(Args& a) {
  check_input(a.tensor(0), axes, a.name());
  if (a.tensor(0).dtype == DType::Bool)
    fail(ErrorKind::DType, "[", a.name(), "] expected numbers, got a tensor of bool");
  Form form = checked_form(a.ints(1), a.ints(2), a.ints(3), a.ints(4), axes, a.name());
  form.ceil = a.flag(5);
  const Given given(a.tensor(0), axes);
  check_windows(form, *given.x, a.name());
  return both(given, pooling::max_pool(*given.x, form));
}

void check_means(const Tensor& x, const char* op) {
  if (!x.is_floating() && x.dtype != DType::Int64)
    fail(ErrorKind::DType, "[", op, "] expected floating-point or int64 numbers, got ", name(x.dtype));
}

// avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
template <int axes>
Result avg_pool(Args& a) {
  check_input(a.tensor(0), axes, a.name());
  check_means(a.tensor(0), a.name());
  Form form = checked_form(a.ints(1), a.ints(2), a.ints(3), Dims{1}, axes, a.name());
  form.ceil = a.flag(4);
  form.padding_counts = a.flag(5);
  if (const std::optional<int64_t> divisor = a.optional_integer(6)) {
    if (*divisor == 0) fail(ErrorKind::Runtime, "[", a.name(), "] divisor_override must not be zero");
    form.divisor = *divisor;
  }
  const Given given(a.tensor(0), axes);
  check_windows(form, *given.x, a.name());
  return Result(given.restored(pooling::avg_pool(*given.x, form)));
}

Form adaptive_form(Args& a, int axes) {
  check_input(a.tensor(0), axes, a.name());
  Form form;
  form.adaptive = true;
  per_axis(form.kernel, a.ints(1), axes, a.name(), "output_size", 0);
  return form;
}

// adaptive_avg_pool(input, output_size)
template <int axes>
Result adaptive_avg_pool(Args& a) {
  const Form form = adaptive_form(a, axes);
  check_means(a.tensor(0), a.name());
  const Given given(a.tensor(0), axes);
  return Result(given.restored(pooling::avg_pool(*given.x, form)));
}

// adaptive_max_pool(input, output_size) -> values, places
template <int axes>
Result adaptive_max_pool(Args& a) {
  const Form form = adaptive_form(a, axes);
  if (!a.tensor(0).is_floating())
    fail(ErrorKind::DType, "[", a.name(), "] expected floating-point numbers, got ", name(a.tensor(0).dtype));
  const Given given(a.tensor(0), axes);
  return both(given, pooling::max_pool(*given.x, form));
}

// max_unpool(input, indices, output_size): output_size of the images
template <int axes>
Result max_unpool(Args& a) {
  Tensor &input = a.tensor(0), &places = a.tensor(1);
  check_input(input, axes, a.name());
  if (places.dtype != DType::Int64)
    fail(ErrorKind::DType, "[", a.name(), "] expected int64 indices, got ", name(places.dtype));
  if (places.sizes != input.sizes)
    fail(ErrorKind::Shape, "[", a.name(), "] expected indices of the input's shape ", input.sizes, ", got ",
         places.sizes);
  std::array<int64_t, 3> sizes{1, 1, 1};
  per_axis(sizes, a.ints(2), axes, a.name(), "output_size", 1);
  const int64_t image = sizes[0] * sizes[1] * sizes[2];
  trace::reach({&places});
  const Array* const read[] = {&places};
  trace::perform("check_indices", read, {}, [image, name = a.name()](std::span<const Array> arrays) {
    const Array flat = arrays[0].to_contiguous();
    for (int64_t i = 0; i < flat.numel; ++i)
      if (flat.as<int64_t>()[i] < 0 || flat.as<int64_t>()[i] >= image)
        fail(ErrorKind::Shape, "[", name, "] index ", flat.as<int64_t>()[i], " lies outside of images of ",
             image, " elements");
  });
  const Given given(input, axes);
  TensorRef where = given.batched ? TensorRef(&places) : ops::unsqueeze(places, 0);
  Dims spatial;
  for (size_t d = 3 - axes; d < 3; ++d) spatial.push_back(sizes[d]);
  return Result(given.restored(pooling::unpool(*given.x, *where, spatial)));
}

const Function kMax1("max_pool1d", max_pool<1>), kMax2("max_pool2d", max_pool<2>),
    kMax3("max_pool3d", max_pool<3>);
const Function kAvg1("avg_pool1d", avg_pool<1>), kAvg2("avg_pool2d", avg_pool<2>),
    kAvg3("avg_pool3d", avg_pool<3>);
const Function kAdaptiveAvg1("adaptive_avg_pool1d", adaptive_avg_pool<1>),
    kAdaptiveAvg2("adaptive_avg_pool2d", adaptive_avg_pool<2>),
    kAdaptiveAvg3("adaptive_avg_pool3d", adaptive_avg_pool<3>);
const Function kAdaptiveMax1("adaptive_max_pool1d", adaptive_max_pool<1>),
    kAdaptiveMax2("adaptive_max_pool2d", adaptive_max_pool<2>),
    kAdaptiveMax3("adaptive_max_pool3d", adaptive_max_pool<3>);
const Function kUnpool1("max_unpool1d", max_unpool<1>), kUnpool2("max_unpool2d", max_unpool<2>),
    kUnpool3("max_unpool3d", max_unpool<3>);

}  // namespace

}  // namespace versant
