// Convolutions as matrix products of patches: the rows of a product are positions of the result, and each
// gathers what the filters read there. No more than a block of rows and of their columns exists at a time.
//
// Note [Gathered patches]
// A row's elements lie in order of the filter's taps and, within a tap, of the channels. Images are
// channels-last, so taps that stand side by side are one run of memory. The gradient of the images has the
// same form: those positions that are equally far from a multiple of the stride (a phase) read the same taps
// of the gradient of the results. The gradient of the filters is the product of the turned patches with the
// gradient of the results, summed in blocks of kSummed positions.
//
// Blocks of columns are the same for all rows, and sums over positions are cut by the shape alone, so no bit
// depends on the batch (filters' gradients aside, which sum over it) or the number of threads.
#include <algorithm>
#include <cstring>
#include <vector>

#include "machine/conv.h"
#include "machine/conv_kernels.h"
#include "machine/conv_patches.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/memory_format.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant::patches {

namespace {

constexpr int64_t kRows = 192;     // of a block
constexpr int64_t kColumns = 320;  // of a block: one that a product does not cut again
constexpr int64_t kGap = 16;       // elements between rows, so that they meet in no cache set
constexpr int64_t kSlice = 128;    // outputs of a product that sums over positions
constexpr int64_t kSummed = 256;
constexpr double kUnlockedWork = 1e6;

int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

const float* floats(const Patches& p) { return reinterpret_cast<const float*>(p.source); }

// Columns [from, to) of the patches of positions [first, first + count), in rows `row` apart.
void gather(const Patches& p, int64_t first, int64_t count, int64_t from, int64_t to, float* out,
            int64_t row) {
  int64_t x = first % p.columns, y = first / p.columns % p.rows, n = first / p.columns / p.rows;
  for (int64_t i = 0; i < count; ++i, out += row) {
    const float* const image = floats(p) + n * p.height * p.width * p.channels;
    for (const Run& run : p.runs) {
      const int64_t begin = std::max(from, run.first), end = std::min(to, run.first + run.count * p.channels);
      if (begin >= end) continue;
      float* const at = out + (begin - from);
      const int64_t source_y = y * p.step_y + run.dy, source_x = x * p.step_x + run.dx;
      // The part of the run that lies inside the image.
      int64_t inner = begin, inner_end = begin;
      if (source_y >= 0 && source_y < p.height) {
        inner = std::clamp(run.first + std::max<int64_t>(0, -source_x) * p.channels, begin, end);
        inner_end = std::clamp(run.first + (p.width - source_x) * p.channels, inner, end);
      }
      std::fill(at, at + (inner - begin), 0.0f);
      if (inner < inner_end)
        std::memcpy(at + (inner - begin),
                    image + (source_y * p.width + source_x) * p.channels + (inner - run.first),
                    static_cast<size_t>(inner_end - inner) * sizeof(float));
      std::fill(at + (inner_end - begin), at + (end - begin), 0.0f);
    }
    if (++x == p.columns) {
      x = 0;
      if (++y == p.rows) y = 0, ++n;
    }
  }
}

// --- filters

// Where filters lie: `column_step` from one column of the matrix to the next, `channel_step` within a tap.
struct FilterSteps {
  FilterSteps(const Array& w, bool turned)
      : column(w.strides[turned ? 1 : 0]),
        channel(w.strides[turned ? 0 : 1]),
        y(w.strides[3]),
        x(w.strides[4]) {}
  int64_t column, channel, y, x;
};

// --- results

// Where a phase's results go: position (y, x) of the patches to (y * step_y + y, x * step_x + x).
struct Target {
  float* data;
  int64_t height, width, outputs;
  int64_t step_y = 1, step_x = 1, y = 0, x = 0;
  bool plain() const { return step_y == 1 && step_x == 1; }
  void write(const Patches& p, int64_t first, int64_t count, const float* rows) const {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = first + i, n = at / p.columns / p.rows;
      const int64_t to_y = at / p.columns % p.rows * step_y + y, to_x = at % p.columns * step_x + x;
      std::memcpy(data + ((n * height + to_y) * width + to_x) * outputs, rows + i * outputs,
                  static_cast<size_t>(outputs) * sizeof(float));
    }
  }
};

// Filters in panels, for as long as it lives.
class Panels {
 public:
  Panels(const Patches& p, const Array& w, const FilterSteps& steps, int64_t outputs)
      : step_(p.depth() * kernels->convolution->panel),
        scratch_(static_cast<size_t>(panels(outputs) * step_) * sizeof(float)) {
    std::vector<std::ptrdiff_t> taps;
    for (const Tap& tap : p.taps) taps.push_back(tap.ky * steps.y + tap.kx * steps.x);
    FilterPanels job;
    job.filters = w.as<float>();
    job.outputs = outputs;
    job.channels = p.channels;
    job.output_step = steps.column;
    job.channel_step = steps.channel;
    job.taps = taps.data();
    job.tap_count = static_cast<int64_t>(taps.size());
    job.panels = reinterpret_cast<float*>(scratch_.data());
    parallel_for(panels(outputs), std::max<int64_t>(1, 2048 / p.depth()),
                 [&](int64_t begin, int64_t end) { kernels->convolution->pack_filters(job, begin, end); });
  }
  const float* data() const { return reinterpret_cast<float*>(scratch_.data()); }
  int64_t step() const { return step_; }

 private:
  static int64_t panels(int64_t outputs) {
    return (outputs + kernels->convolution->panel - 1) / kernels->convolution->panel;
  }
  int64_t step_;
  Scratch scratch_;
};

// results = patches @ filters (+ bias)
void multiply(const Patches& p, const Panels& filters, const float* bias, const Target& to) {
  const int64_t count = p.count(), depth = p.depth(), threads = num_threads();
  const int64_t cuts = (depth + kColumns - 1) / kColumns, block = (depth + cuts - 1) / cuts;
  const int64_t blocks = round_up((count + kRows - 1) / kRows, threads);
  const int64_t each = (count + blocks - 1) / blocks, lanes = std::min(threads, (count + each - 1) / each);
  const int64_t stretch = (count + lanes - 1) / lanes;
  const int64_t row = block + kGap;
  const auto padded = [](int64_t elements) { return (static_cast<size_t>(elements) * 4 + 63) / 64 * 64; };
  // Rows that are read in parts, where they lie, would meet in the same cache sets.
  const bool in_place = p.plain() && block == depth;
  const size_t patch_bytes = in_place ? 0 : padded(each * row);
  const size_t lane_bytes = patch_bytes + (to.plain() ? 0 : padded(each * to.outputs));
  const Scratch scratch(lane_bytes * static_cast<size_t>(lanes));
  const double work = static_cast<double>(count * depth) * static_cast<double>(to.outputs);
  const Unlocked unlocked(work >= kUnlockedWork);
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      std::byte* const own = scratch.data() + lane_bytes * static_cast<size_t>(lane);
      auto* const gathered = reinterpret_cast<float*>(own);
      auto* const results = reinterpret_cast<float*>(own + patch_bytes);
      const int64_t last = std::min(count, (lane + 1) * stretch);
      for (int64_t first = lane * stretch; first < last; first += each) {
        PanelProduct product;
        product.rows = std::min(each, last - first);
        product.outputs = product.c_row = to.outputs;
        product.panel_step = filters.step();
        product.c = to.plain() ? to.data + first * to.outputs : results;
        for (int64_t from = 0; from < depth; from += block) {
          product.depth = std::min(block, depth - from);
          product.panels = filters.data() + from * kernels->convolution->panel;
          if (in_place) {
            product.a = floats(p) + first * depth;
            product.a_row = depth;
          } else {
            gather(p, first, product.rows, from, from + product.depth, gathered, row);
            product.a = gathered;
            product.a_row = row;
          }
          product.add = from > 0;
          product.bias = from + product.depth == depth ? bias : nullptr;
          kernels->convolution->multiply(product);
        }
        if (!to.plain()) to.write(p, first, product.rows, results);
      }
    }
  });
}

// oneDNN is faster for images of few channels and for filters of one tap, and everywhere with AVX-512.
bool suits(const ConvShape& s, const Array& result) {
  return result.dtype == DType::Float32 && s.flat() && s.groups == 1 && s.in >= 16 && s.in % 8 == 0 &&
         s.out % 8 == 0 && s.taps() > 1 && std::strcmp(kernels->isa, "v4") != 0;
}

}  // namespace

Array channels_last(const Array& x) {
  if (lies_channels_last(x)) return x;
  const Array copy = empty_channels_last(x.sizes, x.dtype);
  copy_into(copy, x);
  return copy;
}

Patches patches_of(const ConvShape& s, const Array& x) {
  Patches p(x, s.y().out, s.x().out);
  p.step_y = s.y().stride;
  p.step_x = s.x().stride;
  for (int64_t ky = 0; ky < s.y().kernel; ++ky)
    for (int64_t kx = 0; kx < s.x().kernel; ++kx)
      p.add(ky * s.y().dilation - s.y().pad, kx * s.x().dilation - s.x().pad, {ky, kx});
  return p;
}

std::vector<std::pair<int64_t, int64_t>> met_taps(const ConvAxis& axis, int64_t phase) {
  std::vector<std::pair<int64_t, int64_t>> met;
  for (int64_t tap = axis.kernel - 1; tap >= 0; --tap)
    if (const int64_t from = phase + axis.pad - tap * axis.dilation; from % axis.stride == 0)
      met.emplace_back(from / axis.stride, tap);
  return met;
}

bool convolve(const ConvShape& s, const Array& x, const Array& weight, const Array* bias, const Array& y) {
  if (!suits(s, y)) return false;
  const Array from = channels_last(x);
  const Array to = lies_channels_last(y) ? y : empty_channels_last(y.sizes, y.dtype);
  const Array shift = bias ? bias->to_contiguous() : Array();
  const Patches p = patches_of(s, from);
  const Panels filters(p, weight, FilterSteps(weight, false), s.out);
  multiply(p, filters, bias ? shift.as<float>() : nullptr, {to.as<float>(), s.y().out, s.x().out, s.out});
  if (to.data != y.data) copy_into(y, to);
  return true;
}

bool convolve_input_gradient(const ConvShape& s, const Array& grad, const Array& weight,
                             const Array& x_grad) {
  if (!suits(s, x_grad)) return false;
  const Array from = channels_last(grad);
  const Array to = lies_channels_last(x_grad) ? x_grad : empty_channels_last(x_grad.sizes, x_grad.dtype);
  const ConvAxis &y = s.y(), &x = s.x();
  for (int64_t phase_y = 0; phase_y < std::min(y.stride, y.in); ++phase_y) {
    for (int64_t phase_x = 0; phase_x < std::min(x.stride, x.in); ++phase_x) {
      Patches p(from, (y.in - phase_y + y.stride - 1) / y.stride, (x.in - phase_x + x.stride - 1) / x.stride);
      for (const auto& [dy, ky] : met_taps(y, phase_y))
        for (const auto& [dx, kx] : met_taps(x, phase_x)) p.add(dy, dx, {ky, kx});
      const Target target = {to.as<float>(), y.in, x.in, s.in, y.stride, x.stride, phase_y, phase_x};
      if (p.taps.empty()) {
        const std::vector<float> zeros(static_cast<size_t>(s.in));
        for (int64_t at = 0; at < p.count(); ++at) target.write(p, at, 1, zeros.data());
        continue;
      }
      multiply(p, Panels(p, weight, FilterSteps(weight, true), s.in), nullptr, target);
    }
  }
  if (to.data != x_grad.data) copy_into(x_grad, to);
  return true;
}

bool convolve_weight_gradient(const ConvShape& s, const Array& x, const Array& grad,
                              const Array& weight_grad) {
  if (!suits(s, weight_grad)) return false;
  const Array from = channels_last(x), along = channels_last(grad);
  const Patches p = patches_of(s, from);
  const int64_t count = p.count(), depth = p.depth(), threads = num_threads();
  // Each share is some columns of the patches: a few hundred, and as many shares for each thread.
  const int64_t shares = round_up((depth + 191) / 192, threads);
  const int64_t each = std::max<int64_t>(6, (depth + shares - 1) / shares);
  const size_t patch_bytes = static_cast<size_t>(kSummed * each) * 4 + 64;
  const size_t lane_bytes = (patch_bytes + product_scratch(each, kSlice, kSummed, 4) + 127) / 64 * 64;
  const int64_t lanes = std::min(threads, (depth + each - 1) / each);
  const Scratch scratch(lane_bytes * static_cast<size_t>(lanes));
  const Array sums = Array::empty(Dims{depth, s.out}, DType::Float32);
  {
    const Unlocked unlocked(s.work() >= kUnlockedWork);
    const int64_t pieces = (depth + each - 1) / each;
    parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane) {
        std::byte* const own = scratch.data() + lane_bytes * static_cast<size_t>(lane);
        auto* const gathered = reinterpret_cast<float*>(own);
        for (int64_t piece = lane * pieces / lanes; piece < (lane + 1) * pieces / lanes; ++piece) {
          const int64_t column = piece * each;
          Product product;
          product.m = std::min(each, depth - column);
          product.a_row = 1;
          product.b_row = product.c_row = s.out;
          product.b_col = product.c_col = 1;
          for (int64_t first = 0; first < count; first += kSummed) {
            product.k = std::min(kSummed, count - first);
            gather(p, first, product.k, column, column + product.m, gathered, product.m);
            product.a = gathered;
            product.a_col = product.m;
            product.add = first > 0;
            for (int64_t o = 0; o < s.out; o += kSlice) {
              product.n = std::min(kSlice, s.out - o);
              product.b = along.as<float>() + first * s.out + o;
              product.c = sums.as<float>() + column * s.out + o;
              kernels->product_f32(product, own + round_up(static_cast<int64_t>(patch_bytes), 64));
            }
          }
        }
      }
    });
  }
  const int64_t tap = s.in * s.out;
  copy_into(weight_grad, sums.view(weight_grad.sizes, Dims{1, s.out, 1, s.x().kernel * tap, tap}));
  return true;
}

}  // namespace versant::patches
