// layer_norm, rms_norm and group_norm: rows that are normalised by themselves, each one pass over memory
// forward and one backward.
//
// Note [Gradients of scale and shift]
// They are sums over rows. The rows are cut into a number of stretches that the shape alone decides; a
// stretch adds up in order, and the sums of the stretches are added in order at the end, in float64.
#include <array>
#include <cmath>

#include "machine/call.h"
#include "machine/lock.h"
#include "machine/looks.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/tiles.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

constexpr int64_t kStretches = 32;       // of rows, at most
constexpr int64_t kRowsAtOnce = 64;      // that a stretch adds up in the compute type
constexpr int64_t kParallelWork = 8192;  // elements worth a second thread
constexpr int64_t kUnlockWork = 50000;

// ints: width of a row, rows that share no scale (groups of a sample), length of a segment (0: a scale for
// each place), whether rms, whether a scale and a shift are given; floats: eps.
struct Form {
  explicit Form(const Attributes& a)
      : width(a.ints[0]),
        groups(a.ints[1]),
        segment(a.ints[2]),
        rms(a.ints[3] != 0),
        scaled(a.ints[4] != 0),
        shifted(a.ints[5] != 0),
        eps(a.floats[0]) {}
  int64_t scales() const { return segment ? width / segment : width; }  // of one row
  int64_t width, groups, segment;
  bool rms, scaled, shifted;
  double eps;
};

// Whether the claims of a saved program about rows hold; scale and shift stand from `next` on.
bool admits_rows(const Claim& c, const Array& x, size_t next, bool shifts) {
  if (c.out.size() != 3 || c.attributes.ints.size() != 6) return false;
  const Form form(c.attributes);
  if (!is_floating(x.dtype) || !x.contiguous || form.width < 1 || x.numel % form.width || form.groups < 1)
    return false;
  if (form.segment < 0 || (form.segment ? form.width % form.segment : form.groups != 1)) return false;
  const int64_t scales = form.scales();
  if (x.numel / form.width % form.groups || form.groups > (int64_t{1} << 46) / scales) return false;
  const DType stored = stored_dtype(compute_of(x.dtype));
  for (const bool given : {form.scaled, shifts && form.shifted})
    if (given && (next >= c.in.size() || !c.is_row(next++, scales * form.groups, stored))) return false;
  return next == c.in.size();
}

// The rows of an array, as numbers of the compute type.
class Rows {
 public:
  Rows(const Array& x, int64_t width)
      : data_(x.as<char>()),
        bytes_(width * itemsize(x.dtype)),
        width_(width),
        compute_(compute_of(x.dtype)),
        direct_(x.dtype == stored_dtype(compute_)),
        load_(kernels->load_of(x.dtype, compute_)),
        store_(kernels->store_of(x.dtype, compute_)) {}
  // Row r: in place, or loaded into `room`.
  const void* read(int64_t r, void* room) const {
    char* const at = data_ + r * bytes_;
    if (direct_) return at;
    load_(room, at, 1, width_);
    return room;
  }
  void* place(int64_t r, void* room) const { return direct_ ? data_ + r * bytes_ : room; }
  void write(int64_t r, const void* from) const {
    if (!direct_) store_(data_ + r * bytes_, 1, from, width_);
  }
  // Working memory of a row, for those that are converted.
  size_t room() const {
    return direct_ ? 0 : static_cast<size_t>(width_ + 15) / 16 * 16 * item_bytes(compute_);
  }

 private:
  char* data_;
  int64_t bytes_, width_;
  Compute compute_;
  bool direct_;
  LoadKernel load_;
  StoreKernel store_;
};

// Aligned memory of one thread inside a parallel loop.
class Room {
 public:
  explicit Room(size_t bytes) : data_(bytes ? std::aligned_alloc(64, (bytes + 63) / 64 * 64) : nullptr) {
    if (bytes && !data_) std::abort();
  }
  ~Room() { std::free(data_); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  char* at(size_t offset) const { return data_ ? static_cast<char*>(data_) + offset : nullptr; }

 private:
  void* data_;
};

// Inputs: x with contiguous rows, scale?, shift? of the compute type. Outputs: y, and mean and
// 1 / sqrt(var + eps) of each row.
struct NormalizeRows final : Primitive {
  const char* name() const override { return "normalize_rows"; }
  bool batch(Batch& b) const override;
  bool admits(const Claim& c) const override { return !c.in.empty() && admits_rows(c, *c.in[0], 1, true); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const Form form(run.attributes);
    const Compute compute = compute_of(x.dtype);
    const int64_t rows = form.width ? x.numel / form.width : 0;
    const auto item = static_cast<int64_t>(item_bytes(compute));
    run.n_outputs = 3;
    run.out[0] = Array::empty(x.sizes, x.dtype);
    run.out[1] = Array::empty(Dims{rows}, DType::Float64);
    run.out[2] = Array::empty(Dims{rows}, stored_dtype(compute));
    RowNorm shared{};
    size_t next = 1;
    if (form.scaled) shared.scale = run.in[next++]->data;
    if (form.shifted) shared.shift = run.in[next]->data;
    shared.n = form.width;
    shared.segment = form.segment;
    shared.eps = form.eps;
    shared.rms = form.rms;
    const Rows from(x, form.width), to(run.out[0], form.width);
    const RowNormKernel kernel = kernels->row_norm[static_cast<int>(compute)];
    double* const means = run.out[1].as<double>();
    char* const inverses = run.out[2].as<char>();
    watch::Looks* const looks = watch::take(this, std::array<const Array*, 1>{&run.out[0]});
    Unlocked unlocked(x.numel >= kUnlockWork);
    parallel_for(rows, std::max<int64_t>(1, kParallelWork / form.width), [&](int64_t begin, int64_t end) {
      const Room room(from.room());
      watch::Glances glances(looks);
      for (int64_t r = begin; r < end; ++r) {
        RowNorm row = shared;
        row.x = from.read(r, room.at(0));
        row.y = to.place(r, room.at(0));
        row.mean = means + r;
        row.inverse = inverses + r * item;
        if (form.segment) move_scales(row, form, r, item);
        kernel(row);
        to.write(r, row.y);
        glances.wrote(r * form.width, form.width);
      }
    });
  }
  // The scales of the group that row r is.
  static void move_scales(RowNorm& row, const Form& form, int64_t r, int64_t item) {
    const int64_t at = r % form.groups * form.scales() * item;
    if (row.scale) row.scale = static_cast<const char*>(row.scale) + at;
    if (row.shift) row.shift = static_cast<const char*>(row.shift) + at;
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[4] ? 3u : 1u, 6u}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: gradient, x, mean, 1 / std, scale?. Outputs: gradients of x, scale and shift (those that are not
// asked are empty).
struct NormalizeRowsBackward final : Primitive {
  const char* name() const override { return "normalize_rows_backward"; }
  bool admits(const Claim& c) const override {
    if (c.in.size() < 4 || !admits_rows(c, *c.in[1], 4, false)) return false;
    const Array& x = *c.in[1];
    const int64_t rows = x.numel / c.attributes.ints[0];
    return c.alike(0, 1) && c.in[0]->contiguous && c.is_row(2, rows, DType::Float64) &&
           c.is_row(3, rows, stored_dtype(compute_of(x.dtype)));
  }
  void run(Run& run) const override {
    const Array& x = *run.in[1];
    const Form form(run.attributes);
    const Compute compute = compute_of(x.dtype);
    const int64_t rows = form.width ? x.numel / form.width : 0, scales = form.scales();
    run.n_outputs = 3;
    run.out[0] = Array::empty(x.sizes, x.dtype);
    for (int k = 1; k < 3; ++k) run.out[k] = Array::empty(Dims{0}, stored_dtype(compute));
    // Sums of stretches of rows, or of single rows where these have segments.
    const bool sums = form.scaled || form.shifted, segments = form.segment > 0;
    const int64_t stretch = std::max<int64_t>(16, (rows + kStretches - 1) / kStretches);
    const int64_t stretches = (rows + stretch - 1) / stretch;
    const DType wide = segments ? stored_dtype(compute) : DType::Float64;
    Array partial[2];
    if (sums || segments)
      for (Array& p : partial) p = Array::empty(Dims{segments ? rows : stretches, scales}, wide);
    watch::Looks* const looks = watch::take(this, std::array<const Array*, 1>{&run.out[0]});
    {
      Unlocked unlocked(x.numel >= kUnlockWork);
      if (compute == Compute::F32)
        go<float>(run, form, rows, stretch, partial, looks);
      else
        go<double>(run, form, rows, stretch, partial, looks);
    }
    for (int k = 1; sums && k < 3; ++k) {
      run.out[k] = Array::empty(Dims{scales * form.groups}, stored_dtype(compute));
      if (compute == Compute::F32)
        add_up<float>(partial[k - 1], form.groups, run.out[k]);
      else
        add_up<double>(partial[k - 1], form.groups, run.out[k]);
    }
  }

 private:
  template <typename T>
  static void go(Run& run, const Form& form, int64_t rows, int64_t stretch, const Array* partial,
                 watch::Looks* looks) {
    const Compute compute = sizeof(T) == 4 ? Compute::F32 : Compute::F64;
    const Rows grads(*run.in[0], form.width), from(*run.in[1], form.width), to(run.out[0], form.width);
    const RowNormKernel kernel = kernels->row_norm_backward[static_cast<int>(compute)];
    RowNorm shared{};
    if (form.scaled) shared.scale = run.in[4]->data;
    shared.n = form.width;
    shared.segment = form.segment;
    shared.rms = form.rms;
    double* const means = run.in[2]->as<double>();
    T* const inverses = run.in[3]->template as<T>();
    const int64_t scales = form.scales();
    auto one = [&](int64_t r, RowNorm row, const Room& room, watch::Glances& glances) {
      row.grad = grads.read(r, room.at(0));
      row.x = from.read(r, room.at(grads.room()));
      row.y = to.place(r, room.at(grads.room()));
      row.mean = means + r;
      row.inverse = inverses + r;
      kernel(row);
      to.write(r, row.y);
      glances.wrote(r * form.width, form.width);
    };
    if (form.segment) {
      parallel_for(rows, std::max<int64_t>(1, kParallelWork / form.width), [&](int64_t begin, int64_t end) {
        const Room room(grads.room() + from.room());
        watch::Glances glances(looks);
        for (int64_t r = begin; r < end; ++r) {
          RowNorm row = shared;
          NormalizeRows::move_scales(row, form, r, sizeof(T));
          row.d_scale = partial[0].as<T>() + r * scales;
          row.d_shift = partial[1].as<T>() + r * scales;
          one(r, row, room, glances);
        }
      });
      return;
    }
    // See Note [Gradients of scale and shift].
    const int64_t stretches = (rows + stretch - 1) / stretch;
    const bool sums = form.scaled || form.shifted;
    const size_t sum_bytes = static_cast<size_t>(form.width + 15) / 16 * 16 * sizeof(T);
    parallel_for(stretches, std::max<int64_t>(1, kParallelWork / (stretch * form.width)),
                 [&](int64_t begin, int64_t end) {
                   const size_t base = grads.room() + from.room();
                   const Room room(base + (sums ? 2 * sum_bytes : 0));
                   RowNorm row = shared;
                   T* at[2] = {};
                   for (int k = 0; sums && k < 2; ++k)
                     at[k] = reinterpret_cast<T*>(room.at(base + static_cast<size_t>(k) * sum_bytes));
                   if (form.scaled) row.d_scale = at[0];
                   if (form.shifted) row.d_shift = at[1];
                   watch::Glances glances(looks);
                   for (int64_t s = begin; s < end; ++s) {
                     const int64_t last = std::min(rows, (s + 1) * stretch);
                     for (int64_t r = s * stretch; r < last; r += kRowsAtOnce) {
                       for (T* sum : at)
                         if (sum) std::fill_n(sum, form.width, T(0));
                       for (int64_t i = r; i < std::min(last, r + kRowsAtOnce); ++i)
                         one(i, row, room, glances);
                       for (int k = 0; sums && k < 2; ++k) {
                         double* const total = partial[k].as<double>() + s * form.width;
                         for (int64_t i = 0; i < form.width; ++i)
                           total[i] = (r == s * stretch ? 0.0 : total[i]) + static_cast<double>(at[k][i]);
                       }
                     }
                   }
                 });
  }

  // out[g * columns + i] = sum over the rows of partial that are g modulo `groups`.
  template <typename T>
  static void add_up(const Array& partial, int64_t groups, const Array& out) {
    const int64_t rows = partial.sizes[0], columns = partial.sizes[1];
    parallel_for(groups * columns, std::max<int64_t>(64, kParallelWork / std::max<int64_t>(1, rows / groups)),
                 [&](int64_t begin, int64_t end) {
                   constexpr int64_t kAtOnce = 256;
                   for (int64_t first = begin; first < end;) {
                     const int64_t g = first / columns, i = first % columns;
                     const int64_t n = std::min({kAtOnce, end - first, columns - i});
                     double total[kAtOnce] = {};
                     for (int64_t r = g; r < rows; r += groups) {
                       if (partial.dtype == DType::Float64) {
                         const double* from = partial.as<double>() + r * columns + i;
                         for (int64_t k = 0; k < n; ++k) total[k] += from[k];
                       } else {
                         const float* from = partial.as<float>() + r * columns + i;
                         for (int64_t k = 0; k < n; ++k) total[k] += static_cast<double>(from[k]);
                       }
                     }
                     for (int64_t k = 0; k < n; ++k) out.as<T>()[first + k] = static_cast<T>(total[k]);
                     first += n;
                   }
                 });
  }
  // Recorded passes are composed of ops instead (NormalizeRows::vjp).
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

const NormalizeRows kNormalizeRows;
const NormalizeRowsBackward kNormalizeRowsBackward;

bool NormalizeRows::batch(Batch& b) const {
  const Form form(b.attributes());
  const int vectors = form.scaled + form.shifted;
  Attributes a = b.attributes();
  const TensorRef x = ops::contiguous(b.whole(0));
  auto split = [&](Outputs out) {
    for (int k = 1; k < 3; ++k)
      if (out.tensor[k]) out.tensor[k] = ops::reshape(*out.tensor[k], Dims{b.size(), -1});
    b.set_all(std::move(out));
  };
  if (b.size() == 0 || !x->numel) return false;
  if (!b.any_of({1, 2})) {
    std::vector<Tensor*> inputs = {x.get()};
    for (int i = 1; i <= vectors; ++i) inputs.push_back(&b.held(i));
    split(apply(*this, inputs, a));
    return true;
  }
  // Scales of each sample are applied apart.
  a.ints[4] = a.ints[5] = 0;
  Outputs out = apply(*this, {x.get()}, a);
  const Dims sizes = out.tensor[0]->sizes;
  TensorRef y = form.segment ? ops::reshape(*out.tensor[0],
                                            Dims{b.size(), -1, form.groups * form.scales(), form.segment})
                             : ops::reshape(*out.tensor[0], Dims{b.size(), -1, form.width, 1});
  for (int i = 1; i <= vectors; ++i) {
    const TensorRef of_rows = ops::reshape(b.held(i), Dims{b.has(i) ? b.size() : 1, 1, -1, 1});
    y = form.scaled && i == 1 ? ops::mul(y, of_rows) : ops::add(y, of_rows);
  }
  out.tensor[0] = ops::cast(*ops::reshape(*y, sizes), b.whole(0).dtype);
  split(std::move(out));
  return true;
}

const NamedOp kSquare("square"), kRsqrt("rsqrt");
TensorRef unary(const NamedOp& op, Tensor& x) {
  const Input inputs[] = {Input(x)};
  return apply(*op, inputs);
}

// The gradient as ops, for passes that are recorded themselves. Axes: samples, groups, scales, places.
void composed_vjp(Vjp& vjp, const Form& form) {
  TensorRef x = vjp.input(0), grad = vjp.grad();
  const DType dtype = x->dtype, wide = stored_dtype(compute_of(dtype));
  const Dims sizes = x->sizes;
  const int64_t rows = form.width ? x->numel / form.width : 0;
  const Dims split = form.segment ? Dims{rows / form.groups, form.groups, form.scales(), form.segment}
                                  : Dims{rows, 1, 1, form.width};
  const Dims scale_sizes = form.segment ? Dims{1, form.groups, form.scales(), 1} : Dims{1, 1, 1, form.width};
  auto shaped = [&](const TensorRef& t) { return ops::reshape(*ops::cast(*t, wide), split); };
  x = shaped(x);
  grad = shaped(grad);
  auto mean_of = [](const TensorRef& t) { return ops::mean(*t, Dims{2, 3}, true); };
  TensorRef centred = form.rms ? x : ops::sub(x, mean_of(x));
  TensorRef variance = mean_of(unary(kSquare, *centred));
  TensorRef rstd = unary(kRsqrt, *ops::add(variance, Input(Scalar::of(form.eps))));
  TensorRef normal = ops::mul(centred, rstd), scaled = grad;
  int next = 1;
  const Dims over = form.segment ? Dims{0, 3} : Dims{0, 1, 2};
  auto summed = [&](const TensorRef& t) {
    return ops::reshape(*ops::sum(*t, over, false), Dims{form.groups * form.scales()});
  };
  if (form.scaled) {
    TensorRef scale = vjp.input(1);
    scaled = ops::mul(grad, ops::reshape(*scale, scale_sizes));
    if (vjp.needs(1)) vjp.set(1, summed(ops::mul(grad, normal)));
    ++next;
  }
  if (form.shifted && vjp.needs(next)) vjp.set(next, summed(grad));
  if (!vjp.needs(0)) return;
  TensorRef inner = form.rms ? scaled : ops::sub(scaled, mean_of(scaled));
  inner = ops::sub(inner, ops::mul(normal, mean_of(ops::mul(scaled, normal))));
  vjp.set(0, ops::cast(*ops::reshape(*ops::mul(rstd, inner), sizes), dtype));
}

void NormalizeRows::vjp(Vjp& vjp) const {
  if (!vjp.grad()) return;
  const Form form(vjp.attributes());
  if (modes.composes()) return composed_vjp(vjp, form);
  TensorRef grad = ops::contiguous(*vjp.grad()), x = vjp.input(0), mean = vjp.output(1), rstd = vjp.output(2);
  TensorRef scale = form.scaled ? vjp.input(1) : TensorRef();
  std::vector<Tensor*> inputs = {grad.get(), x.get(), mean.get(), rstd.get()};
  if (scale) inputs.push_back(scale.get());
  Outputs out = apply(kNormalizeRowsBackward, inputs, vjp.attributes());
  if (vjp.needs(0)) vjp.set(0, std::move(out.tensor[0]));
  int next = 1;
  if (form.scaled) {
    if (vjp.needs(next)) vjp.set(next, std::move(out.tensor[1]));
    ++next;
  }
  if (form.shifted && vjp.needs(next)) vjp.set(next, std::move(out.tensor[2]));
}

// --- arguments

void check_floating(const Tensor& input, const char* op) {
  if (!is_floating(input.dtype))
    fail(ErrorKind::DType, "[", op, "] expected floating-point input, got ", name(input.dtype));
}

// A scale or shift as a vector of the compute type.
TensorRef prepare(Tensor& given, const Dims& sizes, const Tensor& input, const char* op, const char* what) {
  if (given.sizes != sizes)
    fail(ErrorKind::Shape, "[", op, "] expected ", what, " of shape ", sizes, ", got ", given.sizes);
  if (!is_floating(given.dtype))
    fail(ErrorKind::DType, "[", op, "] expected floating-point ", what, ", got ", name(given.dtype));
  TensorRef flat = given.rank() == 1 ? TensorRef(&given) : ops::reshape(given, Dims{-1});
  flat = ops::cast(*flat, stored_dtype(compute_of(input.dtype)));
  return ops::contiguous(*flat);
}

TensorRef normalize(Tensor& input, Attributes& a, Tensor* weight, Tensor* bias, const Dims& sizes,
                    const char* op) {
  TensorRef x = ops::contiguous(input), scale, shift;
  std::vector<Tensor*> inputs = {x.get()};
  if (weight) inputs.push_back((scale = prepare(*weight, sizes, input, op, "weight")).get());
  if (bias) inputs.push_back((shift = prepare(*bias, sizes, input, op, "bias")).get());
  a.ints.push_back(weight != nullptr);
  a.ints.push_back(bias != nullptr);
  return apply(kNormalizeRows, inputs, a).tensor[0];
}

// The number of elements of a row over the last axes.
int64_t row_width(const Tensor& input, const Dims& shape, const char* op) {
  const int lead = input.rank() - shape.size();
  bool fits = lead >= 0 && shape.size() > 0;
  int64_t width = 1;
  for (int d = 0; fits && d < shape.size(); ++d) {
    fits = input.sizes[lead + d] == shape[d];
    width *= shape[d];
  }
  if (!fits)
    fail(ErrorKind::Shape, "[", op, "] expected last dimensions ", shape, ", got input of shape ",
         input.sizes);
  return width;
}

// layer_norm(input, normalized_shape, weight, bias, eps)
Result layer_norm(Args& args) {
  Tensor& input = args.tensor(0);
  check_floating(input, "layer_norm");
  Attributes a;
  a.ints = Dims{row_width(input, args.ints(1), "layer_norm"), 1, 0, 0};
  a.floats[0] = args.number(4);
  return Result(
      normalize(input, a, args.optional_tensor(2), args.optional_tensor(3), args.ints(1), "layer_norm"));
}

// rms_norm(input, normalized_shape, weight, eps)
Result rms_norm(Args& args) {
  Tensor& input = args.tensor(0);
  check_floating(input, "rms_norm");
  Attributes a;
  a.ints = Dims{row_width(input, args.ints(1), "rms_norm"), 1, 0, 1};
  a.floats[0] = args.number(3);
  return Result(normalize(input, a, args.optional_tensor(2), nullptr, args.ints(1), "rms_norm"));
}

// group_norm(input, num_groups, weight, bias, eps)
Result group_norm(Args& args) {
  Tensor& input = args.tensor(0);
  check_floating(input, "group_norm");
  const int64_t groups = args.integer(1);
  if (input.rank() < 2)
    fail(ErrorKind::Shape, "[group_norm] expected input of shape (N, C, ...), got ", input.sizes);
  const int64_t channels = input.sizes[1];
  if (groups < 1 || channels % groups)
    fail(ErrorKind::Shape, "[group_norm] expected a number of groups that divides the ", channels,
         " channels of input, got ", groups);
  int64_t positions = 1;
  for (int d = 2; d < input.rank(); ++d) positions *= input.sizes[d];
  Attributes a;
  a.ints = Dims{channels / groups * positions, groups, positions, 0};
  a.floats[0] = args.number(4);
  return Result(
      normalize(input, a, args.optional_tensor(2), args.optional_tensor(3), Dims{channels}, "group_norm"));
}

const Function kLayerNorm("layer_norm", layer_norm);
const Function kRmsNorm("rms_norm", rms_norm);
const Function kGroupNorm("group_norm", group_norm);

}  // namespace

}  // namespace versant
