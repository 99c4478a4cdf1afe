// Convolutions of 3 x 3 filters with stride 1 by fewer products: see Note [Winograd] in winograd.h.
#include <algorithm>

#include "machine/conv.h"
#include "machine/conv_kernels.h"
#include "machine/lock.h"
#include "machine/memory_format.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant::winograd {

namespace {

constexpr int64_t kBlock = 48;            // tiles that go from images to results together
constexpr int64_t kChunkBytes = 3 << 20;  // of transformed images and gradients that are summed together
constexpr int64_t kLeastPositions = 16;   // of an image; transforming filters costs more than it saves below
constexpr int64_t kLeastChannels = 32;
constexpr double kUnlockedWork = 1e6;

bool lies_well(const Array& x) { return lies_channels_last(x); }

Array channels_last(const Array& x) {
  if (lies_well(x)) return x;
  const Array copy = empty_channels_last(x.sizes, x.dtype);
  copy_into(copy, x);
  return copy;
}

ChannelImages images_of(const Array& x) {
  ChannelImages images;
  images.data = x.as<float>();
  images.channels = x.sizes[1];
  images.height = x.sizes[3];
  images.width = x.sizes[4];
  images.column_step = images.channels;
  images.row_step = images.width * images.column_step;
  images.batch_step = images.height * images.row_step;
  return images;
}

PlaneFilters filters_of(const Array& w) {
  PlaneFilters filters;
  filters.data = w.as<float>();
  filters.outputs = w.sizes[0];
  filters.inputs = w.sizes[1];
  filters.output_step = w.strides[0];
  filters.input_step = w.strides[1];
  filters.row_step = w.strides[3];
  filters.column_step = w.strides[4];
  return filters;
}

// The filters by which the gradient of the results becomes that of the images.
PlaneFilters turned_round(PlaneFilters w) {
  w.data += 2 * w.row_step + 2 * w.column_step;
  w.row_step = -w.row_step;
  w.column_step = -w.column_step;
  std::swap(w.outputs, w.inputs);
  std::swap(w.output_step, w.input_step);
  return w;
}

WinogradJob job_of(const Array& x, const Array& y, int64_t pad_y, int64_t pad_x) {
  WinogradJob job;
  job.x = images_of(x);
  job.y = images_of(y);
  job.pad_y = pad_y;
  job.pad_x = pad_x;
  job.down = (job.y.height + 1) / 2;
  job.across = (job.y.width + 1) / 2;
  return job;
}

int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

void run(WinogradJob job, const PlaneFilters& filters, int64_t batch, double work) {
  const ConvolutionKernels& kernel = *kernels->convolution;
  const int64_t panels = (filters.outputs + kernel.panel - 1) / kernel.panel;
  job.filters_point = panels * kernel.panel * filters.inputs + kWinogradGap;
  const int64_t tiles = batch * job.down * job.across;
  // As many blocks for each thread.
  const int64_t threads = num_threads();
  const int64_t blocks = round_up((tiles + kBlock - 1) / kBlock, threads);
  const int64_t each = (tiles + blocks - 1) / blocks, lanes = std::min(threads, (tiles + each - 1) / each);
  const size_t lane_bytes = (winograd_scratch(job, each) + 63) / 64 * 64;
  const size_t filter_bytes = static_cast<size_t>(kWinogradPoints * job.filters_point) * sizeof(float);
  const Scratch scratch(filter_bytes + lane_bytes * static_cast<size_t>(lanes));
  auto* const transformed = reinterpret_cast<float*>(scratch.data());
  job.filters = transformed;
  const Unlocked unlocked(work >= kUnlockedWork);
  parallel_for(panels, std::max<int64_t>(1, 512 / filters.inputs), [&](int64_t begin, int64_t end) {
    kernel.winograd_filters(filters, transformed, job.filters_point, begin, end);
  });
  const int64_t stretch = (tiles + lanes - 1) / lanes;
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      auto* const own =
          reinterpret_cast<float*>(scratch.data() + filter_bytes + lane_bytes * static_cast<size_t>(lane));
      const int64_t last = std::min(tiles, (lane + 1) * stretch);
      for (int64_t tile = lane * stretch; tile < last; tile += each)
        kernel.winograd_convolve(job, tile, std::min(each, last - tile), own);
    }
  });
}

bool suits(const ConvShape& s) {
  for (const ConvAxis* axis : {&s.y(), &s.x()})
    if (axis->kernel != 3 || axis->stride != 1 || axis->dilation != 1 || axis->pad > 2) return false;
  return s.flat() && s.groups == 1 && s.in % 16 == 0 && s.out % 16 == 0 && s.in >= kLeastChannels &&
         s.out >= kLeastChannels && s.out_positions() >= kLeastPositions;
}

bool fits(const ConvShape& s, const Array& result) { return result.dtype == DType::Float32 && suits(s); }

}  // namespace

bool convolve(const ConvShape& s, const Array& x, const Array& weight, const Array* bias, const Array& y) {
  if (!fits(s, y)) return false;
  const Array from = channels_last(x), to = lies_well(y) ? y : empty_channels_last(y.sizes, y.dtype);
  const Array shift = bias ? bias->to_contiguous() : Array();
  WinogradJob job = job_of(from, to, s.y().pad, s.x().pad);
  if (bias) job.bias = shift.as<float>();
  run(job, filters_of(weight), s.batch, s.work());
  if (to.data != y.data) copy_into(y, to);
  return true;
}

bool convolve_input_gradient(const ConvShape& s, const Array& grad, const Array& weight,
                             const Array& x_grad) {
  if (!fits(s, x_grad)) return false;
  const Array from = channels_last(grad);
  const Array to = lies_well(x_grad) ? x_grad : empty_channels_last(x_grad.sizes, x_grad.dtype);
  run(job_of(from, to, 2 - s.y().pad, 2 - s.x().pad), turned_round(filters_of(weight)), s.batch, s.work());
  if (to.data != x_grad.data) copy_into(x_grad, to);
  return true;
}

bool convolve_weight_gradient(const ConvShape& s, const Array& x, const Array& grad,
                              const Array& weight_grad) {
  if (!fits(s, weight_grad)) return false;
  const Array from = channels_last(x), along = channels_last(grad);
  const WinogradJob job = job_of(from, along, s.y().pad, s.x().pad);
  const PlaneFilters filters = filters_of(weight_grad);
  const ConvolutionKernels& kernel = *kernels->convolution;
  const int64_t tiles = s.batch * job.down * job.across;
  const int64_t tile_bytes = kWinogradPoints * (job.image_row() + job.gradient_row()) * 4;
  // The sums over the tiles of a chunk are added up from zero: that decides bits, so the shape decides it.
  const int64_t most = std::clamp<int64_t>(kChunkBytes / tile_bytes / 8 * 8, 64, kProductDepth);
  const int64_t sum_count = kWinogradPoints * s.in * s.out;
  const int64_t threads = num_threads();
  // A share of the sums: some rows at one point.
  const int64_t cuts = std::clamp<int64_t>((threads + kWinogradPoints - 1) / kWinogradPoints, 1, s.in / 16);
  const int64_t rows = round_up((s.in + cuts - 1) / cuts, 2), shares = kWinogradPoints * cuts;
  const size_t image_bytes = static_cast<size_t>(kWinogradPoints * most * job.image_row()) * 4;
  const size_t gradient_bytes = static_cast<size_t>(kWinogradPoints * most * job.gradient_row()) * 4;
  const size_t sum_bytes = static_cast<size_t>(sum_count) * 4;
  const size_t lane_bytes = (product_scratch(rows, s.out, most, 4) + 63) / 64 * 64;
  const int64_t lanes = std::min(threads, shares);
  const Scratch scratch(image_bytes + gradient_bytes + sum_bytes + lane_bytes * static_cast<size_t>(lanes));
  auto* const images = reinterpret_cast<float*>(scratch.data());
  auto* const gradients = reinterpret_cast<float*>(scratch.data() + image_bytes);
  auto* const sums = reinterpret_cast<float*>(scratch.data() + image_bytes + gradient_bytes);
  std::byte* const lane_start = scratch.data() + image_bytes + gradient_bytes + sum_bytes;
  const Unlocked unlocked(s.work() >= kUnlockedWork);
  for (int64_t first = 0; first < tiles; first += most) {
    const int64_t count = std::min(most, tiles - first);
    parallel_for(count, 8, [&](int64_t begin, int64_t end) {
      kernel.winograd_images(job, first, begin, end, count, images);
      kernel.winograd_gradients(job, first, begin, end, count, gradients);
    });
    parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane) {
        for (int64_t share = lane * shares / lanes; share < (lane + 1) * shares / lanes; ++share) {
          const int64_t point = share / cuts, row = share % cuts * rows;
          Product product;
          product.m = std::min(rows, s.in - row);
          product.n = s.out;
          product.k = count;
          product.a = images + point * count * job.image_row() + row;
          product.a_row = 1;
          product.a_col = job.image_row();
          product.b = gradients + point * count * job.gradient_row();
          product.b_row = job.gradient_row();
          product.b_col = 1;
          product.c = sums + (point * s.in + row) * s.out;
          product.c_row = s.out;
          product.c_col = 1;
          product.add = first > 0;
          if (product.m > 0)
            kernels->product_f32(product, lane_start + lane * static_cast<int64_t>(lane_bytes));
        }
      }
    });
  }
  parallel_for(s.in / 16, std::max<int64_t>(1, 256 / s.out), [&](int64_t begin, int64_t end) {
    kernel.winograd_filter_gradients(filters, sums, begin * 16, end * 16);
  });
  return true;
}

}  // namespace versant::winograd
