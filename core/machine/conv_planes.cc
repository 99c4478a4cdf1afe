// Note [Planes]
// A convolution is computed as correlations of padded planes. The channels of a sample are copied to working
// memory with their padding around them; with a stride s the copy also deals the lines and columns out to s *
// s planes ("phases"), so that every tap reads one plane at stride 1, shifted by a whole offset. A result at
// (y, x) is then a sum over taps and channels of plane[shift + y * width + x], which runs along whole
// vectors.
//
// The gradient of the input is the same with roles exchanged: the planes are those of the output's gradient,
// and each phase of the input's positions has the taps that reach it. The gradient of the weights sums
// plane[shift + y * width + x] * grad[y, x] over positions.
//
// Results are one chain of additions each, over taps and channels or over positions, however the work is cut.
// Only the weights' gradient is a sum of several chains: one for each sample, added up within a fixed number
// of groups of samples, and these added in order.
#include <algorithm>
#include <vector>

#include "machine/conv.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant {

namespace {

constexpr double kUnlockedWork = 1e6;     // multiply-adds from which a run gives the lock up
constexpr double kParallelWork = 3e5;     // ... and that a thread takes at least
constexpr int64_t kRegionBytes = 393216;  // of planes that a task works on
constexpr int64_t kSampleGroups = 8;      // of weight gradients
constexpr int64_t kSmallWeights = 65536;  // up to this many elements, each group has a sum of its own

using Size = std::ptrdiff_t;

// How the channels of one sample lie in working memory.
struct Planes {
  int64_t channels = 0, height = 0, width = 0;  // of the source
  int64_t stride_y = 1, stride_x = 1;           // phases
  int64_t pad_y = 0, pad_x = 0;                 // before the first line and column
  int64_t reach = 0;                            // lines that a region needs beyond its own
  int64_t lines_of_all = 0;                     // result lines of the whole sample
  int64_t plane_width = 0;
  std::vector<int> used;  // the phases that some tap reads: py * stride_x + px

  int64_t lines(int64_t region) const { return region + reach; }
  // From one channel to the next; an odd number of cache lines, so that channels spread over the cache.
  template <typename T>
  int64_t channel_step(int64_t region) const {
    constexpr int64_t line = 64 / sizeof(T);
    const int64_t elements = static_cast<int64_t>(used.size()) * lines(region) * plane_width;
    return ((elements + line - 1) / line | 1) * line;
  }
  int64_t phase_start(int64_t phase, int64_t region) const {
    const auto at = std::find(used.begin(), used.end(), static_cast<int>(phase)) - used.begin();
    return at * lines(region) * plane_width;
  }
};

// Copies lines [first, first + lines(region)) of the planes of some channels.
template <typename T>
void fill_planes(const Planes& p, T* out, const T* source, int64_t channels, int64_t first, int64_t region) {
  const int64_t step = p.channel_step<T>(region), lines = p.lines(region);
  for (int64_t c = 0; c < channels; ++c) {
    const T* image = source + c * p.height * p.width;
    T* line = out + c * step;
    for (const int phase : p.used) {
      const int64_t py = phase / p.stride_x, px = phase % p.stride_x;
      // Columns q of the plane hold q * stride_x + px - pad_x; those in [from, to) exist.
      const int64_t shift = px - p.pad_x;
      const int64_t from = std::min(p.plane_width, shift >= 0 ? 0 : (-shift + p.stride_x - 1) / p.stride_x);
      const int64_t to = std::clamp((p.width - shift + p.stride_x - 1) / p.stride_x, from, p.plane_width);
      for (int64_t l = 0; l < lines; ++l, line += p.plane_width) {
        const int64_t y = (first + l) * p.stride_y + py - p.pad_y;
        if (y < 0 || y >= p.height) {
          std::fill_n(line, p.plane_width, T(0));
          continue;
        }
        const T* from_line = image + y * p.width + shift;
        std::fill_n(line, from, T(0));
        if (p.stride_x == 1)
          std::copy(from_line + from, from_line + to, line + from);
        else
          for (int64_t q = from; q < to; ++q) line[q] = from_line[q * p.stride_x];
        std::fill(line + to, line + p.plane_width, T(0));
      }
    }
  }
}

// One correlation over the planes: which taps, and where its results go.
struct Pass {
  std::vector<int> phases;  // of each tap
  std::vector<int64_t> shift_y, shift_x;
  std::vector<Size> filter_taps;  // where each tap's filters begin
  int64_t filter = 0;             // from one result channel's filters to the next
  int64_t filters_start = 0;
  int64_t first_line = 0, lines = 0, columns = 0;  // results: the lines in units of a region's
  int64_t out_y = 0, out_x = 0, step_y = 1, step_x = 1;
};

struct Job {
  Planes planes;
  std::vector<Pass> passes;
  int64_t batch = 0, groups = 1;
  int64_t outputs = 0;                        // channels of a group's results
  int64_t filters_of_group = 0;               // elements
  int64_t source_sample = 0, out_sample = 0;  // elements of a sample
  int64_t out_height = 0, out_width = 0;
  double work = 0;
};

template <typename T>
void run_job(const Job& job, const T* source, const T* filters, const T* bias, T* out) {
  const CorrelationKernel kernel = sizeof(T) == 4 ? kernels->correlate_f32 : kernels->correlate_f64;
  const Planes& planes = job.planes;
  // Regions: as many lines as fit in cache; fewer when there are more threads than samples.
  const int64_t all = planes.lines_of_all;
  const int64_t line_bytes = planes.channels * static_cast<int64_t>(planes.used.size()) * planes.plane_width *
                             static_cast<int64_t>(sizeof(T));
  int64_t region =
      std::max<int64_t>({1, planes.reach, kRegionBytes / std::max<int64_t>(1, line_bytes) - planes.reach});
  const auto pieces = static_cast<int64_t>(std::min<double>(num_threads(), job.work / kParallelWork));
  const int64_t samples = job.batch * job.groups;
  if (samples < pieces)
    region = std::min(region, std::max<int64_t>(1, (all * samples + pieces - 1) / pieces));
  region = std::min(region, all);
  const int64_t regions = (all + region - 1) / region, tasks = samples * regions;
  const int64_t lanes = std::clamp<int64_t>(pieces, 1, tasks), stretch = (tasks + lanes - 1) / lanes;

  const int64_t step = planes.channel_step<T>(region);
  const size_t planes_bytes =
      (static_cast<size_t>(planes.channels * step) * sizeof(T) + kPlanesSlack + 63) / 64 * 64;
  const size_t each = planes_bytes + (correlation_scratch(planes.plane_width, sizeof(T)) + 63) / 64 * 64;
  Scratch scratch(each * static_cast<size_t>(lanes));
  std::vector<std::vector<Size>> plane_taps;
  for (const Pass& pass : job.passes) {
    std::vector<Size>& starts = plane_taps.emplace_back();
    for (size_t t = 0; t < pass.phases.size(); ++t)
      starts.push_back(planes.phase_start(pass.phases[t], region) + pass.shift_y[t] * planes.plane_width +
                       pass.shift_x[t]);
  }

  Unlocked unlocked(job.work >= kUnlockedWork);
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      std::byte* const memory = scratch.data() + static_cast<size_t>(lane) * each;
      T* const held = reinterpret_cast<T*>(memory);
      for (int64_t task = lane * stretch; task < std::min(tasks, (lane + 1) * stretch); ++task) {
        const int64_t group = task / regions % job.groups, sample = task / regions / job.groups;
        const int64_t first = task % regions * region, past = std::min(all, first + region);
        fill_planes(
            planes, held,
            source + sample * job.source_sample + group * planes.channels * planes.height * planes.width,
            planes.channels, first, region);
        for (size_t p = 0; p < job.passes.size(); ++p) {
          const Pass& pass = job.passes[p];
          const int64_t top = std::max(first, pass.first_line);
          const int64_t lines = std::min(past, pass.first_line + pass.lines) - top;
          if (lines <= 0 || pass.columns <= 0) continue;
          Correlation c;
          c.planes = held + (top - first) * planes.plane_width;
          c.plane = step;
          c.channels = planes.channels;
          c.filters = filters + group * job.filters_of_group + pass.filters_start;
          c.filter = pass.filter;
          c.outputs = job.outputs;
          c.taps = static_cast<Size>(pass.phases.size());
          c.plane_taps = plane_taps[p].data();
          c.filter_taps = pass.filter_taps.data();
          c.rows = lines;
          c.columns = pass.columns;
          c.width = planes.plane_width;
          const int64_t image = job.out_height * job.out_width;
          c.out_channel = image;
          c.out_row = pass.step_y * job.out_width;
          c.out_column = pass.step_x;
          c.out = out + sample * job.out_sample + group * job.outputs * image +
                  (pass.out_y + (top - pass.first_line) * pass.step_y) * job.out_width + pass.out_x;
          c.bias = bias ? bias + group * job.outputs : nullptr;
          kernel(c, memory + planes_bytes);
        }
      }
    }
  });
}

double work_of(const ConvShape& s) {
  return static_cast<double>(s.batch) * static_cast<double>(s.out) * static_cast<double>(s.group_in()) *
         static_cast<double>(s.y().kernel * s.x().kernel) * static_cast<double>(s.y().out * s.x().out);
}

// The planes of the input, as the forward pass and the weights' gradient read them.
Planes input_planes(const ConvShape& s) {
  Planes p;
  p.channels = s.group_in();
  p.height = s.y().in;
  p.width = s.x().in;
  p.stride_y = s.y().stride;
  p.stride_x = s.x().stride;
  p.pad_y = s.y().pad;
  p.pad_x = s.x().pad;
  p.reach = (s.y().kernel - 1) * s.y().dilation / s.y().stride;
  p.lines_of_all = s.y().out;
  p.plane_width = s.x().out + (s.x().kernel - 1) * s.x().dilation / s.x().stride;
  for (int64_t ty = 0; ty < s.y().kernel; ++ty) {
    for (int64_t tx = 0; tx < s.x().kernel; ++tx) {
      const auto phase = static_cast<int>(ty * s.y().dilation % s.y().stride * s.x().stride +
                                          tx * s.x().dilation % s.x().stride);
      if (std::find(p.used.begin(), p.used.end(), phase) == p.used.end()) p.used.push_back(phase);
    }
  }
  return p;
}

// Elements of a filter as they are read, for each result channel: padded so that filters of many channels do
// not meet in one set of the cache.
int64_t filter_step(int64_t elements, size_t itemsize) {
  const auto line = static_cast<int64_t>(64 / itemsize);
  return elements * static_cast<int64_t>(itemsize) % 512 == 0 ? elements + line : elements;
}

template <typename T>
void forward(const ConvShape& s, const Array& x, const Array& weight, const Array* bias, const Array& y) {
  Job job;
  job.planes = input_planes(s);
  job.batch = s.batch;
  job.groups = s.groups;
  job.outputs = s.group_out();
  job.source_sample = s.in * s.y().in * s.x().in;
  job.out_sample = s.out * s.y().out * s.x().out;
  job.out_height = s.y().out;
  job.out_width = s.x().out;
  job.work = work_of(s);
  Pass pass;
  const int64_t channels = s.group_in(), taps = s.y().kernel * s.x().kernel;
  pass.filter = filter_step(taps * channels, sizeof(T));
  pass.lines = s.y().out;
  pass.columns = s.x().out;
  for (int64_t ty = 0; ty < s.y().kernel; ++ty) {
    for (int64_t tx = 0; tx < s.x().kernel; ++tx) {
      const int64_t uy = ty * s.y().dilation, ux = tx * s.x().dilation;
      pass.phases.push_back(static_cast<int>(uy % s.y().stride * s.x().stride + ux % s.x().stride));
      pass.shift_y.push_back(uy / s.y().stride);
      pass.shift_x.push_back(ux / s.x().stride);
      pass.filter_taps.push_back((ty * s.x().kernel + tx) * channels);
    }
  }
  job.filters_of_group = pass.filter * job.outputs;
  Scratch filters(static_cast<size_t>(pass.filter * s.out) * sizeof(T));
  T* const f = reinterpret_cast<T*>(filters.data());
  const T* w = weight.as<T>();
  for (int64_t o = 0; o < s.out; ++o)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < taps; ++t) f[o * pass.filter + t * channels + c] = *w++;
  job.passes.push_back(std::move(pass));
  run_job<T>(job, x.as<T>(), f, bias ? bias->as<T>() : nullptr, y.as<T>());
}

// Which taps of an axis reach the input positions of one phase, and where these positions lie.
struct Reached {
  std::vector<int64_t> taps, shifts;  // shifts: of the output's gradient, counted back from the line
  int64_t first = 0;                  // line of the first position: (position + pad) / stride
  int64_t position = 0, count = 0;
};

Reached reached(const ConvAxis& a, int64_t phase) {
  Reached r;
  for (int64_t t = 0; t < a.kernel; ++t) {
    if (t * a.dilation % a.stride != phase) continue;
    r.taps.push_back(t);
    r.shifts.push_back((t * a.dilation - phase) / a.stride);
  }
  // The first position i >= 0 with (i + pad) % stride == phase.
  r.position = ((phase - a.pad) % a.stride + a.stride) % a.stride;
  r.first = (r.position + a.pad) / a.stride;
  r.count = r.position < a.in ? (a.in - 1 - r.position) / a.stride + 1 : 0;
  return r;
}

template <typename T>
void input_gradient(const ConvShape& s, const Array& grad, const Array& weight, const Array& x_grad) {
  const int64_t channels = s.group_out(), outputs = s.group_in(), taps = s.y().kernel * s.x().kernel;
  const int64_t reach_y = (s.y().kernel - 1) * s.y().dilation / s.y().stride;
  const int64_t reach_x = (s.x().kernel - 1) * s.x().dilation / s.x().stride;
  Job job;
  Planes& p = job.planes;
  p.channels = channels;
  p.height = s.y().out;
  p.width = s.x().out;
  p.pad_y = reach_y;
  p.pad_x = reach_x;
  p.reach = reach_y;
  p.lines_of_all = (s.y().in - 1 + s.y().pad) / s.y().stride + 1;
  p.plane_width = (s.x().in - 1 + s.x().pad) / s.x().stride + 1 + reach_x;
  p.used = {0};
  job.batch = s.batch;
  job.groups = s.groups;
  job.outputs = outputs;
  job.source_sample = s.out * s.y().out * s.x().out;
  job.out_sample = s.in * s.y().in * s.x().in;
  job.out_height = s.y().in;
  job.out_width = s.x().in;
  job.work = work_of(s);

  // Filters of a pass: for each input channel its taps, for each tap all output channels.
  std::vector<int64_t> place(static_cast<size_t>(taps));  // of each tap's filters, for input channel 0
  std::vector<int64_t> steps(static_cast<size_t>(taps));  // from one input channel to the next
  int64_t filters_size = 0;
  for (int64_t py = 0; py < s.y().stride; ++py) {
    for (int64_t px = 0; px < s.x().stride; ++px) {
      const Reached ry = reached(s.y(), py), rx = reached(s.x(), px);
      Pass pass;
      pass.filter = filter_step(static_cast<int64_t>(ry.taps.size() * rx.taps.size()) * channels, sizeof(T));
      pass.filters_start = filters_size;
      for (size_t i = 0; i < ry.taps.size(); ++i) {
        for (size_t j = 0; j < rx.taps.size(); ++j) {
          const auto nth = static_cast<int64_t>(pass.phases.size());
          const auto tap = static_cast<size_t>(ry.taps[i] * s.x().kernel + rx.taps[j]);
          place[tap] = filters_size + nth * channels;
          steps[tap] = pass.filter;
          pass.phases.push_back(0);
          pass.shift_y.push_back(reach_y - ry.shifts[i]);
          pass.shift_x.push_back(reach_x - rx.shifts[j] + rx.first);
          pass.filter_taps.push_back(nth * channels);
        }
      }
      pass.first_line = ry.first;
      pass.lines = ry.count;
      pass.columns = rx.count;
      pass.out_y = ry.position;
      pass.out_x = rx.position;
      pass.step_y = s.y().stride;
      pass.step_x = s.x().stride;
      filters_size += pass.filter * outputs;
      job.passes.push_back(std::move(pass));
    }
  }
  job.filters_of_group = filters_size;
  Scratch filters(static_cast<size_t>(filters_size * s.groups) * sizeof(T));
  T* const f = reinterpret_cast<T*>(filters.data());
  const T* w = weight.as<T>();
  for (int64_t o = 0; o < s.out; ++o)
    for (int64_t c = 0; c < outputs; ++c)
      for (size_t t = 0; t < static_cast<size_t>(taps); ++t)
        f[o / channels * filters_size + place[t] + c * steps[t] + o % channels] = *w++;
  run_job<T>(job, grad.as<T>(), f, nullptr, x_grad.as<T>());
}

template <typename T>
void weight_gradient(const ConvShape& s, const Array& x, const Array& grad, const Array& weight_grad) {
  const FilterGradientKernel kernel =
      sizeof(T) == 4 ? kernels->filter_gradient_f32 : kernels->filter_gradient_f64;
  const Planes planes = input_planes(s);
  const int64_t channels = s.group_in(), outputs = s.group_out(), taps = s.y().kernel * s.x().kernel;
  const int64_t lines = s.y().out, image_out = s.y().out * s.x().out, image_in = s.y().in * s.x().in;
  const int64_t out_row = (outputs + 15) / 16 * 16;
  const int64_t size_of_group = channels * taps * out_row, size = size_of_group * s.groups;
  const int64_t sums = size <= kSmallWeights ? std::min(kSampleGroups, s.batch) : 1;
  const int64_t samples = (s.batch + sums - 1) / sums;  // of each sum

  // Tasks: every sum, every group of channels, and parts of its channels when threads are left over.
  const auto pieces = static_cast<int64_t>(std::min<double>(num_threads(), work_of(s) / kParallelWork));
  const int64_t wanted = std::clamp<int64_t>(2 * pieces / (sums * s.groups), 1, channels);
  const int64_t part = pieces <= 1 ? channels : (channels + wanted - 1) / wanted;
  const int64_t parts = (channels + part - 1) / part, tasks = sums * s.groups * parts;
  const int64_t lanes = std::clamp<int64_t>(pieces, 1, tasks), stretch = (tasks + lanes - 1) / lanes;

  const int64_t step = planes.channel_step<T>(lines);
  std::vector<Size> starts;
  for (int64_t c = 0; c < part; ++c) {
    for (int64_t ty = 0; ty < s.y().kernel; ++ty) {
      for (int64_t tx = 0; tx < s.x().kernel; ++tx) {
        const int64_t uy = ty * s.y().dilation, ux = tx * s.x().dilation;
        starts.push_back(c * step +
                         planes.phase_start(uy % s.y().stride * s.x().stride + ux % s.x().stride, lines) +
                         uy / s.y().stride * planes.plane_width + ux / s.x().stride);
      }
    }
  }
  const size_t planes_bytes = (static_cast<size_t>(part * step) * sizeof(T) + kPlanesSlack + 63) / 64 * 64;
  const size_t each =
      planes_bytes + (filter_gradient_scratch(outputs, s.y().out, s.x().out, sizeof(T)) + 63) / 64 * 64;
  const size_t sums_bytes = static_cast<size_t>(sums * size) * sizeof(T);
  Scratch scratch(sums_bytes + 64 + each * static_cast<size_t>(lanes));
  T* const sum = reinterpret_cast<T*>(scratch.data());
  std::byte* const working = scratch.data() + (sums_bytes + 63) / 64 * 64;

  Unlocked unlocked(work_of(s) >= kUnlockedWork);
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      std::byte* const memory = working + static_cast<size_t>(lane) * each;
      T* const held = reinterpret_cast<T*>(memory);
      for (int64_t task = lane * stretch; task < std::min(tasks, (lane + 1) * stretch); ++task) {
        const int64_t nth = task / (parts * s.groups), group = task / parts % s.groups;
        const int64_t first = task % parts * part, n = std::min(part, channels - first);
        T* const out = sum + nth * size + group * size_of_group + first * taps * out_row;
        if (nth * samples >= s.batch) std::fill_n(out, n * taps * out_row, T(0));
        for (int64_t i = nth * samples; i < std::min(s.batch, (nth + 1) * samples); ++i) {
          fill_planes(planes, held, x.as<T>() + (i * s.in + group * channels + first) * image_in, n, 0,
                      lines);
          FilterGradient f;
          f.planes = held;
          f.starts = starts.data();
          f.count = n * taps;
          f.grads = grad.as<T>() + (i * s.out + group * outputs) * image_out;
          f.outputs = outputs;
          f.rows = s.y().out;
          f.columns = s.x().out;
          f.width = planes.plane_width;
          f.out = out;
          f.out_row = out_row;
          f.add = i > nth * samples;
          kernel(f, memory + planes_bytes);
        }
      }
    }
  });
  // The sums in order, from (group, channel, tap, output) to (group, output, channel, tap).
  T* const to = weight_grad.as<T>();
  const int64_t filters = channels * taps;
  for (int64_t g = 0; g < s.groups; ++g) {
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t r = 0; r < filters; ++r) {
        const int64_t at = g * size_of_group + r * out_row + o;
        T total = sum[at];
        for (int64_t nth = 1; nth < sums; ++nth) total += sum[nth * size + at];
        to[(g * outputs + o) * filters + r] = total;
      }
    }
  }
}

}  // namespace

namespace planes {

void convolve(const ConvShape& shape, const Array& x, const Array& weight, const Array* bias,
              const Array& y) {
  if (y.numel == 0) return;
  y.dtype == DType::Float64 ? forward<double>(shape, x, weight, bias, y)
                            : forward<float>(shape, x, weight, bias, y);
}

void convolve_input_gradient(const ConvShape& shape, const Array& grad, const Array& weight,
                             const Array& x_grad) {
  if (x_grad.numel == 0) return;
  x_grad.dtype == DType::Float64 ? input_gradient<double>(shape, grad, weight, x_grad)
                                 : input_gradient<float>(shape, grad, weight, x_grad);
}

void convolve_weight_gradient(const ConvShape& shape, const Array& x, const Array& grad,
                              const Array& weight_grad) {
  if (weight_grad.numel == 0) return;
  if (grad.numel == 0) return fill(weight_grad, Scalar::of_int(0));
  weight_grad.dtype == DType::Float64 ? weight_gradient<double>(shape, x, grad, weight_grad)
                                      : weight_gradient<float>(shape, x, grad, weight_grad);
}

}  // namespace planes

}  // namespace versant
