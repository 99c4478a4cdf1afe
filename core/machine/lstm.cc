// One step of an LSTM as one op: products, gates and states.
//
// Note [Cells by columns]
// Threads share the hidden units: each has the four gates of its own, from the weights' rows of these, so
// that products and the pass over their sums need no wait between them. Where there are too few units for
// that, they share the rows of the batch.
#include <algorithm>
#include <cstring>

#include "machine/action.h"
#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/matmul.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/scratch.h"
#include "machine/trace.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

using namespace ops;

constexpr int kGates = 4;
constexpr double kParallelWork = 2e5;  // multiply-adds from which threads share a step
constexpr double kUnlockedWork = 1e6;
constexpr int64_t kColumns = 32;  // threads get multiples of this many hidden units

// What stands where among the inputs: (sums, h, c, weight_hh), where the input's part of the sums is given,
// or (x, h, c, weight_hh, weight_ih, bias_ih, bias_hh), the biases where there are any. h may be as wide as a
// projection of it.
struct Form {
  explicit Form(const Attributes& a)
      : given(a.ints[0] != 0), bias_ih(a.ints[1] ? 5 : 0), bias_hh(a.ints[2] ? (a.ints[1] ? 6 : 5) : 0) {}
  bool given;
  int bias_ih, bias_hh;  // 0: none
};

const void* at(const Array& array, int64_t row, int64_t column) {
  return array.as<char>() +
         (row * array.strides[0] + column * array.strides[1]) * static_cast<int64_t>(itemsize(array.dtype));
}

// A part of the hidden units or of the rows.
struct Part {
  int64_t row, rows, column, columns;
};

// Calls body(part, lane) for all parts; at most `lanes` run at once, and each has a number of its own.
struct Sharing {
  Sharing(int64_t rows, int64_t units, double work) : rows(rows), units(units) {
    const int64_t threads = work >= kParallelWork ? num_threads() : 1;
    by_columns = threads == 1 || units >= kColumns * threads;
    const int64_t step = by_columns ? kColumns : 1, count = by_columns ? units : rows;
    each = ((count + threads - 1) / threads + step - 1) / step * step;
    lanes = each ? (count + each - 1) / each : 0;
  }
  template <typename Body>
  void run(Body&& body) const {
    parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
      for (int64_t lane = begin; lane < end; ++lane) {
        const int64_t from = lane * each;
        if (by_columns)
          body(Part{0, rows, from, std::min(each, units - from)}, lane);
        else
          body(Part{from, std::min(each, rows - from), 0, units}, lane);
      }
    });
  }
  int64_t rows, units, each, lanes;
  bool by_columns;
};

struct LstmCell final : Primitive {
  const char* name() const override { return "lstm_cell"; }
  bool batch(Batch& b) const override {
    for (int i = 3; i < b.count(); ++i)
      if (b.has(i)) return false;
    if (b.size() == 0) return false;
    std::vector<TensorRef> held;
    std::vector<Tensor*> inputs;
    for (int i = 0; i < 3; ++i) held.push_back(contiguous(*b.folded(i)));
    for (const TensorRef& tensor : held) inputs.push_back(tensor.get());
    for (int i = 3; i < b.count(); ++i) inputs.push_back(&b.held(i));
    Outputs out = apply(*this, inputs, b.attributes());
    for (int k = 0; k < 2; ++k) out.tensor[k] = b.unfolded(*out.tensor[k]);
    // The gates have their rows along axis 1.
    out.tensor[2] = move_axis(*b.unfolded(*move_axis(*out.tensor[2], 1, 0)), 1, 2);
    b.set_all(std::move(out));
    return true;
  }
  bool adds() const override { return true; }

  bool admits(const Claim& c) const override {
    if (c.attributes.ints.size() != 3 || c.in.size() < 4 || c.out.size() != 3) return false;
    const Form form(c.attributes);
    const size_t biases = (form.bias_ih ? 1 : 0) + (form.bias_hh ? 1 : 0);
    if (c.in.size() != (form.given ? 4 : 5 + biases) || (form.given && biases)) return false;
    const Array &x = *c.in[0], &h = *c.in[1], &cell = *c.in[2];
    const DType dtype = h.dtype;
    if ((dtype != DType::Float32 && dtype != DType::Float64) || x.rank() != 2 || h.rank() != 2 ||
        cell.rank() != 2)
      return false;
    for (const Array* array : c.in)
      if (array->dtype != dtype) return false;
    const int64_t rows = cell.sizes[0], units = cell.sizes[1], sums = kGates * units;
    if (h.sizes[0] != rows || x.sizes[0] != rows || c.in[3]->sizes != Dims{sums, h.sizes[1]}) return false;
    if (form.given) return x.sizes[1] == sums && x.contiguous;
    for (size_t i = 5; i < c.in.size(); ++i)
      if (c.in[i]->sizes != Dims{sums}) return false;
    return c.in[4]->sizes == Dims{sums, x.sizes[1]};
  }
  void run(Run& run) const override {
    const Form form(run.attributes);
    const Array &x = *run.in[0], &h = *run.in[1], &weight_hh = *run.in[3];
    const Array c = run.in[2]->to_contiguous();
    const int64_t rows = c.sizes[0], units = c.sizes[1], plane = rows * units, states = h.sizes[1];
    const DType dtype = h.dtype;
    const bool single = dtype == DType::Float32;
    run.n_outputs = 3;
    for (int k = 0; k < 2; ++k) run.out[k] = Array::empty(Dims{rows, units}, dtype);
    run.out[2] = Array::empty(Dims{kGates + 1, rows, units}, dtype);
    Array bias_ih, bias_hh;
    if (form.bias_ih) bias_ih = run.in[form.bias_ih]->to_contiguous();
    if (form.bias_hh) bias_hh = run.in[form.bias_hh]->to_contiguous();
    const Array* const weight_ih = form.given ? nullptr : run.in[4];
    const int64_t inputs = form.given ? 0 : x.sizes[1], item = static_cast<int64_t>(itemsize(dtype));
    const double work = static_cast<double>(kGates * plane) * static_cast<double>(inputs + states);
    const Sharing sharing(rows, units, work);
    const int64_t columns = sharing.by_columns ? sharing.each : units;
    const size_t room =
        (product_scratch(rows, columns, std::max(inputs, states), static_cast<size_t>(item)) + 63) / 64 * 64;
    Scratch scratch(room * static_cast<size_t>(sharing.lanes));
    const ProductKernel product = single ? kernels->product_f32 : kernels->product_f64;
    Unlocked unlocked(work >= kUnlockedWork);
    if (plane == 0) return;
    sharing.run([&](const Part& part, int64_t lane) {
      auto place = [&](const Array& array, int64_t row, int64_t column) {
        return array.as<char>() + (row * units + column) * item;
      };
      const int64_t shift = part.row * units + part.column;
      for (int64_t gate = 0; gate < kGates; ++gate) {
        Product p;
        p.m = part.rows;
        p.n = part.columns;
        p.c = run.out[2].as<char>() + (gate * plane + shift) * item;
        p.c_row = units;
        p.c_col = 1;
        const int64_t first = gate * units + part.column;
        auto add_product = [&](const Array& a, const Array& weight, const Array& bias) {
          p.k = a.sizes[1];
          p.a = at(a, part.row, 0);
          p.a_row = a.strides[0];
          p.a_col = a.strides[1];
          p.b = at(weight, first, 0);
          p.b_row = weight.strides[1];
          p.b_col = weight.strides[0];
          p.bias = bias.data ? bias.as<char>() + first * item : nullptr;
          product(p, scratch.data() + room * static_cast<size_t>(lane));
        };
        if (form.given) {
          for (int64_t r = 0; r < part.rows; ++r)
            std::memcpy(static_cast<char*>(p.c) + r * units * item, at(x, part.row + r, first),
                        static_cast<size_t>(part.columns * item));
        } else {
          add_product(x, *weight_ih, bias_ih);
        }
        p.add = true;
        add_product(h, weight_hh, bias_hh);
      }
      LstmStep step{};
      step.rows = part.rows;
      step.n = part.columns;
      step.width = units;
      step.plane = plane;
      step.gates = run.out[2].as<char>() + shift * item;
      step.c = place(c, part.row, part.column);
      step.h = place(run.out[0], part.row, part.column);
      step.c_next = place(run.out[1], part.row, part.column);
      kernels->lstm_forward[single ? 0 : 1](step);
    });
  }

  Saves saves(const Attributes& attributes, uint32_t) const override {
    const Form form(attributes);
    const int inputs = (form.given ? 4 : 5) + (form.bias_ih > 0) + (form.bias_hh > 0);
    return {(1u << inputs) - 1, 4};
  }
  void vjp(Vjp& vjp) const override;
};

const LstmCell kLstmCell;

const NamedOp kSigmoid("sigmoid"), kTanh("tanh");
TensorRef unary(const NamedOp& op, const TensorRef& x) {
  const Input inputs[] = {Input(*x)};
  return apply(*op, inputs);
}

// A step as ops: what the gates and states are.
struct Composed {
  Composed(Tensor& from_input, Tensor& h, Tensor& c, Tensor& weight_hh, Tensor* bias_hh) {
    TensorRef sums = add(from_input, *linear(h, weight_hh, bias_hh));
    const int64_t units = c.sizes[1];
    for (int k = 0; k < kGates; ++k)
      gate[k] = unary(k == 2 ? kTanh : kSigmoid, slice(*sums, 1, k * units, (k + 1) * units));
    c_next = add(*mul(*gate[1], c), *mul(*gate[0], *gate[2]));
    bent = unary(kTanh, c_next);
  }
  TensorRef gate[kGates], c_next, bent;
};

// The gradient as ops, for passes that are recorded themselves.
void composed_vjp(Vjp& vjp, const Form& form) {
  const Input one(Scalar::of_int(1));
  TensorRef x = vjp.input(0), h = vjp.input(1), c = vjp.input(2), weight_hh = vjp.input(3);
  TensorRef weight_ih = form.given ? TensorRef() : vjp.input(4);
  TensorRef bias_ih = form.bias_ih ? vjp.input(form.bias_ih) : TensorRef();
  TensorRef bias_hh = form.bias_hh ? vjp.input(form.bias_hh) : TensorRef();
  TensorRef from_input = form.given ? x : linear(*x, *weight_ih, bias_ih.get());
  const Composed step(*from_input, *h, *c, *weight_hh, bias_hh.get());
  const auto& [i, f, g, o] = step.gate;
  const TensorRef& bent = step.bent;
  TensorRef dh = vjp.grad(0), slope = vjp.grad(1);
  if (dh) {
    TensorRef through = mul(*mul(*dh, *o), *sub(one, *mul(*bent, *bent)));
    slope = slope ? add(*slope, *through) : through;
  }
  auto bump = [&](const TensorRef& y) { return mul(*y, *sub(one, *y)); };
  TensorRef parts[kGates] = {mul(*mul(*slope, *g), *bump(i)), mul(*mul(*slope, *c), *bump(f)),
                             mul(*mul(*slope, *i), *sub(one, *mul(*g, *g))),
                             dh ? mul(*mul(*dh, *bent), *bump(o)) : zeros(o->sizes, o->dtype)};
  Tensor* const all[kGates] = {parts[0].get(), parts[1].get(), parts[2].get(), parts[3].get()};
  TensorRef d_sums = cat(all, 1), turned = transpose(*d_sums, 0, 1);
  if (vjp.needs(0)) vjp.set(0, form.given ? d_sums : matmul(*d_sums, *weight_ih));
  if (vjp.needs(1)) vjp.set(1, matmul(*d_sums, *weight_hh));
  if (vjp.needs(2)) vjp.set(2, mul(*slope, *f));
  if (vjp.needs(3)) vjp.set(3, matmul(*turned, *h));
  if (!form.given && vjp.needs(4)) vjp.set(4, matmul(*turned, *x));
  for (const int k : {form.bias_ih, form.bias_hh})
    if (k && vjp.needs(k)) vjp.set(k, sum(*d_sums, Dims{0}, false));
}

// The gradient of one weight: a product that is added to what has arrived for it, where that can be done.
// Input -1: of none.
struct WeightGradient {
  WeightGradient(Vjp& vjp, int input, const Array& from) {
    if (input < 0 || !vjp.needs(input)) return;
    Tensor* const sum = vjp.sum(input);
    adds = sum && sum->dtype == from.dtype && from.sizes[0] <= kAddedDepth;
    if (adds) {
      to = *sum;
    } else {
      to = Array::empty(vjp.input_sizes(input), from.dtype);
      vjp.set(input, Tensor::make(to));
    }
  }
  Array to;
  bool adds = false;
};

// The arrays of a step's gradient: what it reads, and what it writes. `weights` are added to where `adds`
// says so.
struct BackwardArrays {
  const Array *h, *x, *c, *gates, *dh, *dc_next;
  const Array *d_sums, *dc, *d_bias;  // d_bias: null, or of no more than kReductionBlock rows
  const Array* weights[2];            // of weight_hh and weight_ih; null where they are not wanted
  bool adds[2];
};

void run_backward(bool given, const BackwardArrays& a) {
  const int64_t rows = a.c->sizes[0], units = a.c->sizes[1], plane = rows * units, states = a.h->sizes[1];
  const int64_t item = static_cast<int64_t>(itemsize(a.h->dtype));
  const bool single = a.h->dtype == DType::Float32;
  std::vector<const void*> lines(a.d_bias ? static_cast<size_t>(rows) : 0);
  for (size_t r = 0; r < lines.size(); ++r)
    lines[r] = a.d_sums->as<char>() + static_cast<int64_t>(r) * kGates * units * item;
  const Array* const from[2] = {a.h, a.x};

  const int64_t inputs = given ? 0 : a.x->sizes[1];
  const double work = static_cast<double>(kGates * plane) * static_cast<double>(inputs + states);
  const Sharing sharing(rows, units, work);
  const size_t room =
      (product_scratch(units, std::max(inputs, states), rows, static_cast<size_t>(item)) + 63) / 64 * 64;
  {
    Scratch scratch(room * static_cast<size_t>(sharing.lanes));
    const ProductKernel product = single ? kernels->product_f32 : kernels->product_f64;
    Unlocked unlocked(work >= kUnlockedWork);
    sharing.run([&](const Part& part, int64_t lane) {
      const int64_t shift = (part.row * units + part.column) * item;
      LstmStep step{};
      step.rows = part.rows;
      step.n = part.columns;
      step.width = units;
      step.plane = plane;
      step.gates = a.gates->as<char>() + shift;
      step.c = a.c->as<char>() + shift;
      step.dh = a.dh->as<char>() + shift;
      step.dc_next = a.dc_next->as<char>() + shift;
      step.dc = a.dc->as<char>() + shift;
      step.d_sums = a.d_sums->as<char>() + (part.row * kGates * units + part.column) * item;
      kernels->lstm_backward[single ? 0 : 1](step);
      if (!sharing.by_columns) return;
      for (int64_t gate = 0; gate < kGates; ++gate) {
        const int64_t first = gate * units + part.column;
        for (int k = 0; k < 2; ++k) {
          const Array* const to = a.weights[k];
          if (!to) continue;
          Product p;
          p.m = part.columns;
          p.n = to->sizes[1];
          p.k = rows;
          p.a = at(*a.d_sums, 0, first);
          p.a_row = 1;
          p.a_col = kGates * units;
          p.b = from[k]->data;
          p.b_row = from[k]->strides[0];
          p.b_col = from[k]->strides[1];
          p.c = const_cast<void*>(at(*to, first, 0));
          p.c_row = to->strides[0];
          p.c_col = to->strides[1];
          p.add = a.adds[k];
          product(p, scratch.data() + room * static_cast<size_t>(lane));
        }
        if (a.d_bias)
          kernels->reduce_columns[static_cast<size_t>(Reduction::Sum)][static_cast<size_t>(
              single ? Compute::F32 : Compute::F64)](
              {a.d_bias->as<char>() + first * item, lines.data(), first, rows, part.columns, nullptr, false});
      }
    });
  }
  if (sharing.by_columns) return;
  for (int k = 0; k < 2; ++k)
    if (a.weights[k]) multiply(*a.d_sums, true, *from[k], false, *a.weights[k], nullptr, a.adds[k]);
  if (a.d_bias) copy_into(*a.d_bias, *sum(*Tensor::make(*a.d_sums), Dims{0}, false));
}

// What is wanted of a weight's gradient, as an attribute.
enum Want : int64_t { kNothing, kWritten, kAdded };

// The arrays of an action: those read, with the weights' gradients that are added to, then those written.
// Attributes: whether the sums are given, whether d_bias is wanted, what of weight_hh and of weight_ih.
const trace::Action lstm_cell_backward(
    "lstm_cell_backward",
    [](std::span<const Array> arrays, const Attributes& a) {
      const Array* in = arrays.data();
      const Array* out = in + 6 + (a.ints[2] == kAdded) + (a.ints[3] == kAdded);
      BackwardArrays now{in, in + 1, in + 2, in + 3, in + 4, in + 5, out, out + 1, nullptr, {}, {}};
      in += 6;
      out += 2;
      if (a.ints[1]) now.d_bias = out++;
      for (int k = 0; k < 2; ++k) {
        if (a.ints[2 + k] == kNothing) continue;
        now.weights[k] = out++;
        now.adds[k] = a.ints[2 + k] == kAdded;
        if (!now.adds[k]) continue;
        if (in->data != now.weights[k]->data) copy_into(*now.weights[k], *in);
        ++in;
      }
      run_backward(a.ints[0] != 0, now);
    },
    [](const Claim& claim) {
      const Dims& ints = claim.attributes.ints;
      if (ints.size() != 4 || claim.in.size() < 6 || claim.out.size() < 2) return false;
      if (!claim.within(0, 0, 1) || !claim.within(1, 0, 1) || !claim.within(2, 0, 2) ||
          !claim.within(3, 0, 2))
        return false;
      const Array &h = *claim.in[0], &x = *claim.in[1], &c = *claim.in[2];
      const DType dtype = h.dtype;
      if ((dtype != DType::Float32 && dtype != DType::Float64) || h.rank() != 2 || x.rank() != 2 ||
          c.rank() != 2)
        return false;
      const int64_t rows = c.sizes[0], units = c.sizes[1], sums = kGates * units;
      if (h.sizes[0] != rows || x.sizes[0] != rows || (ints[0] && (x.sizes[1] != sums || ints[3])))
        return false;
      if (ints[1] && (rows == 0 || rows > kReductionBlock)) return false;
      const Dims weights[2] = {Dims{sums, h.sizes[1]}, Dims{sums, x.sizes[1]}};
      std::vector<Dims> in = {h.sizes, x.sizes, c.sizes, Dims{kGates + 1, rows, units}, c.sizes, c.sizes};
      std::vector<Dims> out = {Dims{rows, sums}, c.sizes};
      if (ints[1]) out.push_back(Dims{sums});
      for (int k = 0; k < 2; ++k) {
        if (ints[2 + k] == kAdded) in.push_back(weights[k]);
        if (ints[2 + k] != kNothing) out.push_back(weights[k]);
      }
      if (claim.in.size() != in.size() || claim.out.size() != out.size()) return false;
      for (size_t i = 0; i < in.size(); ++i)  // products take h and x as they lie
        if (claim.in[i]->sizes != in[i] || claim.in[i]->dtype != dtype || (i > 1 && !claim.in[i]->contiguous))
          return false;
      for (size_t i = 0; i < out.size(); ++i)
        if (claim.out[i]->sizes != out[i] || claim.out[i]->dtype != dtype || !claim.out[i]->contiguous)
          return false;
      return true;
    });

// Runs, as one step where a trace is made. Replays may have other threads, so how these share the work is
// decided inside.
void backward_step(const Form& form, const BackwardArrays& a) {
  if (!modes.observed()) return run_backward(form.given, a);
  std::vector<const Array*> reads = {a.h, a.x, a.c, a.gates, a.dh, a.dc_next}, writes = {a.d_sums, a.dc};
  Dims ints{form.given, a.d_bias != nullptr, kNothing, kNothing};
  if (a.d_bias) writes.push_back(a.d_bias);
  for (int k = 0; k < 2; ++k) {
    if (!a.weights[k]) continue;
    writes.push_back(a.weights[k]);
    if (a.adds[k]) reads.push_back(a.weights[k]);
    ints[2 + k] = a.adds[k] ? kAdded : kWritten;
  }
  trace::perform(lstm_cell_backward, {ints, {}}, reads, writes);
}

void LstmCell::vjp(Vjp& vjp) const {
  if (!vjp.grad(0) && !vjp.grad(1)) return;
  const Form form(vjp.attributes());
  if (modes.composes()) return composed_vjp(vjp, form);
  TensorRef x = vjp.input(0), h = vjp.input(1), c = contiguous(*vjp.input(2)), weight_hh = vjp.input(3);
  TensorRef gates = vjp.output(2);
  TensorRef grads[2];
  for (int k = 0; k < 2; ++k) grads[k] = vjp.grad(k) ? contiguous(*vjp.grad(k)) : zeros(c->sizes, c->dtype);
  const int64_t rows = c->sizes[0], units = c->sizes[1];
  const Array d_sums = Array::empty(Dims{rows, kGates * units}, h->dtype),
              dc = Array::empty(c->sizes, h->dtype);

  WeightGradient weights[2] = {{vjp, 3, *h}, {vjp, form.given ? -1 : 4, *x}};
  // The sums of both biases are the same.
  const bool biased = (form.bias_ih && vjp.needs(form.bias_ih)) || (form.bias_hh && vjp.needs(form.bias_hh));
  const bool in_passing = biased && rows > 0 && rows <= kReductionBlock;
  Array d_bias;
  if (in_passing) d_bias = Array::empty(Dims{kGates * units}, h->dtype);
  const auto wanted = [](const WeightGradient& weight) { return weight.to.numel ? &weight.to : nullptr; };
  backward_step(form, {h.get(),
                       x.get(),
                       c.get(),
                       gates.get(),
                       grads[0].get(),
                       grads[1].get(),
                       &d_sums,
                       &dc,
                       in_passing ? &d_bias : nullptr,
                       {wanted(weights[0]), wanted(weights[1])},
                       {weights[0].adds, weights[1].adds}});
  TensorRef whole = Tensor::make(d_sums);
  if (biased) {
    TensorRef total = in_passing ? Tensor::make(d_bias) : sum(*whole, Dims{0}, false);
    for (const int k : {form.bias_ih, form.bias_hh}) {
      if (!k || !vjp.needs(k)) continue;
      Tensor* const before = vjp.sum(k);
      if (before && before->dtype == total->dtype)
        add_(*before, *total);
      else
        vjp.set(k, total);
    }
  }
  auto through = [&](Tensor& weight) {
    const Array result = Array::empty(Dims{rows, weight.sizes[1]}, h->dtype);
    multiply(d_sums, false, weight, false, result);
    return Tensor::make(result);
  };
  if (vjp.needs(0)) vjp.set(0, form.given ? whole : through(*vjp.input(4)));
  if (vjp.needs(1)) vjp.set(1, through(*weight_hh));
  if (vjp.needs(2)) vjp.set(2, Tensor::make(dc));
}

// --- arguments

void expect(const Tensor& x, const char* label, const Dims& sizes, DType dtype) {
  if (x.sizes != sizes)
    fail(ErrorKind::Shape, "[lstm_cell] expected ", label, " of shape ", sizes, ", got ", x.sizes);
  if (x.dtype != dtype)
    fail(ErrorKind::DType, "[lstm_cell] expected ", label, " of ", versant::name(dtype), ", got ",
         versant::name(x.dtype));
}

Result cell(Args& args, bool given) {
  Tensor &x = args.tensor(0), &h = args.tensor(1), &c = args.tensor(2), &weight_hh = args.tensor(3);
  if (!is_floating(x.dtype))
    fail(ErrorKind::DType, "[lstm_cell] expected floating-point input, got ", versant::name(x.dtype));
  if (x.rank() != 2 || h.rank() != 2)
    fail(ErrorKind::Shape, "[lstm_cell] expected two dimensions, got input ", x.sizes, " and state ",
         h.sizes);
  const int64_t rows = x.sizes[0], units = c.rank() == 2 ? c.sizes[1] : h.sizes[1];
  if (given) expect(x, "sums", Dims{rows, kGates * units}, x.dtype);
  expect(h, "h", Dims{rows, h.sizes[1]}, x.dtype);
  expect(c, "c", Dims{rows, units}, x.dtype);
  expect(weight_hh, "weight_hh", Dims{kGates * units, h.sizes[1]}, x.dtype);
  TensorRef input = given ? contiguous(x) : TensorRef(&x);
  std::vector<Tensor*> inputs = {input.get(), &h, &c, &weight_hh};
  Attributes a;
  a.ints = Dims{given, 0, 0};
  if (!given) {
    expect(args.tensor(4), "weight_ih", Dims{kGates * units, x.sizes[1]}, x.dtype);
    inputs.push_back(&args.tensor(4));
    for (int k = 0; k < 2; ++k) {
      Tensor* const bias = args.optional_tensor(5 + k);
      if (!bias) continue;
      expect(*bias, k ? "bias_hh" : "bias_ih", Dims{kGates * units}, x.dtype);
      inputs.push_back(bias);
      a.ints[1 + k] = 1;
    }
  }
  std::vector<TensorRef> states;
  if (is_half(x.dtype)) {
    TensorRef from_input = given ? input : linear(x, args.tensor(4), args.optional_tensor(5));
    const Composed step(*from_input, h, c, weight_hh, given ? nullptr : args.optional_tensor(6));
    states = {mul(*step.gate[3], *step.bent), step.c_next};
    return Result(std::move(states));
  }
  Outputs out = apply(kLstmCell, inputs, a);
  for (int k = 0; k < 2; ++k) states.push_back(std::move(out.tensor[k]));
  return Result(std::move(states));
}

const Function kWhole("lstm_cell", [](Args& args) { return cell(args, false); });
const Function kFromSums("lstm_cell_from_sums", [](Args& args) { return cell(args, true); });

}  // namespace

}  // namespace versant
