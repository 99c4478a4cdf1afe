#include "machine/elementwise.h"

#include <bit>
#include <new>
#include <utility>

#include "machine/backward_programs.h"
#include "machine/complex.h"
#include "machine/inplace.h"
#include "machine/kernels.h"
#include "machine/ops.h"
#include "machine/promote.h"
#include "machine/tape.h"
#include "machine/trace.h"
#include "machine/transforms/forward.h"
#include "machine/transforms/levels.h"

namespace versant {

ElementwiseHooks elementwise_hooks;

namespace {

constexpr int kMaxInputs = Program::kMaxInputs;

// Room for N values that are written before they are read.
template <typename T, int N>
class Uninitialised {
 public:
  T& operator[](size_t i) { return reinterpret_cast<T*>(room_)[i]; }
  std::span<const T> first(size_t n) const { return {reinterpret_cast<const T*>(room_), n}; }

 private:
  alignas(T) std::byte room_[N * sizeof(T)];
};

Derivative& derivative(ElementwiseOp& op, int input) {
  if (op.derivatives[input].kind == Derivative::Kind::Unknown) elementwise_hooks.build_derivative(op, input);
  return op.derivatives[input];
}

ElementwiseOp& complex_form(ElementwiseOp& op, DType dtype) {
  if (!op.complex_known) elementwise_hooks.build_complex(op);
  if (!op.complex) fail(ErrorKind::DType, "[", op.name, "] not implemented for ", name(dtype));
  return *op.complex;
}

// One recorded elementwise op. Its saved values follow the object in the same block of memory.
struct ElementwiseNode final : Node {
  ElementwiseOp& op;
  uint32_t kept = 0;  // bit s: source s is saved (sources as in Derivative)
  Edge* edges_;
  Scalar* numbers;  // of inputs and parameters that are numbers
  Saved* saved;     // one per bit of `kept`, in order

  static size_t size(int n_inputs, int n_numbers, int n_saved) {
    return sizeof(ElementwiseNode) + n_inputs * sizeof(Edge) + n_numbers * sizeof(Scalar) +
           n_saved * sizeof(Saved);
  }

  ElementwiseNode(uint32_t bytes, ElementwiseOp& op, uint32_t kept, int n_saved)
      : Node(bytes, static_cast<uint16_t>(op.n_inputs)), op(op), kept(kept) {
    const int n_numbers = op.n_inputs + op.n_parameters;
    auto* at = reinterpret_cast<char*>(this + 1);
    edges_ = reinterpret_cast<Edge*>(at);
    for (int i = 0; i < op.n_inputs; ++i) new (edges_ + i) Edge;
    at += op.n_inputs * sizeof(Edge);
    numbers = reinterpret_cast<Scalar*>(at);
    for (int i = 0; i < n_numbers; ++i) new (numbers + i) Scalar;
    at += n_numbers * sizeof(Scalar);
    saved = reinterpret_cast<Saved*>(at);
    for (int i = 0; i < n_saved; ++i) new (saved + i) Saved;
  }
  ~ElementwiseNode() override {
    for (int i = 0; i < n_edges; ++i) edges_[i].~Edge();
    for (int i = 0; i < std::popcount(kept); ++i) saved[i].~Saved();
  }

  std::string name() const override { return op.name; }
  Edge* edges() override { return edges_; }
  void release_saved() override {
    for (int i = 0; i < std::popcount(kept); ++i) saved[i].drop();
    released = kept != 0;
  }

  const Saved& saved_source(int source) const { return saved[std::popcount(kept & ((1u << source) - 1))]; }
  bool is_saved(int source) const { return kept >> source & 1; }

  bool adds() const override { return true; }
  void backward(Grads outputs, Grads inputs, uint64_t asked) override {
    backward_adding(outputs, inputs, asked, {});
  }
  void backward_adding(Grads outputs, Grads inputs, uint64_t asked, std::span<Tensor* const> sums) override {
    if (!outputs[0]) return;
    uint32_t wanted = 0;
    for (int i = 0; i < n_edges; ++i) {
      if (!edges_[i].node || !(asked >> i & 1)) continue;
      const Derivative& d = derivative(op, i);
      if (d.kind == Derivative::Kind::Identity) inputs[i] = outputs[0];
      if (d.kind == Derivative::Kind::Zero) inputs[i] = ops::zeros(outputs[0]->sizes, outputs[0]->dtype);
      if (d.kind == Derivative::Kind::Program) wanted |= 1u << i;
    }
    if (!wanted) return;
    if (modes.grad || outputs[0]->wrapped)
      differentiable_backward(wanted, outputs, inputs);
    else
      fused_backward(wanted, outputs[0], inputs, sums);
  }

  // All wanted gradients in one pass over memory. They are added to sums that wait where these fit, and one
  // is written over the gradient that came in, when nobody else holds that.
  void fused_backward(uint32_t wanted, TensorRef& incoming, Grads inputs, std::span<Tensor* const> sums) {
    Tensor& grad = *incoming;
    const DType dtype = op.pairs() ? complex_dtype(grad.dtype) : grad.dtype;
    const bool wide = dtype == DType::Float32 || dtype == DType::Float64;
    uint32_t added = 0;
    for (size_t i = 0; i < sums.size() && wide; ++i) {
      if (wanted >> i & 1 && sums[i] && sums[i]->dtype == dtype && sums[i]->sizes == grad.sizes)
        added |= 1u << i;
    }
    if (op.n_inputs + op.n_parameters + 2 + std::popcount(added) > kMaxInputs) added = 0;
    bool reused = op.pairs() || hooks != nullptr || !grad.unshared();  // or may not be
    const Program& program = added ? adding_program(op, wanted, added) : backward_program(op, wanted);
    const int n_sources = op.n_inputs + op.n_parameters + 2;
    Uninitialised<Operand, kMaxInputs> operands;
    operands[0] = {&grad, {}};
    std::vector<Array> unpacked;
    for (int s = 1; s < n_sources; ++s) {
      if (is_saved(s) && saved_source(s).packed) [[unlikely]] {
        unpacked.reserve(kMaxInputs);
        operands[s] = {&unpacked.emplace_back(saved_source(s).unpacked(*this)), {}};
      } else if (is_saved(s))
        operands[s] = {&saved_source(s).get(*this), {}};
      else
        operands[s] = {nullptr, s <= op.n_inputs + op.n_parameters ? numbers[s - 1] : Scalar{}};
    }
    const Array* results[Program::kMaxOutputs];
    int n_results = 0, n_operands = n_sources;
    for (int i = 0; i < n_edges; ++i) {
      if (!(wanted >> i & 1)) continue;
      if (added >> i & 1) {
        operands[n_operands++] = {sums[static_cast<size_t>(i)], {}};
        results[n_results++] = sums[static_cast<size_t>(i)];
        continue;
      }
      if (!std::exchange(reused, true))
        inputs[i] = incoming;
      else
        inputs[i] = grad.contiguous ? Tensor::make_like(grad, dtype)
                                    : Tensor::make(Array::empty_like_layout(grad, dtype));
      results[n_results++] = inputs[i].get();
    }
    if (op.pairs())
      return run_pairs(program, grad.dtype, operands.first(n_sources),
                       {results, static_cast<size_t>(n_results)}, grad.sizes, op.name.c_str());
    run_program(program, compute_of(grad.dtype), operands.first(static_cast<size_t>(n_operands)),
                {results, static_cast<size_t>(n_results)}, grad.sizes, grad.dtype, op.name.c_str());
  }

  // Each gradient as a recorded op.
  void differentiable_backward(uint32_t wanted, Grads outputs, Grads inputs) {
    for (int i = 0; i < n_edges; ++i) {
      if (!(wanted >> i & 1)) continue;
      const Derivative& d = derivative(op, i);
      Input sources[kMaxInputs];
      TensorRef held[kMaxInputs];
      int n = 0;
      for (const uint8_t s : d.sources) {
        if (s == 0) {
          sources[n] = Input(outputs[0]);
        } else if (is_saved(s)) {
          Edge self{Ref<Node>(this), 0};
          const Edge* edge = s <= op.n_inputs ? &edges_[s - 1] : &self;
          held[n] = saved_source(s).unpack(*this, edge);
          sources[n] = Input(held[n]);
        } else {
          sources[n] = Input(numbers[s - 1]);
        }
        ++n;
      }
      inputs[i] = versant::apply(*d.op, {sources, static_cast<size_t>(n)});
    }
  }
};

// Which sources (bits as in Derivative::uses) the gradients of those inputs that need one read.
uint32_t kept_by_gradient(ElementwiseOp& op, std::span<const Input> inputs) {
  uint32_t uses = 0;
  for (int i = 0; i < op.n_inputs; ++i)
    if (inputs[i].tensor && needs_grad(*inputs[i].tensor)) uses |= derivative(op, i).uses;
  return uses;
}

// Records `op`; returns null when no gradient flows.
ElementwiseNode* record(ElementwiseOp& op, std::span<const Input> inputs, Tensor& result, bool in_place) {
  uint32_t needing = 0;
  for (int i = 0; i < op.n_inputs; ++i)
    if (inputs[i].tensor && needs_grad(*inputs[i].tensor)) needing |= 1u << i;
  if (!needing || !is_differentiable(result.dtype)) return nullptr;

  uint32_t uses = 0;
  bool flows = false;
  for (int i = 0; i < op.n_inputs; ++i) {
    if (!(needing >> i & 1)) continue;
    const Derivative& d = derivative(op, i);
    uses |= d.uses;
    flows |= d.kind != Derivative::Kind::None;
  }
  if (!flows && !in_place) return nullptr;
  const int y = op.n_inputs + op.n_parameters + 1;
  uint32_t kept = uses & (1u << y);
  for (int i = 0; i < op.n_inputs; ++i)
    if (inputs[i].tensor) kept |= uses & (2u << i);
  const int n_numbers = op.n_inputs + op.n_parameters;
  const int n_saved = std::popcount(kept);
  auto* node =
      new_node<ElementwiseNode>(ElementwiseNode::size(op.n_inputs, n_numbers, n_saved), op, kept, n_saved);
  Ref<Node> guard(node);
  node->output.sizes = result.sizes;
  node->output.dtype = result.dtype;
  int k = 0;
  for (int i = 0; i < n_numbers; ++i) {
    if (i < op.n_inputs && inputs[i].tensor) {
      if (needing >> i & 1) node->edges_[i] = Edge{inputs[i].tensor->node, inputs[i].tensor->output_nr};
      if (kept & (2u << i)) node->saved[k++].keep(*inputs[i].tensor);
    } else {
      node->numbers[i] = inputs[i].scalar;
    }
  }
  // Of an op in place the result is there later.
  if (kept & (1u << y) && !(in_place && modes.packs)) node->saved[k].keep(result);
  if (modes.taping) [[unlikely]]
    tape::note(*node);
  return static_cast<ElementwiseNode*>(guard.release());
}

// A float among integers or bools, in the value that their dtype gives it.
Scalar among_integers(const Scalar& number, DType common) {
  return common == DType::Bool ? Scalar::of_bool(number.f != 0) : Scalar::of_int(number.as_int());
}

// Runs the program of `op` over the inputs into `out`.
void compute(const ElementwiseOp& op, std::span<const Input> inputs, const Array& out, DType common) {
  Uninitialised<Operand, kMaxInputs> operands;
  const Array* outputs[1] = {&out};
  if (op.pairs()) {
    for (size_t i = 0; i < inputs.size(); ++i) operands[i] = {inputs[i].tensor, inputs[i].scalar};
    return run_pairs(op.forward, common, operands.first(inputs.size()), outputs, out.sizes, op.name.c_str());
  }
  if (op.forward.code.empty()) {  // a copy: no tiles between what is read and what is written
    const size_t from = op.forward.outputs[0];
    const Tensor* const tensor = from < inputs.size() ? inputs[from].tensor : nullptr;
    if (tensor && tensor->dtype == out.dtype) return copy_into(out, *tensor);
  }
  std::vector<Array> converted;  // what a trace takes instead of numbers
  converted.reserve(modes.tracing ? inputs.size() : 0);
  Array real;  // part of the one complex input that a real op may have, the source of a copy
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor* tensor = inputs[i].tensor;
    operands[i] = {tensor, inputs[i].scalar};
    if (tensor && is_complex(tensor->dtype)) {
      real = part_of(*tensor, 0);
      operands[i].array = &real;
    }
    if (!tensor && op.rule == DTypeRule::First && inputs[i].scalar.kind == Scalar::Kind::Float &&
        !is_floating(common))
      operands[i].scalar = among_integers(inputs[i].scalar, common);
    // An integer without axes takes the dtype of the others, and wraps where that lacks its value.
    if (tensor && tensor->dtype != common && tensor->rank() == 0 && op.promotes >> i & 1 &&
        compute_of(common) == Compute::I64) {
      if (modes.tracing) [[unlikely]]
        operands[i].array = &converted.emplace_back(tensor->to_dtype(common));
      else
        operands[i] = {nullptr, item(tensor->to_dtype(common))};
    }
  }
  run_program(op.forward, compute_of(common), operands.first(inputs.size()), outputs, out.sizes, common,
              op.name.c_str());
}

void prepare(ElementwiseOp& op, std::span<const Input> inputs) {
  if (!op.ready) elementwise_hooks.build_forward(op);
  if (inputs.size() != static_cast<size_t>(op.n_inputs + op.n_parameters))
    fail(ErrorKind::Type, "[", op.name, "] expected ", op.n_inputs + op.n_parameters, " inputs, got ",
         inputs.size());
}

void check_refusals(const ElementwiseOp& op, std::span<const Input> inputs, DType common) {
  if (op.refuses & kRefusesBool) {
    for (int i = 0; i < op.n_inputs; ++i)
      if (inputs[i].tensor && inputs[i].tensor->dtype == DType::Bool)
        fail(ErrorKind::DType, "[", op.name,
             "] not supported for bool tensors; use logical_xor, ^ or logical_not, ~ instead");
  }
  if (op.refuses & kRefusesNumbers) {
    for (int i = 0; i < op.n_inputs; ++i) {
      const Tensor* tensor = inputs[i].tensor;
      if (!(op.promotes >> i & 1) && tensor && tensor->dtype != DType::Bool && tensor->dtype != DType::UInt8)
        fail(ErrorKind::DType, "[", op.name, "] expected a bool tensor as condition, got ",
             name(tensor->dtype));
    }
  }
  const bool number_first = op.refuses & kRefusesNumberFirst && !inputs[0].tensor;
  if (number_first || (op.refuses & kRefusesNumberSecond && !inputs[1].tensor))
    fail(ErrorKind::Type, "[", op.name, "] expected a tensor as ", number_first ? "first" : "second",
         " argument, got a number");
  if (op.refuses & kRefusesFalling) {
    const double low = op.n_parameters > 1 ? inputs[op.n_inputs].scalar.as_double() : 0;
    const double high = inputs.back().scalar.as_double();
    if (high < low)
      fail(ErrorKind::Value, "[", op.name, "] expected a number that is at least ", low, ", got ", high);
  }
  if (is_differentiable(common)) return;
  if (op.refuses & kRefusesFraction) {
    for (size_t i = op.n_inputs; i < inputs.size(); ++i)
      if (!inputs[i].scalar.is_whole())
        fail(ErrorKind::DType, "[", op.name, "] among integers the factor must be an integer, got ",
             inputs[i].scalar.f);
  }
  if (op.refuses & kRefusesNegative && !inputs[1].tensor && inputs[1].scalar.as_int() < 0)
    fail(ErrorKind::Runtime, "[", op.name,
         "] integers to negative integer powers are not allowed; use a floating-point base");
  if (op.refuses & kRefusesOverflow) {
    for (int i = 0; i < op.n_inputs; ++i)
      if (!inputs[i].tensor && op.promotes >> i & 1) check_range(inputs[i].scalar, common, op.name.c_str());
  }
}

void check_supported(const ElementwiseOp& op, std::span<const Input> inputs, DType common) {
  if (!op.forward.supported[static_cast<int>(compute_of(real_dtype(common)))])
    fail(ErrorKind::DType, "[", op.name, "] not implemented for ", name(common));
  if (op.refuses) check_refusals(op, inputs, common);
}

// An input whose shape and row-major layout the result takes over: when all tensors have them. Null
// otherwise.
const Tensor* common_layout(const ElementwiseOp& op, std::span<const Input> inputs) {
  const Tensor* first = nullptr;
  for (int i = 0; i < op.n_inputs; ++i) {
    const Tensor* tensor = inputs[i].tensor;
    if (!tensor) continue;
    if (!tensor->contiguous || (first && tensor->sizes != first->sizes)) return nullptr;
    if (!first) first = tensor;
  }
  return first;
}

Dims result_sizes(const ElementwiseOp& op, std::span<const Input> inputs) {
  const Tensor* first = nullptr;
  Dims sizes;
  for (int i = 0; i < op.n_inputs; ++i) {
    const Tensor* tensor = inputs[i].tensor;
    if (!tensor) continue;
    if (!first) {
      first = tensor;
      sizes = tensor->sizes;
    } else if (tensor->sizes != sizes) {
      sizes = broadcast_sizes(sizes, tensor->sizes, op.name.c_str());
    }
  }
  return sizes;
}

// An output for inputs that are not all plain: dense inputs in one common axis order hand that order on.
Array allocate_result(const ElementwiseOp& op, std::span<const Input> inputs, const Dims& sizes,
                      DType dtype) {
  for (int i = 0; i < op.n_inputs; ++i) {
    const Tensor* tensor = inputs[i].tensor;
    if (!tensor || tensor->sizes != sizes || tensor->numel < 2) continue;
    if (tensor->contiguous) break;
    if (tensor->is_dense()) return Array::empty_like_layout(*tensor, dtype);
  }
  return Array::empty(sizes, dtype);
}

[[gnu::noinline]] void fill_tile(char* tile, const Scalar& number, Compute compute, int64_t n) {
  const double value = number.as_double();
  if (compute == Compute::F32)
    std::fill_n(reinterpret_cast<float*>(tile), n, static_cast<float>(value));
  else
    std::fill_n(reinterpret_cast<double*>(tile), n, value);
}

// The result of a small op of one instruction on tensors of one plain layout and one dtype, and numbers,
// which needs no promotion, no broadcasting and no plan of tiles. Null for all others.
TensorRef apply_single(const ElementwiseOp& op, std::span<const Input> inputs) {
  constexpr int64_t kSmall = 256;
  if (!op.forward.single || inputs.size() > 3 || op.refuses & kRefusesNumbers ||
      (op.rule != DTypeRule::Promote && op.rule != DTypeRule::Float))
    return {};
  const Tensor* first = inputs[0].tensor ? inputs[0].tensor : inputs.back().tensor;
  if (!first || !first->contiguous || first->numel > kSmall) return {};
  const DType dtype = first->dtype;
  if (dtype != DType::Float32 && dtype != DType::Float64) return {};
  const Compute compute = dtype == DType::Float32 ? Compute::F32 : Compute::F64;
  if (!op.forward.supported[static_cast<int>(compute)]) return {};
  alignas(64) char numbers[2][kSmall * sizeof(double)];
  int n_numbers = 0;
  const void* data[3];
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (const Tensor* tensor = inputs[i].tensor) {
      if (tensor->dtype != dtype || !tensor->contiguous || tensor->sizes != first->sizes) return {};
      data[i] = tensor->data;
    } else if (inputs[i].scalar.is_complex() || op.refuses & (kRefusesNumberFirst | kRefusesNumberSecond)) {
      return {};
    } else {
      data[i] = numbers[n_numbers];
      fill_tile(numbers[n_numbers++], inputs[i].scalar, compute, first->numel);
    }
  }
  TensorRef result = Tensor::make_like(*first, dtype);
  const Instruction& instruction = op.forward.code[0];
  kernels->micro_of(instruction.micro, compute)(result->data, data[instruction.a], data[instruction.b],
                                                data[instruction.c], first->numel);
  return result;
}

[[gnu::noinline]] void reach(std::span<const Input> inputs) {
  for (const Input& input : inputs)
    if (input.tensor) trace::recorder->reaches(*input.tensor);
}

// The result of any other.
TensorRef apply_general(const ElementwiseOp& op, std::span<const Input> inputs, DType dtype, DType common) {
  const Tensor* like = common_layout(op, inputs);
  TensorRef result = like ? Tensor::make_like(*like, dtype)
                          : Tensor::make(allocate_result(op, inputs, result_sizes(op, inputs), dtype));
  compute(op, inputs, *result, common);
  return result;
}

}  // namespace

DType result_dtype(const ElementwiseOp& op, std::span<const Input> inputs, DType* common) {
  DType dtype = DType::Float32;
  bool same = true, any = false;
  for (int i = 0; i < op.n_inputs; ++i) {
    if (!(op.promotes >> i & 1)) continue;
    if (const Tensor* tensor = inputs[i].tensor) {
      same = same && (!any || tensor->dtype == dtype);
      if (!any) dtype = tensor->dtype;
      any = true;
    }
  }
  bool weak = true;  // every number is of a category that the tensors' dtype covers
  for (int i = 0; i < op.n_inputs; ++i) {
    if (inputs[i].tensor || !(op.promotes >> i & 1)) continue;
    const Scalar::Kind kind = inputs[i].scalar.kind;
    weak = weak && (kind == Scalar::Kind::Bool || is_complex(dtype) ||
                    (kind <= Scalar::Kind::Float && is_floating(dtype)) ||
                    (kind == Scalar::Kind::Int && dtype != DType::Bool));
  }
  if (!(same && any && weak)) {
    Promotion promotion;
    for (int i = 0; i < op.n_inputs; ++i) {
      if (!(op.promotes >> i & 1)) continue;
      if (inputs[i].tensor)
        promotion.add(inputs[i].tensor->dtype, inputs[i].tensor->rank());
      else
        promotion.add(inputs[i].scalar);
    }
    dtype = promotion.result();
  }
  switch (op.rule) {
    case DTypeRule::Promote:
      break;
    case DTypeRule::Float:
      if (!is_differentiable(dtype)) dtype = default_float();
      break;
    case DTypeRule::Bool:
      *common = dtype;
      return DType::Bool;
    case DTypeRule::Integral:
      if (is_differentiable(dtype))
        fail(ErrorKind::DType, "[", op.name, "] expected integer or bool tensors, got ", name(dtype));
      break;
    case DTypeRule::Number:
      if (dtype == DType::Bool) dtype = DType::Int64;
      break;
    case DTypeRule::First:
      dtype = inputs[0].tensor ? inputs[0].tensor->dtype : dtype;
      break;
    case DTypeRule::Complex:
      dtype = complex_dtype(dtype);
      break;
    case DTypeRule::Real:
      *common = complex_dtype(dtype);
      return real_dtype(*common);
    case DTypeRule::Truth:
      *common = complex_dtype(dtype);
      return DType::Bool;
  }
  *common = dtype;
  return dtype;
}

TensorRef apply(ElementwiseOp& op, std::span<const Input> inputs) {
  prepare(op, inputs);
  if (modes.transforming && transforms::concerns(inputs)) [[unlikely]]
    return transforms::apply(op, inputs);
  if (!op.specials.empty() && !inputs[1].tensor) {
    for (const auto& [value, special] : op.specials) {
      if (inputs[1].scalar.is_complex() || inputs[1].scalar.as_double() != value) continue;
      const DType base = inputs[0].tensor ? inputs[0].tensor->dtype : DType::Bool;
      if (is_differentiable(base) ||
          (base != DType::Bool && inputs[1].scalar.kind == Scalar::Kind::Int && value > 0))
        return apply(*special, inputs.first(1));
    }
  }
  TensorRef result;
  if (modes.observed()) [[unlikely]] {
    if (modes.tracing) reach(inputs);
  } else {
    result = apply_single(op, inputs);
  }
  if (!result) {
    DType common;
    const DType dtype = result_dtype(op, inputs, &common);
    if (common == DType::Bool && op.on_bool) return apply(*op.on_bool, inputs);
    if (is_complex(common) && !op.pairs()) return apply(complex_form(op, common), inputs);
    check_supported(op, inputs, common);
    result = apply_general(op, inputs, dtype, common);
  }
  if (modes.grad) {
    if (Node* node = record(op, inputs, *result, false)) {
      result->node = Ref<Node>::steal(node);
      result->taped = modes.taping;
    }
  }
  result->inference = modes.inference;
  return result;
}

void apply_in_place(ElementwiseOp& op, std::span<const Input> inputs, Tensor& out, bool fresh) {
  prepare(op, inputs);
  if (modes.transforming && (out.wrapped || transforms::concerns(inputs))) [[unlikely]]
    return transforms::apply_in_place(op, inputs, out, fresh);
  DType common;
  const DType dtype = result_dtype(op, inputs, &common);
  if (common == DType::Bool && op.on_bool) return apply_in_place(*op.on_bool, inputs, out, fresh);
  if (is_complex(common) && !op.pairs()) return apply_in_place(complex_form(op, common), inputs, out, fresh);
  if (op.rule == DTypeRule::Real && is_complex(out.dtype) && !fresh)
    fail(ErrorKind::Runtime, "[", op.name, "_] in place is not supported for complex tensors");
  check_supported(op, inputs, common);
  if (!can_cast_in_place(dtype, out.dtype)) {
    fail(ErrorKind::DType, "[", op.name, "_] the result has dtype ", name(dtype),
         ", which can't be cast to the tensor's ", name(out.dtype));
  }
  const Dims sizes = result_sizes(op, inputs);
  if (sizes != out.sizes) {
    fail(ErrorKind::Shape, "[", op.name, "_] a tensor of shape ", out.sizes,
         " cannot hold a result of shape ", sizes);
  }
  check_in_place(out, op.name.c_str());
  if (modes.tracing) [[unlikely]] {
    reach(inputs);
    trace::recorder->reaches(out);
  }
  // An input that shares memory with the output in another arrangement is read from a copy, and so is one
  // that the gradient reads.
  const uint32_t kept = modes.grad ? kept_by_gradient(op, inputs) : 0;
  Input safe[kMaxInputs];
  TensorRef copies[kMaxInputs];
  for (size_t i = 0; i < inputs.size(); ++i) {
    safe[i] = inputs[i];
    Tensor* tensor = inputs[i].tensor;
    if (!tensor || tensor->storage.get() != out.storage.get()) continue;
    if (tensor->data == out.data && tensor->sizes == out.sizes && tensor->strides == out.strides &&
        tensor->dtype == out.dtype && !(kept & (2u << i)))
      continue;
    Array copy = Array::empty(tensor->sizes, tensor->dtype);
    copy_into(copy, *tensor);
    copies[i] = Tensor::make(std::move(copy));
    if (modes.grad) {
      copies[i]->node = edge_of(*tensor).node;
      copies[i]->output_nr = tensor->output_nr;
    }
    safe[i] = Input(copies[i]);
  }
  const std::span<const Input> read(safe, inputs.size());
  Node* node = nullptr;
  if (modes.grad) node = record(op, read, out, true);
  Ref<Node> guard = Ref<Node>::steal(node);
  if (op.pairs()) {  // the parts of `out` may be read after one of them is written
    const Array result = Array::empty(out.sizes, dtype);
    compute(op, read, result, common);
    copy_into(out, result);
  } else {
    compute(op, read, out, common);
  }
  bump_version(out);
  if (node) {
    const int y = op.n_inputs + op.n_parameters + 1;
    auto* recorded = static_cast<ElementwiseNode*>(node);
    if (recorded->kept >> y & 1) recorded->saved[std::popcount(recorded->kept) - 1].keep(out);
  }
  if (modes.grad) rebase_history(out, node, fresh ? -1 : 0);
}

}  // namespace versant
