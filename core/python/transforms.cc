// Transforms for Python: levels, the tensors that stand for more inside of them, and the way back through
// them.
#include "machine/transforms/levels.h"

#include <unordered_set>

#include "face.h"
#include "machine/transforms/forward.h"

namespace versant::face {

namespace {

Tensor& tensor_of(PyObject* object, const char* who) {
  if (!is_tensor(object))
    fail(ErrorKind::Type, "[", who, "] expected a tensor, got ", Py_TYPE(object)->tp_name);
  return *as_tensor(object);
}

PyObject* level_enter(PyObject*, PyObject* args) {
  int batch, randomness;
  long long size;
  if (!PyArg_ParseTuple(args, "pLi", &batch, &size, &randomness)) return nullptr;
  const auto kind = batch ? Wrapped::Kind::Batch : Wrapped::Kind::Dual;
  return PyLong_FromLong(transforms::enter(kind, size, static_cast<transforms::Randomness>(randomness)));
}
PyObject* level_leave(PyObject*, PyObject*) {
  return guarded([&]() -> PyObject* {
    if (transforms::depth() == 0) fail(ErrorKind::Runtime, "[transforms] no level is open");
    transforms::leave();
    Py_RETURN_NONE;
  });
}
PyObject* level_depth(PyObject*, PyObject*) { return PyLong_FromLong(transforms::depth()); }
PyObject* level_kind(PyObject*, PyObject* number) {
  const long at = PyLong_AsLong(number);
  if (at == -1 && PyErr_Occurred()) return nullptr;
  return guarded([&]() -> PyObject* {
    if (at < 1 || at > transforms::depth()) fail(ErrorKind::Value, "[transforms] no level ", at, " is open");
    const transforms::Level& level = transforms::level(static_cast<int>(at));
    static const char* const kNames[] = {"error", "same", "different"};
    return Py_BuildValue("NLs", PyBool_FromLong(level.kind == Wrapped::Kind::Batch),
                         static_cast<long long>(level.size), kNames[static_cast<int>(level.randomness)]);
  });
}
PyObject* level_show(PyObject*, PyObject* number) {
  const long to = PyLong_AsLong(number);
  if (to == -1 && PyErr_Occurred()) return nullptr;
  const int before = transforms::depth();
  transforms::show(static_cast<int>(to));
  return PyLong_FromLong(before);
}

template <typename Body>
PyObject* at_level(PyObject* args, Body&& body) {
  PyObject* tensor;
  int level;
  if (!PyArg_ParseTuple(args, "O!i", tensor_type, &tensor, &level)) return nullptr;
  return guarded([&]() -> PyObject* { return wrap_or_none(body(*as_tensor(tensor), level)); });
}

PyObject* make_batch(PyObject*, PyObject* args) {
  return at_level(args, [](Tensor& x, int level) { return transforms::make_batch(TensorRef(&x), level); });
}
PyObject* samples_at(PyObject*, PyObject* args) { return at_level(args, transforms::samples_at); }
PyObject* value_at(PyObject*, PyObject* args) { return at_level(args, transforms::value_at); }
PyObject* tangent_at(PyObject*, PyObject* args) { return at_level(args, transforms::tangent_at); }
PyObject* has_level(PyObject*, PyObject* args) {
  PyObject* tensor;
  int level;
  if (!PyArg_ParseTuple(args, "O!i", tensor_type, &tensor, &level)) return nullptr;
  return PyBool_FromLong(transforms::has_level(*as_tensor(tensor), level));
}
PyObject* level_of(PyObject*, PyObject* tensor) {
  return guarded(
      [&]() -> PyObject* { return PyLong_FromLong(transforms::level_of(tensor_of(tensor, "level_of"))); });
}
PyObject* wrapped(PyObject*, PyObject* object) {
  return guarded([&]() -> PyObject* {
    const Tensor& tensor = tensor_of(object, "wrapped");
    if (!tensor.wrapped) Py_RETURN_NONE;
    const Wrapped& held = *tensor.wrapped;
    return Py_BuildValue("NiNN", PyBool_FromLong(held.kind == Wrapped::Kind::Batch), held.level,
                         wrap(held.value), wrap_or_none(held.tangent));
  });
}
PyObject* make_dual(PyObject*, PyObject* args) {
  PyObject *value, *tangent;
  int level;
  if (!PyArg_ParseTuple(args, "O!O!i", tensor_type, &value, tensor_type, &tangent, &level)) return nullptr;
  return guarded([&]() -> PyObject* {
    return wrap(transforms::make_dual(TensorRef(as_tensor(value)), TensorRef(as_tensor(tangent)), level));
  });
}
PyObject* become_dual(PyObject*, PyObject* args) {
  PyObject *tensor, *tangent;
  int level;
  if (!PyArg_ParseTuple(args, "O!O!i", tensor_type, &tensor, tensor_type, &tangent, &level)) return nullptr;
  return guarded([&]() -> PyObject* {
    transforms::become_dual(*as_tensor(tensor), TensorRef(as_tensor(tangent)), level);
    Py_RETURN_NONE;
  });
}
// What the head of a level's list leads to, for the tensors that Python holds.
PyObject* duals_of(PyObject*, PyObject* number) {
  const long at = PyLong_AsLong(number);
  if (at == -1 && PyErr_Occurred()) return nullptr;
  return guarded([&]() -> PyObject* {
    if (at < 1 || at > transforms::depth()) fail(ErrorKind::Value, "[transforms] no level ", at, " is open");
    Object list = checked(PyList_New(0));
    for (const Wrapped* w = transforms::level(static_cast<int>(at)).head->after; w; w = w->after) {
      if (!w->tangent) continue;
      const Object pair = checked(Py_BuildValue("NN", wrap(TensorRef(w->owner)), wrap(w->tangent)));
      if (PyList_Append(list.get(), pair.get()) < 0) throw HostError{};
    }
    return list.release();
  });
}
PyObject* variable(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* { return wrap(transforms::variable(tensor_of(tensor, "variable"))); });
}
PyObject* off_tape(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* { return wrap(transforms::off_tape(tensor_of(tensor, "off_tape"))); });
}
PyObject* is_dual(PyObject*, PyObject* object) {
  return guarded([&]() -> PyObject* {
    for (const Tensor* t = &tensor_of(object, "is_dual"); t->wrapped; t = t->wrapped->value.get())
      if (t->wrapped->kind == Wrapped::Kind::Dual) Py_RETURN_TRUE;
    Py_RETURN_FALSE;
  });
}
PyObject* spread_as(PyObject*, PyObject* args) {
  PyObject *object, *like;
  if (!PyArg_ParseTuple(args, "O!O!", tensor_type, &object, tensor_type, &like)) return nullptr;
  return guarded(
      [&]() -> PyObject* { return wrap(transforms::spread_as(*as_tensor(object), *as_tensor(like))); });
}
PyObject* innermost(PyObject*, PyObject* tensor) {
  return guarded([&]() -> PyObject* {
    return Py_NewRef(as_object(&transforms::innermost(tensor_of(tensor, "innermost"))));
  });
}

std::vector<TensorRef> list_of(PyObject* object, const char* who) {
  Object list = checked(PySequence_Fast(object, who));
  std::vector<TensorRef> tensors;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list.get()); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(list.get(), i);
    tensors.push_back(item == Py_None ? TensorRef() : TensorRef(&tensor_of(item, who)));
  }
  return tensors;
}

PyObject* list_from(std::vector<TensorRef> tensors) {
  Object list = checked(PyList_New(static_cast<Py_ssize_t>(tensors.size())));
  for (size_t i = 0; i < tensors.size(); ++i)
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), wrap_or_none(std::move(tensors[i])));
  return list.release();
}

PyObject* pull(PyObject*, PyObject* args) {
  PyObject *outputs, *weights, *variables;
  int keep, create;
  if (!PyArg_ParseTuple(args, "OOOpp", &outputs, &weights, &variables, &keep, &create)) return nullptr;
  return guarded([&]() -> PyObject* {
    const auto outs = list_of(outputs, "pull"), with = list_of(weights, "pull"),
               by = list_of(variables, "pull");
    if (outs.size() != with.size())
      fail(ErrorKind::Value, "[pull] got ", outs.size(), " outputs and ", with.size(), " weights");
    engine::Options options;
    options.keep_graph = keep;
    options.create_graph = create;
    return list_from(transforms::pull(outs, with, by, options));
  });
}

PyObject* push_through(PyObject*, PyObject* args) {
  PyObject *function, *values, *tangents;
  if (!PyArg_ParseTuple(args, "OOO", &function, &values, &tangents)) return nullptr;
  return guarded([&]() -> PyObject* {
    const auto from = list_of(values, "push_through"), along = list_of(tangents, "push_through");
    transforms::Pushed pushed = transforms::push_through(
        [&](std::span<Tensor* const> now) {
          std::vector<TensorRef> list;
          for (Tensor* tensor : now) list.emplace_back(tensor);
          Object arguments(list_from(std::move(list)));
          Object result = checked(PyObject_CallOneArg(function, arguments.get()));
          return list_of(result.get(), "push_through");
        },
        from, along);
    Object first(list_from(std::move(pushed.values))), second(list_from(std::move(pushed.tangents)));
    return PyTuple_Pack(2, first.get(), second.get());
  });
}

// Whether gradients from `outputs` reach a leaf that is none of `variables`, or a variable is itself
// recorded.
PyObject* reaches_others(PyObject*, PyObject* args) {
  PyObject *outputs, *variables;
  if (!PyArg_ParseTuple(args, "OO", &outputs, &variables)) return nullptr;
  return guarded([&]() -> PyObject* {
    std::unordered_set<Node*> seen;
    std::vector<Node*> open;
    const auto each_plain = [](const TensorRef& tensor, auto&& visit) {
      std::vector<Tensor*> list = {tensor.get()};
      while (!list.empty()) {
        Tensor* t = list.back();
        list.pop_back();
        if (!t->wrapped) {
          visit(*t);
          continue;
        }
        list.push_back(t->wrapped->value.get());
        if (t->wrapped->tangent) list.push_back(t->wrapped->tangent.get());
      }
    };
    for (const TensorRef& variable : list_of(variables, "grad")) {
      Tensor& plain = transforms::innermost(*variable);
      if (!needs_grad(plain)) continue;
      if (!plain.is_leaf()) Py_RETURN_TRUE;
      seen.insert(plain.node.get());
    }
    const auto reach = [&](Node* node) {
      if (node && seen.insert(node).second) open.push_back(node);
    };
    for (const TensorRef& output : list_of(outputs, "grad"))
      each_plain(output, [&](Tensor& plain) { reach(edge_of(plain).node.get()); });
    while (!open.empty()) {
      Node* node = open.back();
      open.pop_back();
      if (node->is_leaf()) Py_RETURN_TRUE;
      for (int k = 0; k < node->n_edges; ++k) reach(node->edges()[k].node.get());
    }
    Py_RETURN_FALSE;
  });
}

}  // namespace

PyMethodDef transform_functions[] = {
    {"level_enter", level_enter, METH_VARARGS, "(batch, size, randomness) -> the number of a new level"},
    {"level_leave", level_leave, METH_NOARGS, "Closes the innermost level."},
    {"level_depth", level_depth, METH_NOARGS, "How many levels are open."},
    {"level_kind", level_kind, METH_O, "(is a batch, samples, randomness) of a level."},
    {"level_show", level_show, METH_O, "Hides the levels above a number; returns the number before."},
    {"level_of", level_of, METH_O, "The innermost level that wraps a tensor; 0 for none."},
    {"wrapped", wrapped, METH_O, "(is a batch, level, value, tangent) of a wrapped tensor, or None."},
    {"has_level", has_level, METH_VARARGS, "(tensor, level) -> bool"},
    {"make_batch", make_batch, METH_VARARGS, "(samples, level) -> a tensor that stands for all of them"},
    {"samples_at", samples_at, METH_VARARGS, "(tensor, level) -> all samples, along axis 0"},
    {"make_dual", make_dual, METH_VARARGS, "(value, tangent, level) -> a tensor with a derivative"},
    {"become_dual", become_dual, METH_VARARGS,
     "(tensor, tangent, level): it has that derivative from now on."},
    {"duals_of", duals_of, METH_O, "[(tensor, tangent)] of a level's tensors that are still there."},
    {"value_at", value_at, METH_VARARGS, "(tensor, level) -> its value"},
    {"tangent_at", tangent_at, METH_VARARGS, "(tensor, level) -> its derivative or None"},
    {"variable", variable, METH_O, "A copy to differentiate by."},
    {"off_tape", off_tape, METH_O, "The same value off the tape."},
    {"is_dual", is_dual, METH_O, "Whether a tensor has a derivative at some level."},
    {"spread_as", spread_as, METH_VARARGS, "(tensor, like) -> a copy with a batch wherever `like` has one"},
    {"innermost", innermost, METH_O, "The plain tensor inside of a wrapped one."},
    {"pull", pull, METH_VARARGS, "(outputs, weights, variables, keep_graph, create_graph) -> gradients"},
    {"push_through", push_through, METH_VARARGS, "(function, values, tangents) -> (values, tangents)"},
    {"reaches_others", reaches_others, METH_VARARGS, "(outputs, variables) -> bool"},
    {},
};

}  // namespace versant::face
