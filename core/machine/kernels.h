// The table of kernels: everything that is compiled once per instruction set and chosen at start-up.
//
// Every file of core/machine/kernels/ is compiled once for each instruction set (on x86-64: v2, v3, v4;
// VERSANT_ISA names which), keeps its code in `namespace versant::isa::VERSANT_ISA`, and fills its part of
// the table through a function that kernels/table.cc calls. Kernels know nothing of tensors: they see
// addresses, strides and counts.
//
// What a kernel file includes must not define inline functions that the linker could share between
// instruction sets: header code for kernels stands in that namespace too, or is always_inline.
#pragma once

#include <atomic>
#include <cstddef>

#include "machine/dtype.h"
#include "machine/micro.h"
#include "machine/tile_products.h"

namespace versant {

// out[i] = op(a[i], b[i], c[i]) for i < n, all contiguous, of the compute type. Operands beyond the arity are
// ignored. `out` may be one of the operands; it may not overlap them otherwise.
using MicroKernel = void (*)(void* out, const void* a, const void* b, const void* c, std::ptrdiff_t n);

// Records into the current formula (code/formula.h) what a micro-op computes of values a, b and c of it, and
// gives the number of the result.
using MicroFormula = std::uint16_t (*)(std::uint16_t a, std::uint16_t b, std::uint16_t c);

// A superinstruction: one kernel for a few micro-ops that often occur together. It gives the bits that they
// give one by one, and spares their tiles. Its terms are a tree in which what occurs twice stands once,
// operands before their users, the whole last.
struct Superinstruction {
  enum class Kind : std::uint8_t { Operand, Constant, Result };
  struct Term {
    Kind kind;
    Micro micro;         // Result
    std::uint8_t at[3];  // Result: terms; Operand: its number first
    double value;        // Constant
  };
  static constexpr int kMaxTerms = 40;
  Term terms[kMaxTerms];
  int n_terms, n_operands;
};
inline constexpr int kMaxSuperinstructions = 48;
// Their codes follow those of the micro-ops.
constexpr Micro super_code(int number) { return static_cast<Micro>(static_cast<int>(kMicroCount) + number); }
constexpr int super_number(Micro op) { return static_cast<int>(op) - static_cast<int>(kMicroCount); }

// out[i] = src[i * stride], converted to the compute type. The stride counts elements; 0 repeats one,
// negative is fine.
using LoadKernel = void (*)(void* out, const void* src, std::ptrdiff_t stride, std::ptrdiff_t n);

// dst[i * stride] = src[i], converted from the compute type: floats round to nearest even, integers wrap,
// floats to integers truncate (NaN and what does not fit become the lowest int64, or the low bits of the
// lowest int32 for the narrower types), bool is `!= 0`.
using StoreKernel = void (*)(void* dst, std::ptrdiff_t stride, const void* src, std::ptrdiff_t n);

// --- matrix products

// c[i, j] = sum over k of a[i, k] * b[k, j], strides in elements. Each sum is one chain in the order of k
// that starts from zero, of fused multiply-adds where the instruction set has them, so no bit depends on m,
// on n or on how a product is cut into parts.
struct Product {
  std::ptrdiff_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  std::ptrdiff_t a_row = 0, a_col = 0;
  const void* b = nullptr;
  std::ptrdiff_t b_row = 0, b_col = 0;
  void* c = nullptr;
  std::ptrdiff_t c_row = 0, c_col = 0;
  // One for each column, added last; null for none. Of bfloat16 products in float32, with room to read 128
  // more, added before c is rounded.
  const void* bias = nullptr;
  bool add = false;  // c += the product; k is at most kProductDepth, and elements are float or double
  // Of float and double: becomes the largest bits of c without the sign, where those are more. May be null.
  uint64_t* largest = nullptr;
};

// Computes a product on the calling thread. `scratch` is 64-byte aligned, of product_scratch() bytes.
using ProductKernel = void (*)(const Product& product, void* scratch);

inline constexpr std::ptrdiff_t kProductDepth = 320;             // k is walked in blocks of at most this
inline constexpr std::ptrdiff_t kProductColumnBytes = 2048;      // n in blocks of at most this many bytes
inline constexpr std::ptrdiff_t kProductBlockBytes = 96 * 1024;  // rows of a packed at a time
constexpr std::size_t product_scratch(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k,
                                      std::size_t itemsize) {
  const std::size_t depth = static_cast<std::size_t>(k < kProductDepth ? k : kProductDepth) + 64;
  const std::size_t columns = (static_cast<std::size_t>(n) * itemsize + 511) / 512 * 512;
  const std::size_t limit = static_cast<std::size_t>(kProductColumnBytes);
  const std::size_t rows = static_cast<std::size_t>(m + 16) * depth * itemsize;
  const std::size_t block = static_cast<std::size_t>(kProductBlockBytes);
  return (rows < block ? rows : block) + depth * ((columns < limit ? columns : limit) + 16 * itemsize) + 8192;
}

// Products of bfloat16: blocks of k of at most kPairDepth steps, of b of about kPairBlockBytes, of kPairSteps
// steps for the first cache; packed rows of a are kept up to kPairRowsBytes.
inline constexpr std::ptrdiff_t kPairDepth = 8192, kPairSteps = 512,
                                kPairBlockBytes = std::ptrdiff_t{1} << 19,
                                kPairRowsBytes = std::ptrdiff_t{1} << 24;

// Where they go by way of float32: sums of a block of c, which is rounded when it is complete.
struct WideBlocks {
  std::ptrdiff_t rows, columns;
  constexpr WideBlocks(std::ptrdiff_t m, std::ptrdiff_t n)
      : rows(m < 1024 ? m : 1024), columns(n < 512 ? (n + 15) / 16 * 16 : 512) {}
};

// Of products of bfloat16.
constexpr std::size_t pair_scratch(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k) {
  const WideBlocks wide(m, n);
  const std::size_t sums_and_room =
      static_cast<std::size_t>(wide.rows * wide.columns + kProductDepth * 32) * 4;
  const std::size_t wide_bytes = sums_and_room + product_scratch(wide.rows, wide.columns, k, 4);
  const std::ptrdiff_t depth = (k < kPairDepth ? k : kPairDepth) + 64;
  const std::ptrdiff_t most = kPairBlockBytes / depth + 128, columns = (n < most ? n : most) + 256;
  const std::ptrdiff_t sums = (k > kPairDepth ? m + 16 : 16) * columns * 4;
  const std::ptrdiff_t kept = m * depth * 2 < kPairRowsBytes ? m * depth * 2 : kPairRowsBytes;
  const auto bytes = static_cast<std::size_t>(depth * 2 * (columns + 32) + sums + kept + 8192);
  return bytes > wide_bytes ? bytes : wide_bytes;
}

// Products of bfloat16 by tiles: blocks of k of at most kTileDepth steps, and of as many columns of b as make
// kTileBlockBytes.
inline constexpr std::ptrdiff_t kTileDepth = 1024, kTileBlockBytes = std::ptrdiff_t{1} << 20;

struct TileBlocks {
  std::ptrdiff_t k, columns;  // of a block, multiples of 32
  constexpr TileBlocks(std::ptrdiff_t n, std::ptrdiff_t depth) {
    const std::ptrdiff_t parts = depth > kTileDepth ? (depth + kTileDepth - 1) / kTileDepth : 1;
    k = ((depth + parts - 1) / parts + 31) / 32 * 32;
    const std::ptrdiff_t most = kTileBlockBytes / (2 * (k ? k : 32)) / 32 * 32, all = (n + 31) / 32 * 32;
    columns = all < most ? all : most;
  }
};

constexpr std::size_t tile_scratch(std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k) {
  const TileBlocks blocks(n, k);
  const std::ptrdiff_t rows = (m + 31) / 32 * 32;
  const std::ptrdiff_t sums = k > blocks.k ? rows * blocks.columns : 32 * 32;
  return static_cast<std::size_t>((blocks.columns + 32) * blocks.k * 2 + sums * 4 + 4096);
}

// --- reductions: see Note [Order of reductions] in reduce.h

enum class Reduction : std::uint8_t {
  Sum,
  Prod,
  Max,        // NaN wins
  Min,        // NaN wins
  Any,        // 0 or 1
  All,        // 0 or 1
  Deviation,  // sum of squared distances from a centre
};
inline constexpr std::size_t kReductionCount = 7;
inline constexpr std::ptrdiff_t kReductionBlock = 1024;

// out[r] = reduction of x[r * stride .. + n) for r < rows, 0 < n <= kReductionBlock.
// Deviation: from center[r * center_step].
struct RowsJob {
  void* out;
  const void* x;
  std::ptrdiff_t stride, rows, n;
  const void* center;
  std::ptrdiff_t center_step;
};
using ReduceRows = void (*)(const RowsJob& job);

// out[j] = reduction over r < n of rows[r][first + j] for j < width, 0 < n <= kReductionBlock.
// Deviation: from center[j]. Rows that are not of the compute type, or whose columns lie apart, are loaded:
// columns `step` apart, of `item` bytes each, from the first on.
struct ColumnsJob {
  void* out;
  const void* const* rows;
  std::ptrdiff_t first, n, width;
  const void* center;
  bool gapless;  // each row begins where the row before it ends
  LoadKernel load = nullptr;
  std::ptrdiff_t step = 1, item = 0;
};
using ReduceColumns = void (*)(const ColumnsJob& job);

// The first i with x[i] == *value, or with x[i] NaN when *value is; n if there is none.
using FindKernel = std::ptrdiff_t (*)(const void* x, std::ptrdiff_t n, const void* value);

// best[j], at[j] = the better of (best[j], at[j]) and (rows[r][first + j], base + r) over r < n: the larger
// (smaller), NaN before all numbers, of equals the earlier.
struct ArgColumnsJob {
  void* best;
  std::int64_t* at;
  const void* const* rows;
  std::ptrdiff_t first, n, width;
  std::int64_t base;
};
using ArgColumns = void (*)(const ArgColumnsJob& job);

// --- random numbers: see Note [Draws] in random.h

// words[g * 64 + w * 16 + l] = word w of the Philox block `block + 16 g + l`, for g < groups.
using PhiloxKernel = void (*)(std::uint32_t* words, std::uint64_t seed, std::uint64_t block,
                              std::ptrdiff_t groups);

struct UniformRange {
  int bits;  // that a word gives, from the top
  float low, width, limit;
};
using UniformKernel = void (*)(float* out, const std::uint32_t* words, std::ptrdiff_t n,
                               const UniformRange& range);
// 64 numbers a group, of mean and standard deviation.
using NormalKernel = void (*)(float* out, const std::uint32_t* words, std::ptrdiff_t groups, float mean,
                              float deviation);
// out[i] = x[i] * scale where words[i] >= threshold, else 0.
using DropoutKernel = void (*)(float* out, const float* x, const std::uint32_t* words, std::ptrdiff_t n,
                               std::uint32_t threshold, float scale);

// --- convolutions: see Note [Planes] in conv_planes.cc

// out[o, y, x] = bias[o] + sum over taps t and channels c of
//                filters[o * filter + filter_taps[t] + c] * planes[c * plane + plane_taps[t] + y * width + x]
// as one chain of multiply-adds, taps outside; the bias is added at the end.
struct Correlation {
  const void* planes = nullptr;
  std::ptrdiff_t plane = 0, channels = 0;
  const void* filters = nullptr;
  std::ptrdiff_t filter = 0, outputs = 0;
  std::ptrdiff_t taps = 0;
  const std::ptrdiff_t* plane_taps = nullptr;
  const std::ptrdiff_t* filter_taps = nullptr;
  std::ptrdiff_t rows = 0, columns = 0, width = 0;  // columns <= width
  void* out = nullptr;
  std::ptrdiff_t out_channel = 0, out_row = 0, out_column = 0;
  const void* bias = nullptr;  // may be null
};
// `planes` may be read up to kPlanesSlack bytes past the last element named above.
inline constexpr std::ptrdiff_t kPlanesSlack = 512;
// `scratch` is 64-byte aligned, of correlation_scratch() bytes.
using CorrelationKernel = void (*)(const Correlation& job, void* scratch);
constexpr std::size_t correlation_scratch(std::ptrdiff_t width, std::size_t itemsize) {
  return 16 * static_cast<std::size_t>(width + 1024) * itemsize;
}

// out[r * out_row + o] (+)= sum over y and x of planes[starts[r] + y * width + x] * grads[o, y, x], where
// grads is packed in panels of filter_panel columns: see pack_grads. y and x run in order in one chain.
struct FilterGradient {
  const void* planes = nullptr;
  const std::ptrdiff_t* starts = nullptr;  // one for each row of out
  std::ptrdiff_t count = 0;                // of rows
  const void* grads = nullptr;             // (outputs, rows, columns), contiguous
  std::ptrdiff_t outputs = 0, rows = 0, columns = 0, width = 0;
  void* out = nullptr;
  std::ptrdiff_t out_row = 0;
  bool add = false;
};
// `scratch` is 64-byte aligned, of filter_gradient_scratch() bytes.
using FilterGradientKernel = void (*)(const FilterGradient& job, void* scratch);
constexpr std::size_t filter_gradient_scratch(std::ptrdiff_t outputs, std::ptrdiff_t rows,
                                              std::ptrdiff_t columns, std::size_t itemsize) {
  return static_cast<std::size_t>((outputs + 127) / 128 * 128 * rows * columns + 2 * rows) *
             (itemsize < 8 ? 8 : itemsize) +
         1024;
}

// --- convolutions of channels-last images: conv_kernels.h

struct ConvolutionKernels;

// --- optimizers

// One step of an optimizer over contiguous elements, with the numbers that all elements share. `gradient` is
// 1, or -1 to climb. optimizer.cc states the formulas.
struct SgdStep {
  double gradient = 1, lr = 0, momentum = 0, dampening = 0, weight_decay = 0;
  bool nesterov = false;
  bool first = false;  // the momentum buffer holds nothing yet
};
using SgdKernel = void (*)(const SgdStep& step, void* param, const void* grad, void* momentum,
                           std::ptrdiff_t n);

struct AdamStep {
  double gradient = 1, step_size = 0, beta1 = 0, beta2 = 0, eps = 0;
  double correction = 1;    // what sqrt(v) is divided by
  double weight_decay = 0;  // joins the gradient
  double shrink = 1;        // multiplies the parameter first
};
// `largest` is null unless the largest v so far counts.
using AdamKernel = void (*)(const AdamStep& step, void* param, const void* grad, void* m, void* v,
                            void* largest, std::ptrdiff_t n);

// x[i] *= factor; returns whether all x[i] were finite before.
using ScaleKernel = bool (*)(void* x, std::ptrdiff_t n, double factor);

// --- lines: rows of equal length with one or two numbers per row (softmax and its like)

enum class LinesOp : std::uint8_t {
  ExpShifted,      // exp(a - first)
  Divide,          // a / first
  Subtract,        // (a - first) - second
  Multiply,        // a b
  SoftmaxGrad,     // b (a - first)
  LogSoftmaxGrad,  // a - exp(b) first
  ExpScaled,       // exp(a - first) second
};
inline constexpr std::size_t kLinesOpCount = 7;

// For line l < lines and k < n: out[l * n + k] from a[l * n + k], b[l * n + k], first[l], second[l].
struct LinesJob {
  void* out;
  const void *a, *b, *first, *second;
  std::ptrdiff_t lines, n;
};
using LinesKernel = void (*)(const LinesJob& job);

// --- rows to normalise

// y = (x - mean) * inverse * scale + shift over one row of n numbers of the compute type, all contiguous.
// inverse = 1 / sqrt(var + eps); for rms the mean counts as 0. scale and shift may be null. They have an
// element for each place, or, where `segment` is not 0, one for each stretch of so many places.
// Forward writes y, mean and inverse. Backward reads these two and writes to y the gradient of x; those of
// scale and shift are added to d_scale and d_shift, or written, one sum for each segment.
struct RowNorm {
  const void *x, *grad, *scale, *shift;
  double* mean;
  void *y, *inverse, *d_scale, *d_shift;
  std::ptrdiff_t n, segment;
  double eps;
  bool rms;
};
using RowNormKernel = void (*)(const RowNorm& row);

// --- channels to normalise: batch_norm.cc

// A piece of `count` positions: of all channels, a row for each position, or of one channel (channels = 1).
// high, low: the centre of each channel in two parts. What a, b and c are, and the sums,
// kernels/batch_norm.cc says. first, second: kChannelLanes rows of partial sums, added to; position i goes to
// lane i % kChannelLanes.
struct ChannelJob {
  const void *x = nullptr, *grad = nullptr;
  std::ptrdiff_t count = 0, channels = 1;
  const void *high = nullptr, *low = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
  void *y = nullptr, *first = nullptr, *second = nullptr;
};
inline constexpr std::ptrdiff_t kChannelLanes = 8;
using ChannelKernel = void (*)(const ChannelJob& job);
struct ChannelKernels {  // each for one channel, and for rows of channels
  ChannelKernel moments[2], gradient_sums[2], map[2], gradient[2];
};

// --- recurrent cells

// One step of an LSTM without its products, over `rows` rows of n hidden units; rows of states are `width`
// apart, those of d_sums 4 * width. Forward reads the sums of i, f, g and o from the first four planes of
// `gates`, `plane` apart, and c; it writes their values over the sums, tanh(c') to the fifth plane, and h'
// and c'. Backward reads these planes, c, dh and dc_next, and writes dc and the gradient of the sums.
struct LstmStep {
  std::ptrdiff_t rows, n, width, plane;
  void* gates;
  const void* c;
  void *h, *c_next;
  const void *dh, *dc_next;
  void *dc, *d_sums;
};
using LstmKernel = void (*)(const LstmStep& step);

// --- how large elements are, and what they are like: see kernels/magnitude.cc

using LargestBits = uint64_t (*)(const void* data, std::ptrdiff_t n);

// What numbers are like; those that are not finite are only counted.
struct Health {
  int64_t n = 0, nan = 0, inf = 0, zeros = 0;
  double min = 0, max = 0, sum = 0, squares = 0;  // min > max: there is no finite one
};
using HealthKernel = void (*)(const void* data, std::ptrdiff_t n, Health& health);

// --- attention: see Note [Attention by tiles] in attention.h

struct AttentionJob;
// Tasks [begin, end) of a job. `scratch` is 64-byte aligned, of the job's own number of elements.
using AttentionKernel = void (*)(const AttentionJob& job, std::ptrdiff_t begin, std::ptrdiff_t end,
                                 void* scratch);

// Raises: kernels know no complex numbers. See complex.h.
[[noreturn]] void refuse_complex(DType dtype);

struct Kernels {
  const char* isa;  // "v2", "v3" or "v4"

  // Null where the micro-op has no kernel for the compute type (MicroInfo::floats, MicroInfo::ints).
  MicroKernel micro[kMicroCount + kMaxSuperinstructions][kComputeCount];
  // Null where machine code calls the kernel.
  MicroFormula formulas[kMicroCount][kComputeCount];
  int code_bytes;  // of vectors in machine code, 0 where there is none
  Superinstruction supers[kMaxSuperinstructions];
  int n_supers;
  LoadKernel load[kRealDTypeCount][kComputeCount];
  StoreKernel store[kRealDTypeCount][kComputeCount];

  ProductKernel product_f32, product_f64;
  ProductKernel product_bf16;
  ProductKernel product_bf16_tiles;                        // null where the processor has no tiles
  const TileKernels* tiles;                                // the parts of that
  ReduceRows reduce_rows[kReductionCount][kComputeCount];  // null: Deviation of integers
  ReduceColumns reduce_columns[kReductionCount][kComputeCount];
  FindKernel find[kComputeCount];
  ArgColumns arg_columns[2][kComputeCount];  // largest, smallest
  LinesKernel lines[kLinesOpCount][2];       // F32, F64
  PhiloxKernel philox;
  UniformKernel uniform;
  NormalKernel normal;
  DropoutKernel dropout;
  CorrelationKernel correlate_f32, correlate_f64;
  FilterGradientKernel filter_gradient_f32, filter_gradient_f64;
  const ConvolutionKernels* convolution;
  SgdKernel sgd_f32, sgd_f64;
  AdamKernel adam_f32, adam_f64;
  ChannelKernels channels[2];                                                      // F32, F64
  RowNormKernel row_norm[2], row_norm_backward[2];                                 // F32, F64
  AttentionKernel attention_forward[2], attention_backward[2], attention_join[2];  // F32, F64
  ScaleKernel scale_f32, scale_f64;
  // Copies bytes past the caches; a thread calls end_stream before others may look.
  void (*stream)(void* to, const void* from, std::ptrdiff_t bytes);
  void (*end_stream)();
  LstmKernel lstm_forward[2], lstm_backward[2];  // F32, F64
  HealthKernel health[2];                        // F32, F64
  LargestBits largest_bits[3];                   // of floats of 16, 32, 64 bits

  MicroKernel micro_of(Micro op, Compute compute) const {
    return micro[static_cast<std::size_t>(op)][static_cast<std::size_t>(compute)];
  }
  MicroFormula formula_of(Micro op, Compute compute) const {
    return formulas[static_cast<std::size_t>(op)][static_cast<std::size_t>(compute)];
  }
  int arity_of(Micro op) const {
    return super_number(op) < 0 ? info(op).arity : supers[super_number(op)].n_operands;
  }
  LoadKernel load_of(DType dtype, Compute compute) const {
    if (is_complex(dtype)) refuse_complex(dtype);
    return load[static_cast<std::size_t>(dtype)][static_cast<std::size_t>(compute)];
  }
  StoreKernel store_of(DType dtype, Compute compute) const {
    if (is_complex(dtype)) refuse_complex(dtype);
    return store[static_cast<std::size_t>(dtype)][static_cast<std::size_t>(compute)];
  }
};

// The table in use: the best that the processor and the operating system support (cpu.h).
extern const Kernels* kernels;

// Set by an integer division or remainder that met a divisor of 0 (its result there is 0). Who runs a program
// that divides integers clears it before and raises after.
extern std::atomic<bool> integer_zero_division;

}  // namespace versant
