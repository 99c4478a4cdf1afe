// Pooling: the largest or the mean of windows.
#include "machine/pooling.h"

#include <limits>
#include <type_traits>

#include "machine/index_checks.h"
#include "machine/lock.h"
#include "machine/memory_format.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant::pooling {

Attributes Form::pack() const {
  Attributes a;
  a.ints = Dims{adaptive, ceil, padding_counts, last, divisor};
  for (const auto* numbers : {&kernel, &stride, &padding, &dilation})
    for (const int64_t value : *numbers) a.ints.push_back(value);
  return a;
}

Form Form::unpack(const Attributes& a) {
  Form f;
  f.adaptive = a.ints[0] != 0;
  f.ceil = a.ints[1] != 0;
  f.padding_counts = a.ints[2] != 0;
  f.last = a.ints[3] != 0;
  f.divisor = a.ints[4];
  int at = 5;
  for (auto* numbers : {&f.kernel, &f.stride, &f.padding, &f.dilation})
    for (int64_t& value : *numbers) value = a.ints[at++];
  return f;
}

bool Form::admits(const Dims& sizes) const {
  constexpr int64_t kMost = int64_t{1} << 24;
  if (sizes.size() < 3 || sizes.size() > 5 || (last && sizes.size() < 4) || divisor < 0) return false;
  for (size_t a = 0; a < 3; ++a) {
    for (const int64_t value : {kernel[a], stride[a], dilation[a]})
      if (value < 1 || value > kMost) return false;
    if (padding[a] < 0 || 2 * padding[a] > kernel[a]) return false;
    const bool used = static_cast<int>(a) >= 5 - sizes.size();
    if (used) {
      const int64_t size = sizes[sizes.size() - 3 + static_cast<int>(a)];
      if (size < 1 || size > kMost) return false;
    } else if (kernel[a] != 1 || stride[a] != 1 || padding[a] != 0 || dilation[a] != 1) {
      return false;
    }
  }
  return true;
}

Windows Form::windows(int axis, int64_t size) const {
  const auto a = static_cast<size_t>(axis);
  Windows w;
  if (adaptive) {
    const int64_t n = kernel[a];
    for (int64_t o = 0; o < n; ++o) {
      w.first.push_back(o * size / n);
      w.last.push_back(((o + 1) * size + n - 1) / n);
      w.padded.push_back(w.last.back() - w.first.back());
    }
    return w;
  }
  const int64_t reach = dilation[a] * (kernel[a] - 1) + 1, room = size + 2 * padding[a] - reach;
  const int64_t steps = room + (ceil ? stride[a] - 1 : 0);  // a part of a window counts when `ceil`
  int64_t n = steps < 0 ? 0 : steps / stride[a] + 1;
  // The last window must begin inside the input or its left padding.
  if (ceil && n > 0 && (n - 1) * stride[a] >= size + padding[a]) --n;
  w.dilation = dilation[a];
  for (int64_t o = 0; o < n; ++o) {
    int64_t begin = o * stride[a] - padding[a];
    const int64_t end = begin + reach;
    w.padded.push_back(std::min(end, size + padding[a]) - begin);
    if (begin < 0) begin += (-begin + w.dilation - 1) / w.dilation * w.dilation;
    w.first.push_back(begin);
    w.last.push_back(std::min(end, size));
  }
  return w;
}

Plan::Plan(const Form& form, const Dims& sizes) : out_sizes(sizes) {
  const int n = sizes.size() - 2;
  for (int d = 0; d < 3; ++d) {
    const auto a = static_cast<size_t>(d);
    const bool present = d >= 3 - n;
    in[a] = present ? sizes[sizes.size() - 3 + d] : 1;
    axes[a] = form.windows(d, in[a]);
    if (present) out_sizes[sizes.size() - 3 + d] = axes[a].count();
  }
}

double Plan::divisor(const Form& form, int64_t z, int64_t y, int64_t x) const {
  if (form.divisor) return static_cast<double>(form.divisor);
  const int64_t at[] = {z, y, x};
  int64_t count = 1;
  for (size_t d = 0; d < 3; ++d) {
    const auto o = static_cast<size_t>(at[d]);
    count *=
        form.padding_counts ? axes[d].padded[o] : std::max<int64_t>(0, axes[d].last[o] - axes[d].first[o]);
  }
  return static_cast<double>(count);
}

namespace {

constexpr int64_t kUnlocked = 100000, kGrain = 16384;  // elements

Array empty_as(const Dims& sizes, DType dtype, bool last) {
  return last ? empty_channels_last(sizes, dtype) : Array::empty(sizes, dtype);
}

// Results keep channels-last; what lies otherwise is read as row-major.
Array readable(const Array& x) { return is_channels_last(x) ? x : x.to_contiguous(); }
Array laid_as(const Array& x, bool last) {
  if (last ? lies_channels_last(x) : x.contiguous) return x;
  const Array copy = empty_as(x.sizes, x.dtype, last);
  copy_into(copy, x);
  return copy;
}

// Runs body(sample, first channel, channels): one channel at a time of row-major arrays, stretches of
// neighbouring channels of channels-last ones.
template <typename Body>
void each_plane(int64_t batch, int64_t channels, int64_t work, bool last, Body&& body) {
  const Unlocked unlocked(batch * channels * work > kUnlocked);
  const int64_t stretch = last ? std::max<int64_t>(1, std::min<int64_t>(channels, 64)) : 1;
  const int64_t pieces = (channels + stretch - 1) / stretch;
  parallel_for(batch * pieces, std::max<int64_t>(1, kGrain / std::max<int64_t>(work * stretch, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t first = i % pieces * stretch;
                   body(i / pieces, first, std::min(stretch, channels - first));
                 }
               });
}

// Runs body(output place, its z, y, x) over all windows.
template <typename Body>
void each_window(const Plan& plan, Body&& body) {
  int64_t place = 0;
  for (int64_t z = 0; z < plan.axes[0].count(); ++z)
    for (int64_t y = 0; y < plan.axes[1].count(); ++y)
      for (int64_t x = 0; x < plan.axes[2].count(); ++x) body(place++, z, y, x);
}

// Runs body(place in the image) over the elements of one window, in row-major order.
template <typename Body>
void each_element(const Plan& plan, int64_t z, int64_t y, int64_t x, Body&& body) {
  const Windows &wz = plan.axes[0], &wy = plan.axes[1], &wx = plan.axes[2];
  const auto oz = static_cast<size_t>(z), oy = static_cast<size_t>(y), ox = static_cast<size_t>(x);
  for (int64_t i = wz.first[oz]; i < wz.last[oz]; i += wz.dilation)
    for (int64_t j = wy.first[oy]; j < wy.last[oy]; j += wy.dilation)
      for (int64_t k = wx.first[ox]; k < wx.last[ox]; k += wx.dilation)
        body((i * plan.in[1] + j) * plan.in[2] + k);
}

// From one image place to the next, and from one channel to the next, of arrays as `readable` gives them.
struct Steps {
  int64_t place, channel;
  Steps(bool last, int64_t channels, int64_t places)
      : place(last ? channels : 1), channel(last ? 1 : places) {}
};

// Index: of places meanwhile. One as wide as T lets the loops over channels run in vectors.
template <typename T, typename Index>
void largest(const Plan& plan, const Array& x, const Array& out, const Array& where, bool last) {
  const int64_t channels = x.sizes[1], inputs = plan.inputs(), outputs = plan.outputs();
  const Steps in(last, channels, inputs), to(last, channels, outputs);
  each_plane(x.sizes[0], channels, inputs + outputs, last, [&](int64_t n, int64_t first, int64_t count) {
    const T* const from = x.as<T>() + n * channels * inputs + first * in.channel;
    T* const values = out.as<T>() + n * channels * outputs + first * to.channel;
    int64_t* const places = where.as<int64_t>() + n * channels * outputs + first * to.channel;
    T best[64];
    Index at[64];
    each_window(plan, [&](int64_t o, int64_t z, int64_t y, int64_t w) {
      bool begun = false;
      each_element(plan, z, y, w, [&](int64_t place) {
        const T* const element = from + place * in.place;
        if (!begun) {
          for (int64_t c = 0; c < count; ++c) best[c] = element[c], at[c] = static_cast<Index>(place);
          begun = true;
          return;
        }
        const auto index = static_cast<Index>(place);
        for (int64_t c = 0; c < count; ++c) {
          const T a = element[c], b = best[c];
          const bool better = (a > b) | ((a != a) & (b == b));
          best[c] = better ? a : b;
          at[c] = better ? index : at[c];
        }
      });
      for (int64_t c = 0; c < count; ++c) values[o * to.place + c] = best[c];
      for (int64_t c = 0; c < count; ++c) places[o * to.place + c] = at[c];
    });
  });
}

// Outputs: the largest of each window (NaN counts as larger than all), and its place in its image.
struct MaxPool final : Primitive {
  const char* name() const override { return "max_pool"; }
  bool batch(Batch& b) const override { return b.folds(); }
  bool admits(const Claim& c) const override {
    return c.counts(1, 2, Form::kInts) && Form::unpack(c.attributes).admits(c.in[0]->sizes);
  }
  void run(Run& run) const override {
    const Array x = readable(*run.in[0]);
    const bool last = is_channels_last(x);
    const Plan plan(Form::unpack(run.attributes), x.sizes);
    run.out[0] = empty_as(plan.out_sizes, x.dtype, last);
    run.out[1] = empty_as(plan.out_sizes, DType::Int64, last);
    run.n_outputs = 2;
    visit_number(x.dtype, [&]<typename T>() {
      using Narrow = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
      const bool fits = plan.inputs() <= std::numeric_limits<Narrow>::max();
      (fits ? largest<T, Narrow> : largest<T, int64_t>)(plan, x, run.out[0], run.out[1], last);
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {0, 2}; }
  void vjp(Vjp& vjp) const override;
};

// What reading or writing at chosen places shares: body(image, result or gradient plane, places, count).
template <typename T, typename Body>
void at_places(const Array& images, const Array& planes, const Array& places, bool last, Body&& body) {
  const int64_t channels = images.sizes[1];
  const int64_t inputs = channels && images.sizes[0] ? images.numel / (images.sizes[0] * channels) : 0;
  const int64_t outputs = channels && images.sizes[0] ? places.numel / (images.sizes[0] * channels) : 0;
  const Steps in(last, channels, inputs), to(last, channels, outputs);
  each_plane(images.sizes[0], channels, inputs + outputs, last, [&](int64_t n, int64_t first, int64_t count) {
    T* const image = images.as<T>() + n * channels * inputs + first * in.channel;
    T* const plane = planes.as<T>() + n * channels * outputs + first * to.channel;
    const int64_t* const chosen = places.as<int64_t>() + n * channels * outputs + first * to.channel;
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t c = 0; c < count; ++c)
        body(image[chosen[o * to.place + c] * in.place + c], plane[o * to.place + c]);
  });
}

Dims with_spatial(const Dims& sizes, const Dims& spatial) {
  Dims result = {sizes[0], sizes[1]};
  for (const int64_t size : spatial) result.push_back(size);
  return result;
}

// Spreads a gradient to the places that were chosen: adding up, or of several the last (ints[0]). Inputs:
// gradient, places. Further ints: whether the images are channels-last, and their sizes.
struct SpreadPlaces final : Primitive {
  const char* name() const override { return "max_pool_spread"; }
  bool batch(Batch& b) const override { return b.folds(); }
  bool admits(const Claim& c) const override {
    if (c.in.size() != 2 || c.out.size() != 1) return false;
    const Array &grad = *c.in[0], &places = *c.in[1];
    const bool last = c.attributes.ints.size() > 1 && c.attributes.ints[1] != 0;
    if (grad.rank() < (last ? 4 : 3) || grad.rank() > 5 || places.sizes != grad.sizes ||
        places.dtype != DType::Int64 || c.attributes.ints.size() != grad.rank())
      return false;
    for (int i = 2; i < c.attributes.ints.size(); ++i)
      if (!c.within(i, 1, int64_t{1} << 24)) return false;
    return true;
  }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes& a) const override {
    double image = 1;  // of sizes that may be too many for an integer
    for (int i = 2; i < a.ints.size(); ++i) image *= static_cast<double>(a.ints[i]);
    check_bounds(name(), in[1], 0, static_cast<int64_t>(std::min(image, 0x1p62)));
  }
  void run(Run& run) const override {
    const bool adds = run.attributes.ints[0] != 0, last = run.attributes.ints[1] != 0;
    const Array grad = laid_as(*run.in[0], last), places = laid_as(*run.in[1], last);
    const Dims spatial(std::span<const int64_t>(run.attributes.ints.begin() + 2, run.attributes.ints.end()));
    run.out[0] = empty_as(with_spatial(grad.sizes, spatial), grad.dtype, last);
    fill(run.out[0].view(Dims{run.out[0].numel}, Dims{1}), Scalar::of_int(0));
    if (grad.numel == 0) return;
    visit_number(grad.dtype, [&]<typename T>() {
      if (adds)
        at_places<T>(run.out[0], grad, places, last,
                     [](T& image, T& value) { image = static_cast<T>(image + value); });
      else
        at_places<T>(run.out[0], grad, places, last, [](T& image, T& value) { image = value; });
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {2, 0}; }
  void vjp(Vjp& vjp) const override;
};

// Reads images at the places that were chosen. Inputs: images, places.
struct PickPlaces final : Primitive {
  const char* name() const override { return "max_pool_pick"; }
  bool batch(Batch& b) const override { return b.folds(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    if (!c.counts(2, 1, 0) || c.in[1]->dtype != DType::Int64) return false;
    const Dims &images = c.in[0]->sizes, &places = c.in[1]->sizes;
    return images.size() >= 3 && images.size() <= 5 && places.size() == images.size() &&
           places[0] == images[0] && places[1] == images[1];
  }
  bool trusts_values() const override { return true; }
  void check_values(std::span<const Array> in, const Attributes&) const override {
    const int64_t planes = in[0].sizes[0] * in[0].sizes[1];
    if (in[0].numel) check_bounds(name(), in[1], 0, in[0].numel / planes);
  }
  void run(Run& run) const override {
    const bool last = is_channels_last(*run.in[1]);
    const Array x = laid_as(*run.in[0], last), places = laid_as(*run.in[1], last);
    run.out[0] = empty_as(places.sizes, x.dtype, last);
    if (x.numel == 0) return;
    visit_number(x.dtype, [&]<typename T>() {
      at_places<T>(x, run.out[0], places, last, [](T& image, T& value) { value = image; });
    });
  }
  Saves saves(const Attributes&, uint32_t) const override { return {2, 0}; }
  void vjp(Vjp& vjp) const override;
};

const MaxPool kMaxPool;
const SpreadPlaces kSpread;
const PickPlaces kPick;

Attributes spread_to(const Dims& sizes, bool adds, bool last) {
  Attributes a;
  a.ints.push_back(adds);
  a.ints.push_back(last);
  for (int d = 2; d < sizes.size(); ++d) a.ints.push_back(sizes[d]);
  return a;
}

void MaxPool::vjp(Vjp& vjp) const {
  if (!vjp.grad()) return;
  TensorRef places = vjp.output(1);
  const bool last = Form::unpack(vjp.attributes()).last;
  vjp.set(0, apply(kSpread, {vjp.grad().get(), places.get()}, spread_to(vjp.input_sizes(0), true, last)));
}
void SpreadPlaces::vjp(Vjp& vjp) const {
  TensorRef places = vjp.input(1);
  vjp.set(0, apply(kPick, {vjp.grad().get(), places.get()}));
}
void PickPlaces::vjp(Vjp& vjp) const {
  TensorRef places = vjp.input(1);
  const bool last = is_channels_last(*places);
  vjp.set(0, apply(kSpread, {vjp.grad().get(), places.get()}, spread_to(vjp.input_sizes(0), true, last)));
}

// --- means: sums run in float64, over a window in row-major order

template <typename T>
void means(const Plan& plan, const Form& form, const Array& x, const Array& out, bool last) {
  const int64_t channels = x.sizes[1], inputs = plan.inputs(), outputs = plan.outputs();
  const Steps in(last, channels, inputs), to(last, channels, outputs);
  each_plane(x.sizes[0], channels, inputs + outputs, last, [&](int64_t n, int64_t first, int64_t count) {
    const T* const from = x.as<T>() + n * channels * inputs + first * in.channel;
    T* const values = out.as<T>() + n * channels * outputs + first * to.channel;
    double sum[64];
    each_window(plan, [&](int64_t o, int64_t z, int64_t y, int64_t w) {
      std::fill_n(sum, count, 0.0);
      each_element(plan, z, y, w, [&](int64_t place) {
        const T* const element = from + place * in.place;
        for (int64_t c = 0; c < count; ++c) sum[c] += static_cast<double>(element[c]);
      });
      const double divisor = plan.divisor(form, z, y, w);
      for (int64_t c = 0; c < count; ++c) values[o * to.place + c] = static_cast<T>(sum[c] / divisor);
    });
  });
}

template <typename T>
void spread_means(const Plan& plan, const Form& form, const Array& grad, const Array& out, bool last) {
  const int64_t channels = grad.sizes[1], inputs = plan.inputs(), outputs = plan.outputs();
  const Steps in(last, channels, inputs), to(last, channels, outputs);
  each_plane(grad.sizes[0], channels, inputs + outputs, last, [&](int64_t n, int64_t first, int64_t count) {
    const T* const from = grad.as<T>() + n * channels * outputs + first * to.channel;
    T* const image = out.as<T>() + n * channels * inputs + first * in.channel;
    for (int64_t i = 0; i < inputs; ++i) std::fill_n(image + i * in.place, count, T(0));
    T share[64];
    each_window(plan, [&](int64_t o, int64_t z, int64_t y, int64_t w) {
      const double divisor = plan.divisor(form, z, y, w);
      for (int64_t c = 0; c < count; ++c)
        share[c] = static_cast<T>(static_cast<double>(from[o * to.place + c]) / divisor);
      each_element(plan, z, y, w, [&](int64_t place) {
        T* const element = image + place * in.place;
        for (int64_t c = 0; c < count; ++c) element[c] += share[c];
      });
    });
  });
}

template <typename Body>
void by_dtype(DType dtype, Body&& body) {
  if (dtype == DType::Float64)
    body.template operator()<double>();
  else if (dtype == DType::Int64)
    body.template operator()<int64_t>();
  else
    body.template operator()<float>();
}

bool is_averaged(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::Float64 || dtype == DType::Int64;
}

struct AvgPool final : Primitive {
  const char* name() const override { return "avg_pool"; }
  bool batch(Batch& b) const override { return b.folds(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    if (!c.counts(1, 1, Form::kInts) || !is_averaged(c.in[0]->dtype)) return false;
    return Form::unpack(c.attributes).admits(c.in[0]->sizes);
  }
  void run(Run& run) const override {
    const Array x = readable(*run.in[0]);
    const bool last = is_channels_last(x);
    const Form form = Form::unpack(run.attributes);
    const Plan plan(form, x.sizes);
    run.out[0] = empty_as(plan.out_sizes, x.dtype, last);
    by_dtype(x.dtype, [&]<typename T>() { means<T>(plan, form, x, run.out[0], last); });
  }
  void vjp(Vjp& vjp) const override;
};

// ints: as AvgPool, then the sizes of the images.
struct AvgPoolBackward final : Primitive {
  const char* name() const override { return "avg_pool_backward"; }
  bool batch(Batch& b) const override { return b.folds(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override {
    const int rank = c.in.empty() ? 0 : c.in[0]->rank();
    if (rank < 3 || rank > 5 || !c.counts(1, 1, Form::kInts + rank - 2) || !is_averaged(c.in[0]->dtype))
      return false;
    const Form form = Form::unpack(c.attributes);
    const Dims& ints = c.attributes.ints;
    const Dims sizes =
        with_spatial(c.in[0]->sizes, Dims(std::span<const int64_t>(ints.begin() + Form::kInts, ints.end())));
    return form.admits(sizes) && Plan(form, sizes).out_sizes == c.in[0]->sizes;
  }
  void run(Run& run) const override {
    const Form form = Form::unpack(run.attributes);
    const bool last = form.last;
    const Array grad = laid_as(*run.in[0], last);
    const Dims spatial(
        std::span<const int64_t>(run.attributes.ints.begin() + Form::kInts, run.attributes.ints.end()));
    const Dims sizes = with_spatial(grad.sizes, spatial);
    const Plan plan(form, sizes);
    run.out[0] = empty_as(sizes, grad.dtype, last);
    by_dtype(grad.dtype, [&]<typename T>() { spread_means<T>(plan, form, grad, run.out[0], last); });
  }
  void vjp(Vjp& vjp) const override;
};

const AvgPool kAvgPool;
const AvgPoolBackward kAvgPoolBackward;

void AvgPool::vjp(Vjp& vjp) const {
  Attributes a = vjp.attributes();
  const Dims& sizes = vjp.input_sizes(0);
  for (int d = 2; d < sizes.size(); ++d) a.ints.push_back(sizes[d]);
  vjp.set(0, apply(kAvgPoolBackward, {vjp.grad().get()}, a));
}
void AvgPoolBackward::vjp(Vjp& vjp) const {
  Attributes a = vjp.attributes();
  a.ints.resize(Form::kInts);
  vjp.set(0, apply(kAvgPool, {vjp.grad().get()}, a));
}

}  // namespace

namespace {
Attributes packed(const Form& form, const Tensor& x) {
  Form known = form;
  known.last = is_channels_last(x);
  return known.pack();
}
}  // namespace

Outputs max_pool(Tensor& x, const Form& form) { return apply(kMaxPool, {&x}, packed(form, x)); }
TensorRef avg_pool(Tensor& x, const Form& form) { return apply(kAvgPool, {&x}, packed(form, x)); }
TensorRef unpool(Tensor& x, Tensor& places, const Dims& sizes) {
  return apply(kSpread, {&x, &places}, spread_to(with_spatial(x.sizes, sizes), false, is_channels_last(x)));
}

}  // namespace versant::pooling
