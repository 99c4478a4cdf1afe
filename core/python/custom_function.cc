// autograd.Function: ops whose value and gradient are written in Python. The context object `ctx` is an
// instance of the user's class; the node on the tape keeps it alive until its values are released.
#include <algorithm>
#include <cstddef>

#include "face.h"
#include "machine/inplace.h"
#include "machine/node.h"
#include "machine/tape.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"
#include "structmember.h"

namespace versant::face {

namespace {

struct FunctionNode;

struct ContextObject {
  PyObject_HEAD FunctionNode* node;  // the node, while it lives
  PyObject* to_save;                 // tuple given to save_for_backward, until the node takes it
  PyObject* non_differentiable;
  PyObject* dirty;
  PyObject* needs;  // needs_input_grad
  bool materialize;
  PyObject* dict;
  PyObject* weakrefs;
};

PyTypeObject* context_type = nullptr;

ContextObject* as_context(PyObject* object) { return reinterpret_cast<ContextObject*>(object); }

struct FunctionNode final : Node {
  PyObject* context;  // owned
  std::vector<Edge> edges_;
  std::vector<OutputInfo> infos;
  std::vector<Saved> saved;
  std::vector<Edge> saved_edges;   // where gradients of a saved tensor go ...
  std::vector<int> saved_outputs;  // ... or which output of this node it is (-1: none)
  int n_arguments = 0;
  uint64_t tensor_arguments = 0;  // bit i: argument i is a tensor

  FunctionNode(uint32_t bytes, PyObject* context, std::vector<Edge> edges)
      : Node(bytes, static_cast<uint16_t>(edges.size())),
        context(Py_NewRef(context)),
        edges_(std::move(edges)) {
    as_context(context)->node = this;
  }
  ~FunctionNode() override {
    as_context(context)->node = nullptr;
    Py_DECREF(context);
  }
  std::string name() const override {
    const std::string full = Py_TYPE(context)->tp_name;
    return full.substr(full.rfind('.') + 1) + "Backward";
  }
  Edge* edges() override { return edges_.data(); }
  const OutputInfo& output_info(uint32_t nr) const override { return infos[nr]; }
  void release_saved() override {
    saved.clear();
    released = !saved_edges.empty();
  }
  void backward(Grads outputs, Grads inputs, uint64_t wanted) override;
};

// Whether a gradient of shape `from` belongs to a value of shape `to`, perhaps before broadcasting was
// undone.
bool sums_to(const Dims& from, const Dims& to) {
  const int lead = from.size() - to.size();
  if (lead < 0) return false;
  for (int d = 0; d < to.size(); ++d)
    if (to[d] != from[lead + d] && to[d] != 1) return false;
  return true;
}

[[noreturn]] void fail_freed(const FunctionNode& node) {
  fail(ErrorKind::Runtime, "[backward] the values that ", node.name(),
       " saved were freed by an earlier backward; use backward(retain_graph=True) the first time");
}

void FunctionNode::backward(Grads outputs, Grads inputs, uint64_t) {
  // A trace that follows its results back ends here, and not in the user's code.
  if (released && modes.tracing && trace::recorder->goes_back()) fail_freed(*this);
  ContextObject* self = as_context(context);
  PyObject* args[17];
  std::vector<PyObject*> many;
  const size_t n = outputs.size();
  PyObject** call = args;
  if (n + 1 > 17) {
    many.resize(n + 1);
    call = many.data();
  }
  call[0] = context;
  std::vector<Object> held(n);
  for (size_t k = 0; k < n; ++k) {
    if (outputs[k])
      held[k] = Object(wrap_or_none(outputs[k]));
    else if (self->materialize)
      held[k] = Object(wrap(ops::zeros(infos[k].sizes, infos[k].dtype)));
    else
      held[k] = Object::share(Py_None);
    call[1 + k] = held[k].get();
  }
  Object function =
      checked(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(context)), "backward"));
  Object answer = checked(PyObject_Vectorcall(function.get(), call, n + 1, nullptr));
  Object list = PyTuple_Check(answer.get()) || PyList_Check(answer.get())
                    ? checked(PySequence_Fast(answer.get(), ""))
                    : checked(PyTuple_Pack(1, answer.get()));
  const Py_ssize_t given = PySequence_Fast_GET_SIZE(list.get());
  for (Py_ssize_t i = n_arguments; i < given; ++i)
    if (PySequence_Fast_GET_ITEM(list.get(), i) != Py_None)
      fail(ErrorKind::Runtime, "[", name(), "] returned ", given, " gradients for ", n_arguments,
           " inputs of forward");
  if (given < n_arguments)
    fail(ErrorKind::Runtime, "[", name(), "] returned an incorrect number of gradients: expected ",
         n_arguments, ", got ", given);
  for (int i = 0; i < n_arguments; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(list.get(), i);
    if (item == Py_None) continue;
    if (i < 64 && !(tensor_arguments >> i & 1))
      fail(ErrorKind::Runtime, "[", name(), "] returned a gradient for argument ", i,
           " of forward, which is no tensor; return None there");
    if (!edges_[i].node) continue;
    if (!is_tensor(item))
      fail(ErrorKind::Type, "[", name(), "] gradient ", i, " must be a tensor or None, got ",
           Py_TYPE(item)->tp_name);
    const Dims& sizes = edges_[i].node->output_info(edges_[i].nr).sizes;
    if (!sums_to(as_tensor(item)->sizes, sizes))
      fail(ErrorKind::Shape, "[", name(), "] gradient ", i, " has shape ", as_tensor(item)->sizes,
           ", the input ", sizes);
    inputs[i] = TensorRef(as_tensor(item));
  }
}

// --- the context
// ------------------------------------------------------------------------------------------------------------------

PyObject* context_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self) as_context(self)->materialize = true;
  return self;
}

int context_traverse(PyObject* self, visitproc visit, void* arg) {
  ContextObject* context = as_context(self);
  Py_VISIT(context->to_save);
  Py_VISIT(context->non_differentiable);
  Py_VISIT(context->dirty);
  Py_VISIT(context->needs);
  Py_VISIT(context->dict);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

int context_clear(PyObject* self) {
  ContextObject* context = as_context(self);
  Py_CLEAR(context->to_save);
  Py_CLEAR(context->non_differentiable);
  Py_CLEAR(context->dirty);
  Py_CLEAR(context->needs);
  Py_CLEAR(context->dict);
  return 0;
}

void context_dealloc(PyObject* self) {
  PyObject_GC_UnTrack(self);
  if (as_context(self)->weakrefs) PyObject_ClearWeakRefs(self);
  context_clear(self);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* save_for_backward(PyObject* self, PyObject* tensors) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tensors); ++i) {
    PyObject* item = PyTuple_GET_ITEM(tensors, i);
    if (item != Py_None && !is_tensor(item))
      return PyErr_Format(
          PyExc_TypeError,
          "[save_for_backward] expected tensors or None, got %s; keep other values as attributes of ctx",
          Py_TYPE(item)->tp_name);
  }
  Py_XSETREF(as_context(self)->to_save, Py_NewRef(tensors));
  Py_RETURN_NONE;
}

PyObject* saved_tensors(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    ContextObject* context = as_context(self);
    FunctionNode* node = context->node;
    if (!node) {
      if (context->to_save) return Py_NewRef(context->to_save);
      return PyTuple_New(0);
    }
    if (node->released) fail_freed(*node);
    Object tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(node->saved.size())));
    for (size_t i = 0; i < node->saved.size(); ++i) {
      PyObject* item;
      if (!node->saved[i].present) {
        item = Py_NewRef(Py_None);
      } else {
        Edge own{node->saved_outputs[i] >= 0 ? Ref<Node>(node) : Ref<Node>(),
                 static_cast<uint32_t>(std::max(0, node->saved_outputs[i]))};
        const Edge& edge = own.node ? own : node->saved_edges[i];
        TensorRef tensor = node->saved[i].unpack(*node, nullptr);
        tensor->node = edge.node;  // also where nothing is recorded: backward may look at requires_grad
        tensor->output_nr = edge.nr;
        item = wrap(std::move(tensor));
      }
      PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), item);
    }
    return tuple.release();
  });
}

bool contains(PyObject* tuple, PyObject* object) {
  for (Py_ssize_t i = 0; tuple && i < PyTuple_GET_SIZE(tuple); ++i)
    if (PyTuple_GET_ITEM(tuple, i) == object) return true;
  return false;
}

// Whether all are tensors; otherwise a TypeError is set.
bool expect_tensors(PyObject* tuple, const char* call) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    PyObject* item = PyTuple_GET_ITEM(tuple, i);
    if (is_tensor(item)) continue;
    PyErr_Format(PyExc_TypeError, "[%s] expected tensors, got %s", call, Py_TYPE(item)->tp_name);
    return false;
  }
  return true;
}

PyObject* mark_non_differentiable(PyObject* self, PyObject* tensors) {
  if (!expect_tensors(tensors, "mark_non_differentiable")) return nullptr;
  Py_XSETREF(as_context(self)->non_differentiable, Py_NewRef(tensors));
  Py_RETURN_NONE;
}
PyObject* mark_dirty(PyObject* self, PyObject* tensors) {
  if (!expect_tensors(tensors, "mark_dirty")) return nullptr;
  Py_XSETREF(as_context(self)->dirty, Py_NewRef(tensors));
  Py_RETURN_NONE;
}
PyObject* set_materialize_grads(PyObject* self, PyObject* on) {
  as_context(self)->materialize = PyObject_IsTrue(on) != 0;
  Py_RETURN_NONE;
}
PyObject* is_non_differentiable(PyObject* self, PyObject* tensor) {
  return PyBool_FromLong(contains(as_context(self)->non_differentiable, tensor));
}
PyObject* set_needs(PyObject* self, PyObject* needs) {
  Py_XSETREF(as_context(self)->needs, Py_NewRef(needs));
  Py_RETURN_NONE;
}
PyObject* materializes_grads(PyObject* self, void*) { return PyBool_FromLong(as_context(self)->materialize); }
PyObject* needs_input_grad(PyObject* self, void*) {
  ContextObject* context = as_context(self);
  return Py_NewRef(context->needs ? context->needs : Py_None);
}

// Calls forward without recording: forward(ctx, *args), or forward(*args) and setup_context(ctx, args,
// output).
Object call_forward(PyObject* cls, PyObject* context, PyObject* const* args, Py_ssize_t n) {
  GradMode quiet(false);
  Object forward = checked(PyObject_GetAttrString(cls, "forward"));
  Object setup = checked(PyObject_GetAttrString(cls, "setup_context"));
  if (setup.get() != Py_None) {
    Object output = checked(PyObject_Vectorcall(forward.get(), args, n, nullptr));
    Object inputs = checked(PyTuple_New(n));
    for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(inputs.get(), i, Py_NewRef(args[i]));
    checked(PyObject_CallFunctionObjArgs(setup.get(), context, inputs.get(), output.get(), nullptr));
    return output;
  }
  PyObject* few[9];
  std::vector<PyObject*> many;
  PyObject** call = few;
  if (n + 1 > 9) {
    many.resize(n + 1);
    call = many.data();
  }
  call[0] = context;
  for (Py_ssize_t i = 0; i < n; ++i) call[1 + i] = args[i];
  return checked(PyObject_Vectorcall(forward.get(), call, n + 1, nullptr));
}

// The outputs' ties to the node. An input handed back unchanged becomes a view of itself, so that it can
// carry history.
Object attach(PyObject* output, Ref<Node> node, ContextObject* context, PyObject* const* args, Py_ssize_t n,
              uint32_t nr) {
  Tensor* tensor = as_tensor(output);
  auto* function_node = static_cast<FunctionNode*>(node.get());
  function_node->infos.push_back({tensor->sizes, tensor->dtype});
  if (!is_differentiable(tensor->dtype) || contains(context->non_differentiable, output))
    return Object::share(output);
  if (contains(context->dirty, output)) {
    rebase_history(*tensor, node.get(), -1, nr);
    return Object::share(output);
  }
  bool is_input = false;
  for (Py_ssize_t i = 0; i < n; ++i) is_input |= args[i] == output;
  const bool taken = is_input || tensor->node;
  Object result = taken ? Object(wrap(ops::detach(*tensor))) : Object::share(output);
  Tensor& made = *as_tensor(result.get());
  if (taken && !tensor->inference) mark_view(made, *tensor);
  // A view of memory that forward alone knew is as good as a tensor of its own.
  if (made.view && made.view->base->refs == 1) delete std::exchange(made.view, nullptr);
  if (made.view) made.view->origin = ViewInfo::Origin::Function;
  set_history(made, node.get(), nr);
  if (context->dict) track(result.get());
  return result;
}

void keep_saved(FunctionNode& node, ContextObject* context, const std::vector<PyObject*>& outputs,
                const std::vector<Object>& attached, PyObject* const* args, Py_ssize_t n) {
  Object to_save(std::exchange(context->to_save, nullptr));
  if (!to_save) return;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(to_save.get()); ++i) {
    PyObject* item = PyTuple_GET_ITEM(to_save.get(), i);
    Saved saved;
    Edge edge;
    int output = -1;
    if (item != Py_None) {
      if (modes.tracing) trace::recorder->reaches(*as_tensor(item));  // backward has another tensor over it
      saved.keep(*as_tensor(item));
      for (size_t k = 0; k < outputs.size(); ++k)
        if (outputs[k] == item && as_tensor(attached[k].get())->node.get() == &node)
          output = static_cast<int>(k);
      bool is_input = false;
      for (Py_ssize_t a = 0; a < n && !is_input; ++a) {
        if (args[a] != item) continue;
        is_input = true;
        edge = node.edges_[a];
      }
      if (!is_input && output < 0) edge = edge_of(*as_tensor(item));
      if (is_input && !contains(context->dirty, item)) output = -1;
    }
    node.saved.push_back(std::move(saved));
    node.saved_edges.push_back(std::move(edge));
    node.saved_outputs.push_back(output);
  }
}

// Under vmap and jvp, by the rules of the class: versant.autograd.custom_rules.
PyObject* apply_wrapped(PyObject* cls, PyObject* const* args, Py_ssize_t n) {
  Object module = checked(PyImport_ImportModule("versant.autograd.custom_rules"));
  Object apply = checked(PyObject_GetAttrString(module.get(), "apply"));
  Object list = checked(PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(list.get(), i, Py_NewRef(args[i]));
  return checked(PyObject_CallFunctionObjArgs(apply.get(), cls, list.get(), nullptr)).release();
}

PyObject* apply_function(PyObject* cls, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (modes.transforming) [[unlikely]]
      for (Py_ssize_t i = 0; i < n; ++i)
        if (is_tensor(args[i]) && as_tensor(args[i])->wrapped) return apply_wrapped(cls, args, n);
    Object context = checked(PyObject_CallNoArgs(cls));
    if (!PyType_IsSubtype(Py_TYPE(context.get()), context_type))
      fail(ErrorKind::Type, "[Function] apply is a class method");
    ContextObject* ctx = as_context(context.get());
    std::vector<Edge> edges(n);
    bool any = false;
    Object needs = checked(PyTuple_New(n));
    for (Py_ssize_t i = 0; i < n; ++i) {
      const bool wants = is_tensor(args[i]) && needs_grad(*as_tensor(args[i]));
      if (wants && modes.grad) edges[i] = edge_of(*as_tensor(args[i]));
      any |= wants && modes.grad;
      PyTuple_SET_ITEM(needs.get(), i, Py_NewRef(wants ? Py_True : Py_False));
    }
    ctx->needs = needs.release();
    Object output = call_forward(cls, context.get(), args, n);
    const bool single = !PyTuple_Check(output.get());
    std::vector<PyObject*> outputs;
    if (single)
      outputs.push_back(output.get());
    else
      for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(output.get()); ++i)
        outputs.push_back(PyTuple_GET_ITEM(output.get(), i));
    for (Py_ssize_t i = 0; ctx->dirty && i < PyTuple_GET_SIZE(ctx->dirty); ++i) {
      PyObject* item = PyTuple_GET_ITEM(ctx->dirty, i);
      if (!is_tensor(item)) continue;
      if (any) check_in_place(*as_tensor(item), "mark_dirty");
      if (std::find(outputs.begin(), outputs.end(), item) == outputs.end())
        fail(ErrorKind::Runtime, "[mark_dirty] forward must return every input that it changed in place");
    }
    if (!any) {
      Py_CLEAR(ctx->to_save);
      return output.release();
    }
    Ref<Node> node(new_node<FunctionNode>(sizeof(FunctionNode), context.get(), std::move(edges)));
    auto* function_node = static_cast<FunctionNode*>(node.get());
    if (modes.taping) tape::note(*node);
    function_node->n_arguments = static_cast<int>(n);
    for (Py_ssize_t i = 0; i < std::min<Py_ssize_t>(n, 64); ++i)
      function_node->tensor_arguments |= uint64_t{is_tensor(args[i])} << i;
    std::vector<Object> attached;
    uint32_t nr = 0;
    for (PyObject* item : outputs) {
      if (!is_tensor(item)) {
        if (single)
          fail(ErrorKind::Type, "[", function_node->name(), "] forward must return tensors, got ",
               Py_TYPE(item)->tp_name);
        function_node->infos.push_back({});
        attached.push_back(Object::share(item));
      } else {
        attached.push_back(attach(item, node, ctx, args, n, nr));
      }
      ++nr;
    }
    function_node->n_outputs = static_cast<uint16_t>(nr);
    function_node->output = function_node->infos.empty() ? OutputInfo{} : function_node->infos[0];
    keep_saved(*function_node, ctx, outputs, attached, args, n);
    if (single) return attached[0].release();
    Object tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(attached.size())));
    for (size_t i = 0; i < attached.size(); ++i)
      PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), attached[i].release());
    return tuple.release();
  });
}

PyMethodDef methods[] = {
    {"apply", reinterpret_cast<PyCFunction>(apply_function), METH_FASTCALL | METH_CLASS,
     "apply(*args): runs forward and records backward."},
    {"save_for_backward", save_for_backward, METH_VARARGS,
     "Keeps tensors for backward; read them from saved_tensors."},
    {"mark_non_differentiable", mark_non_differentiable, METH_VARARGS, "Outputs that carry no gradient."},
    {"is_non_differentiable", is_non_differentiable, METH_O, "Whether an output was marked so."},
    {"set_needs", set_needs, METH_O, "Sets needs_input_grad."},
    {"mark_dirty", mark_dirty, METH_VARARGS, "Inputs that forward changed in place."},
    {"set_materialize_grads", set_materialize_grads, METH_O,
     "Whether missing gradients arrive as zeros (default) or None."},
    {},
};
PyGetSetDef getset[] = {
    {"saved_tensors", saved_tensors, nullptr, "The tensors given to save_for_backward.", nullptr},
    {"materializes_grads", materializes_grads, nullptr, "What set_materialize_grads said.", nullptr},
    {"needs_input_grad", needs_input_grad, nullptr,
     "For each argument of forward, whether its gradient is wanted.", nullptr},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
    {},
};
PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(ContextObject, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(ContextObject, weakrefs), READONLY, nullptr},
    {},
};
PyType_Slot slots[] = {
    {Py_tp_doc, const_cast<char*>("The base of custom functions; see versant.autograd.Function.")},
    {Py_tp_new, reinterpret_cast<void*>(context_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(context_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(context_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(context_clear)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {0, nullptr},
};
PyType_Spec spec = {"versant._core.FunctionBase", sizeof(ContextObject), 0,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

}  // namespace

PyObject* context_of(Node* node) {
  auto* function_node = dynamic_cast<FunctionNode*>(node);
  return function_node ? function_node->context : nullptr;
}

bool init_custom_function(PyObject* module) {
  context_type = add_type(module, &spec);
  return context_type != nullptr;
}

}  // namespace versant::face
