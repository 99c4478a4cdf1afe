// Joining tensors along an axis: cat along one that they have, stack along a new one.
#include <cstring>

#include "machine/axis_order.h"
#include "machine/call.h"
#include "machine/lock.h"
#include "machine/nest.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/promote.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

constexpr size_t kMaxTensors = 65535;  // edges that a node can have

// ints: axis, dtype, then the size of each input along the axis. Inputs agree in all other axes; when
// `stack`, they lack the axis, which is put in.
struct Join final : Primitive {
  Join(const char* name, bool stack) : name_(name), stack_(stack) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override {
    Attributes a = b.attributes();
    ++a.ints[0];
    return b.leading(a);
  }
  Linearity linearity(const Attributes&) const override { return Linearity::All; }

  bool admits(const Claim& c) const override {
    const Dims& a = c.attributes.ints;
    if (c.in.empty() || c.out.size() != 1 || a.size() != 2 + static_cast<int>(c.in.size()) || !c.is_dtype(1))
      return false;
    const Dims& first = c.in[0]->sizes;
    if (!c.within(0, 0, first.size() - (stack_ ? 0 : 1))) return false;
    const int axis = static_cast<int>(a[0]);
    int64_t total = 0;
    for (size_t k = 0; k < c.in.size(); ++k) {
      Dims sizes = c.in[k]->sizes;
      const int64_t piece = a[2 + static_cast<int>(k)];
      if (sizes.size() != first.size() || piece != (stack_ ? 1 : sizes[axis])) return false;
      if (!stack_) sizes[axis] = first[axis];
      if (sizes != first || __builtin_add_overflow(total, piece, &total)) return false;
    }
    return true;
  }
  void run(Run& run) const override {
    const Dims& a = run.attributes.ints;
    const int axis = static_cast<int>(a[0]), n = static_cast<int>(run.in.size());
    const auto dtype = static_cast<DType>(a[1]);
    Dims sizes = run.in[0]->sizes;
    if (stack_) sizes.insert(axis, 1);
    sizes[axis] = 0;
    for (int k = 0; k < n; ++k) sizes[axis] += a[2 + k];

    // The result keeps the memory order that all inputs share (channels-last, say).
    Dims order;
    bool direct = true;
    if (!stack_ && !run.in[0]->contiguous) order = memory_order(*run.in[0]);
    auto in_order = [&](const Array& x) {
      return order.empty() ? x.contiguous
                           : is_contiguous(permuted(x.sizes, order), permuted(x.strides, order));
    };
    for (const Array* x : run.in) direct &= x->dtype == dtype && in_order(*x);
    Array& out = run.out[0];
    out = Array::empty(order.empty() || !direct ? sizes : permuted(sizes, order), dtype);
    if (direct)
      copy_pieces(run, out,
                  order.empty() ? axis : std::find(order.begin(), order.end(), axis) - order.begin());
    else
      copy_views(run, out, axis);
    if (direct && !order.empty()) out = unpermuted(out, order);
  }

  // Everything lies in the result's order: each position of the axes before the joined one is one piece of
  // memory per input.
  void copy_pieces(const Run& run, const Array& out, int64_t axis) const {
    if (out.numel == 0) return;
    const Dims& a = run.attributes.ints;
    const int n = static_cast<int>(run.in.size());
    int64_t unit = itemsize(out.dtype);  // bytes per step of the joined axis
    for (int d = static_cast<int>(axis) + 1; d < out.rank(); ++d) unit *= out.sizes[d];
    const int64_t row = unit * out.sizes[static_cast<int>(axis)];
    auto* to = out.as<char>();
    Unlocked unlocked(out.bytes() >= kUnlockBytes);
    parallel_for(out.bytes(), kParallelBytes, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end;) {
        const int64_t position = at / row;
        int64_t start = at % row;
        for (int k = 0; k < n && at < end; ++k) {
          const int64_t piece = unit * a[2 + k];
          if (start >= piece) {
            start -= piece;
            continue;
          }
          const int64_t count = std::min(piece - start, end - at);
          std::memcpy(to + at, run.in[k]->as<char>() + position * piece + start, count);
          at += count;
          start = 0;
        }
      }
    });
  }

  void copy_views(const Run& run, const Array& out, int axis) const {
    int64_t at = 0;
    for (size_t k = 0; k < run.in.size(); ++k) {
      const int64_t size = run.attributes.ints[2 + static_cast<int>(k)];
      Dims sizes = out.sizes, strides = out.strides;
      if (stack_)
        sizes.erase(axis), strides.erase(axis);
      else
        sizes[axis] = size;
      if (run.in[k]->numel) copy_into(out.view(sizes, strides, at * out.strides[axis]), *run.in[k]);
      at += size;
    }
  }

  void vjp(Vjp& vjp) const override {
    const Dims& a = vjp.attributes().ints;
    int64_t at = 0;
    for (int k = 0; k < vjp.n_inputs(); ++k) {
      const int64_t size = a[2 + k];
      if (vjp.needs(k))
        vjp.set(k,
                stack_ ? ops::select(*vjp.grad(), a[0], at) : ops::slice(*vjp.grad(), a[0], at, at + size));
      at += size;
    }
  }

  const char* name_;
  bool stack_;
};

const Join kCat("cat", false), kStack("stack", true);

DType common_dtype(std::span<Tensor* const> tensors) {
  Promotion promotion;
  for (const Tensor* x : tensors) promotion.add(x->dtype, x->rank());
  return promotion.result();
}

void check_count(const char* op, size_t count) {
  if (count == 0) fail(ErrorKind::Value, "[", op, "] expected a non-empty list of tensors");
  if (count > kMaxTensors)
    fail(ErrorKind::Value, "[", op, "] at most ", kMaxTensors, " tensors can be joined at once, got ", count);
}

}  // namespace

namespace ops {

TensorRef cat(std::span<Tensor* const> tensors, int64_t wanted) {
  check_count("cat", tensors.size());
  // A one-dimensional tensor without elements joins with anything.
  auto counts = [](const Tensor& x) { return x.rank() != 1 || x.numel > 0; };
  const auto first = std::find_if(tensors.begin(), tensors.end(), [&](Tensor* x) { return counts(*x); });
  const size_t lead = first == tensors.end() ? 0 : first - tensors.begin();
  const Tensor& model = *tensors[lead];
  const int axis = wrap_axis(wanted, model.rank(), "cat");
  Attributes attributes;
  attributes.ints = Dims{axis, static_cast<int64_t>(common_dtype(tensors))};
  std::vector<Tensor*> kept;  // only when some are left out
  bool all = true;
  int64_t total = 0;
  for (size_t k = 0; k < tensors.size(); ++k) {
    Tensor& x = *tensors[k];
    if (x.rank() == 0)
      fail(ErrorKind::Shape, "[cat] the tensor at position ", k,
           " has no dimensions and cannot be concatenated; use stack()");
    if (!counts(x) && counts(model)) {
      if (all) kept.assign(tensors.begin(), tensors.begin() + k);
      all = false;
      continue;
    }
    bool fits = x.rank() == model.rank();
    for (int d = 0; fits && d < x.rank(); ++d) fits = d == axis || x.sizes[d] == model.sizes[d];
    if (!fits)
      fail(ErrorKind::Shape, "[cat] the tensor at position ", k, " has shape ", x.sizes,
           ", the one at position ", lead, " has shape ", model.sizes,
           ": they must agree in all dimensions but ", axis);
    if (!all) kept.push_back(&x);
    attributes.ints.push_back(x.sizes[axis]);
    if (__builtin_add_overflow(total, x.sizes[axis], &total))
      fail(ErrorKind::Shape, "[cat] the size of dimension ", axis, " overflows");
  }
  return apply(kCat, all ? tensors : std::span<Tensor* const>(kept), attributes);
}

TensorRef stack(std::span<Tensor* const> tensors, int64_t wanted) {
  check_count("stack", tensors.size());
  const Tensor& model = *tensors[0];
  Attributes attributes;
  attributes.ints =
      Dims{wrap_axis(wanted, model.rank() + 1, "stack"), static_cast<int64_t>(common_dtype(tensors))};
  for (size_t k = 0; k < tensors.size(); ++k) {
    if (tensors[k]->sizes != model.sizes)
      fail(ErrorKind::Shape, "[stack] expects tensors of equal size: the one at position 0 has shape ",
           model.sizes, ", the one at position ", k, " has shape ", tensors[k]->sizes);
    attributes.ints.push_back(1);
  }
  return apply(kStack, tensors, attributes);
}

}  // namespace ops

namespace {
const Function kFunctions[] = {
    {"cat", [](Args& a) { return Result(ops::cat(a.tensors(0), a.integer(1))); }},
    {"stack", [](Args& a) { return Result(ops::stack(a.tensors(0), a.integer(1))); }},
};
}  // namespace

}  // namespace versant
