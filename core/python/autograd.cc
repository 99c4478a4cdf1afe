// backward(), gradients, gradient modes, and the node objects behind grad_fn.
#include "machine/engine.h"

#include <algorithm>

#include "face.h"
#include "hooks.h"

namespace versant::face {

namespace {

bool truth(PyObject* object) {
  const int value = PyObject_IsTrue(object);
  if (value < 0) throw HostError{};
  return value != 0;
}

// A tensor, or a sequence of tensors; None allowed where `optional`. Holds them: hooks may change a list.
struct TensorList {
  std::vector<Tensor*> tensors;
  Object keep;

  TensorList(PyObject* object, const char* op, const char* what, bool optional) {
    if (is_tensor(object)) {
      tensors.push_back(as_tensor(object));
      return;
    }
    keep = Object(PySequence_Tuple(object));
    if (!keep) {
      PyErr_Clear();
      fail(ErrorKind::Type, "[", op, "] ", what, " must be a tensor or a sequence of tensors, got ",
           Py_TYPE(object)->tp_name);
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keep.get()); ++i) {
      PyObject* item = PyTuple_GET_ITEM(keep.get(), i);
      if (item == Py_None && optional)
        tensors.push_back(nullptr);
      else if (is_tensor(item))
        tensors.push_back(as_tensor(item));
      else
        fail(ErrorKind::Type, "[", op, "] ", what, " must be tensors, got ", Py_TYPE(item)->tp_name);
    }
  }
};

std::vector<TensorRef> weights_of(PyObject* object, size_t n, const char* op) {
  std::vector<TensorRef> weights(n);
  if (object == Py_None) return weights;
  TensorList list(object, op, "gradient", true);
  if (list.tensors.size() != n)
    fail(ErrorKind::Runtime, "[", op, "] got ", n, " outputs but ", list.tensors.size(), " gradients");
  for (size_t i = 0; i < n; ++i) weights[i] = TensorRef(list.tensors[i]);
  return weights;
}

// backward(tensors, gradient, keep_graph, create_graph, inputs)
PyObject* backward(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n != 5) return PyErr_Format(PyExc_TypeError, "backward takes 5 arguments, got %zd", n);
  return guarded([&]() -> PyObject* {
    TensorList roots(args[0], "backward", "tensors", false);
    std::vector<TensorRef> weights = weights_of(args[1], roots.tensors.size(), "backward");
    engine::Options options;
    options.create_graph = truth(args[3]);
    options.keep_graph = args[2] == Py_None ? options.create_graph : truth(args[2]);
    if (args[4] == Py_None) {
      engine::backward(roots.tensors, weights, options);
      Py_RETURN_NONE;
    }
    TensorList inputs(args[4], "backward", "inputs", false);
    if (inputs.tensors.empty()) fail(ErrorKind::Runtime, "[backward] inputs= cannot be empty");
    for (Tensor* input : inputs.tensors)
      if (!needs_grad(*input))
        fail(ErrorKind::Runtime, "[backward] one of the inputs= does not require grad");
    std::vector<TensorRef> grads = engine::gradients(roots.tensors, weights, inputs.tensors, options);
    GradMode mode(options.create_graph);
    for (size_t i = 0; i < grads.size(); ++i) {
      const auto seen = inputs.tensors.begin() + static_cast<ptrdiff_t>(i);
      if (grads[i] && std::find(inputs.tensors.begin(), seen, *seen) == seen)
        engine::deposit(**seen, std::move(grads[i]));
    }
    Py_RETURN_NONE;
  });
}

// grad(outputs, inputs, grad_outputs, keep_graph, create_graph, allow_unused, materialize_grads, stop=False)
// -> tuple
PyObject* grad(PyObject*, PyObject* const* args, Py_ssize_t n) {
  if (n != 7 && n != 8) return PyErr_Format(PyExc_TypeError, "grad takes 7 or 8 arguments, got %zd", n);
  return guarded([&]() -> PyObject* {
    TensorList roots(args[0], "grad", "outputs", false), inputs(args[1], "grad", "inputs", false);
    if (inputs.tensors.empty()) fail(ErrorKind::Runtime, "[grad] inputs cannot be empty");
    std::vector<TensorRef> weights = weights_of(args[2], roots.tensors.size(), "grad");
    engine::Options options;
    options.create_graph = truth(args[4]);
    options.keep_graph = args[3] == Py_None ? options.create_graph : truth(args[3]);
    options.stop = n == 8 && truth(args[7]);
    const bool materialize = truth(args[6]);
    const bool allow_unused = truth(args[5]) || materialize;
    for (size_t i = 0; i < inputs.tensors.size(); ++i)
      if (!needs_grad(*inputs.tensors[i]))
        fail(ErrorKind::Runtime, "[grad] input ", i, " does not require grad");
    std::vector<TensorRef> grads = engine::gradients(roots.tensors, weights, inputs.tensors, options);
    Object result = checked(PyTuple_New(static_cast<Py_ssize_t>(grads.size())));
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i] && !allow_unused)
        fail(ErrorKind::Runtime, "[grad] input ", i,
             " was not used to compute the outputs; set allow_unused=True to get None for it");
      if (!grads[i] && materialize) grads[i] = ops::zeros(inputs.tensors[i]->sizes, inputs.tensors[i]->dtype);
      PyTuple_SET_ITEM(result.get(), static_cast<Py_ssize_t>(i),
                       grads[i] ? wrap(std::move(grads[i])) : Py_NewRef(Py_None));
    }
    return result.release();
  });
}

// x.backward(gradient=None, retain_graph=None, create_graph=False, inputs=None)
PyObject* tensor_backward(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* kwnames) {
  static const char* names[] = {"gradient", "retain_graph", "create_graph", "inputs"};
  PyObject* values[4] = {Py_None, Py_None, Py_False, Py_None};
  const Py_ssize_t n = nargs - 1;
  if (n < 0 || !is_tensor(args[0])) return PyErr_Format(PyExc_TypeError, "[backward] expected a tensor");
  if (n > 4) return PyErr_Format(PyExc_TypeError, "[backward] takes at most 4 arguments, got %zd", n);
  for (Py_ssize_t i = 0; i < n; ++i) values[i] = args[1 + i];
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k) {
    int at = -1;
    for (int i = 0; i < 4; ++i)
      if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, k), names[i]) == 0) at = i;
    if (at < 0)
      return PyErr_Format(PyExc_TypeError, "[backward] got an unexpected keyword argument '%U'",
                          PyTuple_GET_ITEM(kwnames, k));
    values[at] = args[nargs + k];
  }
  PyObject* call[5] = {args[0], values[0], values[1], values[2], values[3]};
  return backward(nullptr, call, 5);
}

PyObject* is_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(modes.grad); }
PyObject* set_grad_enabled(PyObject*, PyObject* on) {
  const int value = PyObject_IsTrue(on);
  if (value < 0) return nullptr;
  const bool before = modes.grad;
  modes.grad = value != 0 && !modes.inference;
  return PyBool_FromLong(before);
}
PyObject* is_inference_enabled(PyObject*, PyObject*) { return PyBool_FromLong(modes.inference); }
PyObject* set_inference_enabled(PyObject*, PyObject* on) {
  const int value = PyObject_IsTrue(on);
  if (value < 0) return nullptr;
  const bool before = modes.inference;
  modes.inference = value != 0;
  return PyBool_FromLong(before);
}

// --- node objects
// ---------------------------------------------------------------------------------------------------------------

struct NodeObject {
  PyObject_HEAD Node* node;  // a reference
};
PyTypeObject* node_type = nullptr;

Node* node_of(PyObject* self) { return reinterpret_cast<NodeObject*>(self)->node; }

void node_dealloc(PyObject* self) {
  if (Node* node = node_of(self)) {
    node->host_object = nullptr;
    Ref<Node>::steal(node);
  }
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

std::string title(const Node& node) {
  // add -> AddBackward, max_pool2d -> MaxPool2dBackward; names that are titles already stay.
  const std::string name = node.name();
  if (node.is_leaf() || (!name.empty() && std::isupper(static_cast<unsigned char>(name[0])))) return name;
  std::string result;
  bool up = true;
  for (const char c : name) {
    if (c == '_' || c == '.')
      up = true;
    else
      result += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c, up = false;
  }
  return result + "Backward0";
}

PyObject* node_repr(PyObject* self) {
  return PyUnicode_FromFormat("<%s object at %p>", title(*node_of(self)).c_str(), node_of(self));
}
PyObject* node_name(PyObject* self, PyObject*) { return PyUnicode_FromString(title(*node_of(self)).c_str()); }
PyObject* node_next(PyObject* self, void*) {
  return guarded([&]() -> PyObject* {
    Node* node = node_of(self);
    Object result = checked(PyTuple_New(node->n_edges));
    for (int k = 0; k < node->n_edges; ++k) {
      const Edge& edge = node->edges()[k];
      PyObject* pair =
          Py_BuildValue("(Nk)", node_object(edge.node.get()), static_cast<unsigned long>(edge.nr));
      PyTuple_SET_ITEM(result.get(), k, checked(pair).release());
    }
    return result.release();
  });
}
PyObject* node_variable(PyObject* self, void*) {
  Node* node = node_of(self);
  if (!node->is_leaf()) {
    PyErr_SetString(PyExc_AttributeError, "only AccumulateGrad has a variable");
    return nullptr;
  }
  Tensor* leaf = static_cast<LeafNode*>(node)->leaf;
  return Py_NewRef(leaf ? as_object(leaf) : Py_None);
}
PyObject* node_op(PyObject* self, void*) { return PyUnicode_FromString(node_of(self)->name().c_str()); }
PyObject* node_line(PyObject* self, void*) {
  Node* node = node_of(self);
  if (!node->where.code) Py_RETURN_NONE;
  return PyUnicode_FromString(location_hooks.describe(node->where).c_str());
}
PyObject* node_compare(PyObject* a, PyObject* b, int op) {
  if (Py_TYPE(a) != Py_TYPE(b) || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  return PyBool_FromLong((node_of(a) == node_of(b)) == (op == Py_EQ));
}
Py_hash_t node_hash(PyObject* self) { return _Py_HashPointer(node_of(self)); }
PyObject* node_register_hook(PyObject* self, PyObject* hook) {
  return guarded([&] { return hooks::add(node_of(self), hooks::When::After, 0, hook); });
}
PyObject* node_register_prehook(PyObject* self, PyObject* hook) {
  return guarded([&] { return hooks::add(node_of(self), hooks::When::Before, hooks::kAllOutputs, hook); });
}

PyMethodDef node_methods[] = {
    {"name", node_name, METH_NOARGS, "The op that was recorded."},
    {"register_hook", node_register_hook, METH_O,
     "register_hook(hook): calls hook(grad_inputs, grad_outputs) after the node ran."},
    {"register_prehook", node_register_prehook, METH_O,
     "register_prehook(hook): calls hook(grad_outputs) before the node runs."},
    {},
};
PyGetSetDef node_getset[] = {
    {"next_functions", node_next, nullptr,
     "The nodes to which gradients go from here, with their output numbers.", nullptr},
    {"variable", node_variable, nullptr, "The leaf tensor of an AccumulateGrad node.", nullptr},
    {"op", node_op, nullptr, "The name of the op that was recorded.", nullptr},
    {"line", node_line, nullptr, "The file and line of the program that recorded the op.", nullptr},
    {},
};
PyType_Slot node_slots[] = {
    {Py_tp_doc, const_cast<char*>("A node of the tape.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
    {Py_tp_richcompare, reinterpret_cast<void*>(node_compare)},
    {Py_tp_hash, reinterpret_cast<void*>(node_hash)},
    {Py_tp_methods, node_methods},
    {Py_tp_getset, node_getset},
    {0, nullptr},
};
PyType_Spec node_spec = {"versant.autograd.Node", sizeof(NodeObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

// --- hooks on tensors
// ----------------------------------------------------------------------------------------------------------

PyObject* register_hook(PyObject*, PyObject* args) {
  PyObject *self, *hook;
  if (!PyArg_ParseTuple(args, "O!O", tensor_type, &self, &hook)) return nullptr;
  return guarded([&]() -> PyObject* {
    Tensor& tensor = *as_tensor(self);
    if (!needs_grad(tensor))
      fail(ErrorKind::Runtime,
           "[register_hook] cannot register a hook on a tensor that doesn't require gradient");
    PyObject* handle = hooks::add(tensor.node.get(), hooks::When::Before, tensor.output_nr, hook);
    track(self);
    return handle;
  });
}

PyObject* register_post_accumulate(PyObject*, PyObject* args) {
  PyObject *self, *hook;
  if (!PyArg_ParseTuple(args, "O!O", tensor_type, &self, &hook)) return nullptr;
  return guarded([&]() -> PyObject* {
    Tensor& tensor = *as_tensor(self);
    if (!needs_grad(tensor) || !tensor.is_leaf())
      fail(ErrorKind::Runtime,
           "[register_post_accumulate_grad_hook] post accumulate grad hooks cannot be registered on non-leaf "
           "tensors; the tensor must be a leaf that requires grad");
    PyObject* handle = hooks::add(tensor.node.get(), hooks::When::Accumulated, 0, hook);
    track(self);
    return handle;
  });
}

PyObject* retain_grad(PyObject*, PyObject* self) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(self)) fail(ErrorKind::Type, "[retain_grad] expected a tensor");
    Tensor& tensor = *as_tensor(self);
    if (!needs_grad(tensor))
      fail(ErrorKind::Runtime, "[retain_grad] can't retain_grad on a tensor that has requires_grad=False");
    if (!tensor.is_leaf() && !tensor.retains_grad) {
      tensor.retains_grad = true;
      hooks::retain(tensor);
    }
    Py_RETURN_NONE;
  });
}

}  // namespace

PyObject* node_object(Node* node) {
  if (!node) Py_RETURN_NONE;
  if (node->host_object) return Py_NewRef(static_cast<PyObject*>(node->host_object));
  auto* self = PyObject_New(NodeObject, node_type);
  if (!self) return nullptr;
  self->node = Ref<Node>(node).release();
  node->host_object = self;
  return reinterpret_cast<PyObject*>(self);
}

namespace {
PyObject* running_pass(PyObject*, PyObject*) { return PyLong_FromUnsignedLongLong(engine::running_pass()); }
PyObject* will_come_to(PyObject*, PyObject* list) {
  return guarded([&]() -> PyObject* {
    const std::vector<Tensor*> tensors = tensors_of(list);
    const std::vector<bool> found = engine::will_come_to(tensors);
    Object result(checked(PyList_New(0)));
    for (const bool comes : found)
      if (PyList_Append(result.get(), comes ? Py_True : Py_False) < 0) throw HostError{};
    return result.release();
  });
}
}  // namespace

PyMethodDef autograd_functions[] = {
    {"running_pass", running_pass, METH_NOARGS, "The number of the backward pass that runs, or 0."},
    {"will_come_to", will_come_to, METH_O,
     "Of each tensor of a list: whether the pass that runs comes to it."},
    {"backward", reinterpret_cast<PyCFunction>(backward), METH_FASTCALL,
     "backward(tensors, gradient, keep_graph, create_graph, inputs)"},
    {"grad", reinterpret_cast<PyCFunction>(grad), METH_FASTCALL,
     "grad(outputs, inputs, grad_outputs, keep_graph, create_graph, allow_unused, materialize_grads, "
     "stop=False) -> tuple"},
    {"is_grad_enabled", is_grad_enabled, METH_NOARGS, "Whether ops are recorded."},
    {"set_grad_mode", set_grad_enabled, METH_O, "Sets whether ops are recorded; returns what was."},
    {"is_inference_mode_enabled", is_inference_enabled, METH_NOARGS, "Whether inference mode is on."},
    {"set_inference_mode", set_inference_enabled, METH_O, "Sets inference mode; returns what was."},
    {"register_hook", register_hook, METH_VARARGS, "register_hook(tensor, hook) -> handle"},
    {"register_post_accumulate_grad_hook", register_post_accumulate, METH_VARARGS,
     "(tensor, hook) -> handle"},
    {"retain_grad", retain_grad, METH_O, "Keeps .grad of a non-leaf tensor."},
    {},
};

PyMethodDef tensor_backward_method = {
    "backward", reinterpret_cast<PyCFunction>(tensor_backward), METH_FASTCALL | METH_KEYWORDS,
    "backward(gradient=None, retain_graph=None, create_graph=False, inputs=None)"};

bool init_autograd(PyObject* module) {
  node_type = add_type(module, &node_spec);
  return node_type != nullptr;
}

}  // namespace versant::face
