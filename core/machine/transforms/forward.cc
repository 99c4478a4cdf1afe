#include "machine/transforms/forward.h"

#include <algorithm>
#include <utility>

#include "machine/complex.h"
#include "machine/inplace.h"
#include "machine/ops.h"
#include "machine/promote.h"
#include "machine/trace.h"
#include "machine/transforms/hidden.h"
#include "machine/transforms/levels.h"

namespace versant::transforms {

namespace {

// The inputs of an op at a level of derivatives, apart.
struct Apart {
  Apart(std::span<Tensor* const> inputs, int at) {
    for (Tensor* input : inputs) {
      values.push_back(value_at(*input, at));
      TensorRef tangent = is_differentiable(input->dtype) ? tangent_at(*input, at) : TensorRef();
      any = any || tangent;
      tangents.push_back(std::move(tangent));
    }
  }
  std::vector<Tensor*> pointers() const {
    std::vector<Tensor*> list;
    for (const TensorRef& value : values) list.push_back(value.get());
    return list;
  }
  std::vector<TensorRef> values, tangents;
  bool any = false;
};

TensorRef plus(TensorRef sum, TensorRef term) {
  if (!sum) return term;
  return term ? ops::add(sum, term) : sum;
}

// A primitive that is linear in all its inputs together: itself of their derivatives.
Outputs jointly(const Primitive& primitive, const Apart& apart, const Attributes& attributes, bool all) {
  std::vector<TensorRef> made;
  std::vector<Tensor*> inputs;
  for (size_t i = 0; i < apart.values.size(); ++i) {
    const Tensor& value = *apart.values[i];
    TensorRef tangent = apart.tangents[i];
    if (!tangent)
      tangent =
          all || is_differentiable(value.dtype) ? ops::zeros(value.sizes, value.dtype) : apart.values[i];
    inputs.push_back(made.emplace_back(std::move(tangent)).get());
  }
  return versant::apply(primitive, inputs, attributes);
}

// One that is linear in each of its first two inputs; a third one is added.
TensorRef by_turns(const Primitive& primitive, const Apart& apart, const Attributes& attributes) {
  const bool added = apart.values.size() > 2;
  TensorRef shift = added ? apart.tangents[2] : TensorRef();
  TensorRef sum;
  const bool any = apart.tangents[0] || apart.tangents[1];
  for (int k = 0; k < 2; ++k) {
    TensorRef turn = apart.tangents[static_cast<size_t>(k)];
    if (!turn && (any || k > 0)) continue;
    if (!turn) turn = ops::zeros(apart.values[0]->sizes, apart.values[0]->dtype);
    std::vector<Tensor*> inputs = {k == 0 ? turn.get() : apart.values[0].get(),
                                   k == 1 ? turn.get() : apart.values[1].get()};
    if (shift) inputs.push_back(shift.get());
    sum = plus(std::move(sum), versant::apply(primitive, inputs, attributes));
    shift.reset();
  }
  return sum;
}

}  // namespace

Outputs push(const Primitive& primitive, std::span<Tensor* const> inputs, const Attributes& attributes,
             int at) {
  const Apart apart(inputs, at);
  const Linearity linearity = primitive.linearity(attributes);
  if (!apart.any || !primitive.differentiable())
    return versant::apply(primitive, apart.pointers(), attributes);
  if (linearity == Linearity::None) {
    Pushed pushed = push_through(
        [&](std::span<Tensor* const> values) {
          Outputs out = versant::apply(primitive, values, attributes);
          std::vector<TensorRef> list;
          for (TensorRef& tensor : out.tensor)
            if (tensor) list.push_back(std::move(tensor));
          return list;
        },
        apart.values, apart.tangents);
    Outputs out;
    for (size_t k = 0; k < pushed.values.size(); ++k)
      out.tensor[k] = make_dual(std::move(pushed.values[k]), std::move(pushed.tangents[k]), at);
    return out;
  }
  Outputs out = versant::apply(primitive, apart.pointers(), attributes), slope;
  if (linearity == Linearity::Each)
    slope.tensor[0] = by_turns(primitive, apart, attributes);
  else
    slope = jointly(primitive, apart, attributes, linearity == Linearity::All);
  for (int k = 0; k < kMaxPrimitiveOutputs; ++k)
    if (out.tensor[k] && is_differentiable(out.tensor[k]->dtype))
      out.tensor[k] = make_dual(std::move(out.tensor[k]), std::move(slope.tensor[k]), at);
  return out;
}

void give_tangent(Tensor& tensor, int at) {
  if (!tensor.view || tensor.view->base->numel == 0) {
    // What is written there later may differ between the samples of any batch further out.
    const Lowered lowered(at - 1);
    const TensorRef zero = ops::zeros(tensor.sizes, tensor.dtype);
    return become_dual(tensor, spread_as(*zero, *spread(*zero)), at);
  }
  // The derivative of a view is the same view of the base's.
  Tensor& base = *tensor.view->base;
  if (!has_level(base, at)) give_tangent(base, at);
  Tensor& whole = *base.wrapped->tangent;
  const int64_t shift = (tensor.as<char>() - base.as<char>()) / static_cast<int64_t>(itemsize(tensor.dtype));
  if (base.strides != whole.strides)
    fail(ErrorKind::NotImplemented,
         "[jvp] a view of a tensor that is not row-major cannot be given a derivative in place; clone() it");
  become_dual(tensor, ops::as_strided(whole, tensor.sizes, tensor.strides, whole.offset() + shift), at);
  // What the view holds is a view of what the base holds.
  ViewInfo& view = *tensor.wrapped->value->view;
  view.base = base.wrapped->value;
  view.history = view.base->history;
}

// --- elementwise ops
// -----------------------------------------------------------------------------------------------------------

bool concerns(std::span<const Input> inputs) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [](const Input& input) { return input.tensor && input.tensor->wrapped; });
}

namespace {

int level_of(std::span<const Input> inputs) {
  int most = 0;
  for (const Input& input : inputs)
    if (input.tensor) most = std::max(most, transforms::level_of(*input.tensor));
  return most;
}

// All samples of an elementwise op's inputs, which broadcast as one sample does.
struct Samples {
  Samples(ElementwiseOp& op, std::span<const Input> given, int at, int rank) {
    DType common = DType::Float32;
    versant::result_dtype(op, given, &common);
    for (size_t i = 0; i < given.size(); ++i) {
      Tensor* tensor = given[i].tensor;
      inputs.push_back(given[i]);
      if (!tensor || transforms::level_of(*tensor) != at) continue;
      TensorRef samples = tensor->wrapped->value;
      // A number among tensors has no say in the dtype; as one of many it would.
      if (tensor->rank() == 0 && op.promotes >> i & 1 && i < static_cast<size_t>(op.n_inputs) &&
          tensor->dtype != common)
        samples = ops::cast(*samples, common);
      if (tensor->rank() < rank) {
        Dims sizes = samples->sizes;
        for (int d = tensor->rank(); d < rank; ++d) sizes.insert(1, 1);
        samples = ops::view(*samples, sizes);
      }
      inputs.back() = Input(*held.emplace_back(std::move(samples)));
    }
  }
  std::vector<TensorRef> held;
  std::vector<Input> inputs;
};

int rank_of(std::span<const Input> inputs) {
  int rank = 0;
  for (const Input& input : inputs)
    if (input.tensor) rank = std::max(rank, input.tensor->rank());
  return rank;
}

// The derivative of a real elementwise op: for each input its derivative times that of the op by it.
TensorRef slope_of(ElementwiseOp& op, std::span<const Input> values, std::span<const TensorRef> tangents,
                   Tensor& y) {
  TensorRef sum;
  for (int i = 0; i < op.n_inputs; ++i) {
    if (!tangents[static_cast<size_t>(i)]) continue;
    const Derivative& d = derivative_of(op, i);
    if (d.kind == Derivative::Kind::None || d.kind == Derivative::Kind::Zero) continue;
    TensorRef t = ops::cast(*tangents[static_cast<size_t>(i)], y.dtype);
    if (t->sizes != y.sizes) t = ops::expand(*t, y.sizes);
    if (d.kind == Derivative::Kind::Program) {
      std::vector<Input> sources;
      for (const uint8_t s : d.sources) {
        if (s == 0)
          sources.push_back(Input(t));
        else if (s <= values.size())
          sources.push_back(values[s - 1]);
        else
          sources.push_back(Input(y));
      }
      t = versant::apply(*d.op, sources);
    }
    sum = plus(std::move(sum), std::move(t));
  }
  return sum;
}

TensorRef push(ElementwiseOp& op, std::span<const Input> given, int at) {
  std::vector<TensorRef> held, tangents;
  std::vector<Input> values;
  bool complex = false, any = false;
  for (const Input& input : given) {
    if (!input.tensor) {
      values.push_back(input);
      held.emplace_back();
      tangents.emplace_back();
      complex = complex || input.scalar.is_complex();
      continue;
    }
    held.push_back(value_at(*input.tensor, at));
    tangents.push_back(is_differentiable(input.tensor->dtype) ? tangent_at(*input.tensor, at) : nullptr);
    values.push_back(Input(*held.back()));
    complex = complex || is_complex(input.tensor->dtype);
    any = any || tangents.back();
  }
  if (!any) return versant::apply(op, values);
  if (!complex && !op.pairs()) {
    TensorRef y = versant::apply(op, values);
    if (!is_differentiable(y->dtype)) return y;
    TensorRef slope = is_complex(y->dtype) ? nullptr : slope_of(op, values, tangents, *y);
    if (!is_complex(y->dtype)) return make_dual(std::move(y), std::move(slope), at);
  }
  std::vector<TensorRef> tensors, along;
  std::vector<size_t> places;
  for (size_t i = 0; i < held.size(); ++i) {
    if (!held[i]) continue;
    tensors.push_back(held[i]);
    along.push_back(tangents[i]);
    places.push_back(i);
  }
  Pushed pushed = push_through(
      [&](std::span<Tensor* const> now) {
        std::vector<Input> inputs = values;
        for (size_t k = 0; k < places.size(); ++k) inputs[places[k]] = Input(*now[k]);
        return std::vector<TensorRef>{versant::apply(op, inputs)};
      },
      tensors, along);
  return make_dual(std::move(pushed.values[0]), std::move(pushed.tangents[0]), at);
}

}  // namespace

TensorRef apply(ElementwiseOp& op, std::span<const Input> inputs) {
  const int at = level_of(inputs);
  const Lowered lowered(at - 1);
  if (level(at).kind == Wrapped::Kind::Dual) return push(op, inputs, at);
  const Samples samples(op, inputs, at, rank_of(inputs));
  return make_batch(versant::apply(op, samples.inputs), at);
}

void apply_in_place(ElementwiseOp& op, std::span<const Input> inputs, Tensor& out, bool fresh) {
  const int at = std::max(level_of(inputs), transforms::level_of(out));
  if (level(at).kind == Wrapped::Kind::Batch && transforms::level_of(out) == at &&
      rank_of(inputs) <= out.rank()) {
    const Lowered lowered(at - 1);
    const Samples samples(op, inputs, at, out.rank());
    return versant::apply_in_place(op, samples.inputs, *out.wrapped->value, fresh);
  }
  const TensorRef result = level_of(inputs) > 0 ? transforms::apply(op, inputs) : versant::apply(op, inputs);
  if (result->sizes != out.sizes)
    fail(ErrorKind::Shape, "[", op.name, "_] a tensor of shape ", out.sizes,
         " cannot hold a result of shape ", result->sizes);
  if (!can_cast_in_place(result->dtype, out.dtype))
    fail(ErrorKind::DType, "[", op.name, "_] the result has dtype ", name(result->dtype),
         ", which can't be cast to the tensor's ", name(out.dtype));
  write_in_place(out, *result, op.name.c_str(), at);
}

// --- the way back of wrapped tensors
// -----------------------------------------------------------------------------------------------------------

namespace {

// `x` with `change` made to its plain tensor.
template <typename Change>
TensorRef inside(Tensor& x, bool tangents, Change&& change) {
  if (!x.wrapped) return change(x);
  const Wrapped& outer = *x.wrapped;
  TensorRef value = inside(*outer.value, tangents, change);
  if (outer.kind == Wrapped::Kind::Batch) return make_batch(std::move(value), outer.level);
  return make_dual(std::move(value), tangents ? inside(*outer.tangent, true, change) : outer.tangent,
                   outer.level);
}

}  // namespace

TensorRef variable(Tensor& x) {
  const TensorRef all = spread(x);
  const Lowered plain(0);
  return inside(*all, false, [](Tensor& raw) {
    const GradMode on(true);
    if (needs_grad(raw)) return ops::alias(raw);
    trace::reach({&raw});
    TensorRef leaf = Tensor::make(raw);
    set_requires_grad(*leaf, true);
    return leaf;
  });
}

bool is_recorded(Tensor& x) {
  if (!x.wrapped) return needs_grad(x);
  return is_recorded(*x.wrapped->value) || (x.wrapped->tangent && is_recorded(*x.wrapped->tangent));
}

TensorRef off_tape(Tensor& x) {
  const Lowered plain(0);
  return inside(x, true, [](Tensor& raw) { return raw.node ? ops::detach(raw) : TensorRef(&raw); });
}

TensorRef detached(Tensor& x) {
  const Lowered plain(0);
  if (!x.wrapped) return ops::detach(x);
  const Wrapped& outer = *x.wrapped;
  TensorRef value = detached(*outer.value);
  return outer.kind == Wrapped::Kind::Batch ? make_batch(std::move(value), outer.level) : value;
}

std::vector<TensorRef> pull(std::span<const TensorRef> outputs, std::span<const TensorRef> weights,
                            std::span<const TensorRef> variables, const PlainPull& plain, bool keep) {
  int at = 0;
  for (const auto& list : {outputs, variables})
    for (const TensorRef& tensor : list) at = std::max(at, transforms::level_of(*tensor));
  if (at == 0) return plain(outputs, weights, variables, keep);
  if (level(at).kind == Wrapped::Kind::Batch) {
    std::vector<TensorRef> outs, with, by;
    for (size_t k = 0; k < outputs.size(); ++k) {
      if (!has_level(*outputs[k], at) || !weights[k])
        continue;  // variables have the level: no way leads there
      outs.push_back(samples_at(*outputs[k], at));
      with.push_back(samples_at(*weights[k], at));
    }
    for (const TensorRef& variable : variables) by.push_back(samples_at(*variable, at));
    const Hidden hidden(at);
    std::vector<TensorRef> grads = pull(outs, with, by, plain, keep);
    for (TensorRef& grad : grads)
      if (grad) grad = batch_at(*grad, at);
    return grads;
  }
  // The gradient w . f'(x) along a direction: that of w' . f'(x), and of w . f'(x)' where f'(x)' is how the
  // derivative changes, which is the gradient of f's own derivative along that direction.
  std::vector<TensorRef> outs, with, slopes, slopes_with, by;
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!weights[k]) continue;
    outs.push_back(value_at(*outputs[k], at));
    with.push_back(value_at(*weights[k], at));
    if (TensorRef slope = tangent_at(*outputs[k], at)) {
      slopes.push_back(std::move(slope));
      slopes_with.push_back(with.back());
    }
    if (TensorRef slope = tangent_at(*weights[k], at)) {
      slopes.push_back(outs.back());
      slopes_with.push_back(std::move(slope));
    }
  }
  for (const TensorRef& variable : variables) by.push_back(value_at(*variable, at));
  std::vector<TensorRef> grads = pull(outs, with, by, plain, keep || !slopes.empty());
  if (slopes.empty()) return grads;
  const std::vector<TensorRef> along = pull(slopes, slopes_with, by, plain, keep);
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!along[i]) continue;
    if (!grads[i]) grads[i] = ops::zeros(along[i]->sizes, along[i]->dtype);
    grads[i] = dual_at(*grads[i], along[i].get(), at);
  }
  return grads;
}

std::vector<TensorRef> pull(std::span<const TensorRef> outputs, std::span<const TensorRef> weights,
                            std::span<const TensorRef> variables, engine::Options options) {
  const auto plain = [&](std::span<const TensorRef> outs, std::span<const TensorRef> with,
                         std::span<const TensorRef> by, bool keep) {
    std::vector<Tensor*> roots, targets;
    std::vector<TensorRef> weighted;
    for (size_t k = 0; k < outs.size(); ++k) {
      if (!needs_grad(*outs[k]) || !with[k]) continue;
      trace::reach({with[k].get()});
      roots.push_back(outs[k].get());
      weighted.push_back(with[k]);
    }
    for (const TensorRef& variable : by) targets.push_back(variable.get());
    if (roots.empty()) return std::vector<TensorRef>(by.size());
    engine::Options now = options;
    now.keep_graph |= keep;
    return engine::gradients(roots, weighted, targets, now);
  };
  return pull(outputs, weights, variables, plain, false);
}

Pushed push_through(const std::function<std::vector<TensorRef>(std::span<Tensor* const>)>& function,
                    std::span<const TensorRef> values, std::span<const TensorRef> tangents) {
  const auto on_tape = [](const TensorRef& x) { return x && is_recorded(*x); };
  const bool recorded = modes.grad && (std::any_of(values.begin(), values.end(), on_tape) ||
                                       std::any_of(tangents.begin(), tangents.end(), on_tape));
  std::vector<TensorRef> inputs, variables, along;
  std::vector<Tensor*> pointers;
  Pushed result;
  std::vector<TensorRef> pulled, weights;
  std::vector<size_t> weighted;
  {
    const GradMode on(true);
    for (size_t i = 0; i < values.size(); ++i) {
      inputs.push_back(tangents[i] ? variable(*values[i]) : values[i]);
      pointers.push_back(inputs.back().get());
      if (!tangents[i]) continue;
      variables.push_back(inputs.back());
      along.push_back(tangents[i]);
    }
    result.values = function(pointers);
    std::vector<TensorRef> outputs;
    for (size_t k = 0; k < result.values.size(); ++k) {
      const Tensor& y = *result.values[k];
      if (!is_differentiable(y.dtype)) continue;
      outputs.push_back(result.values[k]);
      weights.push_back(variable(*ops::zeros(y.sizes, y.dtype)));
      weighted.push_back(k);
    }
    engine::Options options;
    options.keep_graph = options.create_graph = true;
    pulled = pull(outputs, weights, variables, options);
  }
  result.tangents.resize(result.values.size());
  std::vector<TensorRef> from, with;
  for (size_t i = 0; i < pulled.size(); ++i) {
    if (!pulled[i]) continue;
    from.push_back(pulled[i]);
    with.push_back(along[i]);
  }
  engine::Options options;
  options.create_graph = options.keep_graph = recorded;
  std::vector<TensorRef> pushed = pull(from, with, weights, options);
  for (size_t k = 0; k < pushed.size(); ++k) result.tangents[weighted[k]] = std::move(pushed[k]);
  if (!recorded)
    for (TensorRef& value : result.values) value = off_tape(*value);
  return result;
}

}  // namespace versant::transforms
