#include "hooks.h"

#include <algorithm>

#include "machine/engine.h"

namespace versant {

// Named in machine/node.h; what it holds is ours.
struct HookTable {
  struct Entry {
    uint64_t id;
    face::hooks::When when;
    uint32_t output_nr;
    face::Object callable;  // null for a retained gradient ...
    face::Object tensor;    // ... of the tensor behind this weak reference
  };
  std::vector<Entry> entries;
  bool of_leaf;

  explicit HookTable(bool of_leaf) : of_leaf(of_leaf) { hooked_leaves += of_leaf; }
  ~HookTable() { hooked_leaves -= of_leaf; }
  HookTable(const HookTable&) = delete;
};

namespace face::hooks {

namespace {

uint64_t next_id = 1;

struct HandleObject {
  PyObject_HEAD Node* node;  // a reference; null after remove()
  uint64_t id;
};
PyTypeObject* handle_type = nullptr;

HandleObject* as_handle(PyObject* object) { return reinterpret_cast<HandleObject*>(object); }

PyObject* handle_remove(PyObject* self, PyObject*) {
  HandleObject* handle = as_handle(self);
  if (Node* node = std::exchange(handle->node, nullptr)) {
    Ref<Node> keep = Ref<Node>::steal(node);
    if (node->hooks) {
      // A hook's end may run Python that comes back here.
      std::vector<HookTable::Entry> gone;
      auto& entries = node->hooks->entries;
      for (size_t i = 0; i < entries.size(); ++i) {
        if (entries[i].id != handle->id) continue;
        gone.push_back(std::move(entries[i]));
        entries.erase(entries.begin() + static_cast<ptrdiff_t>(i));
        break;
      }
      if (entries.empty()) delete std::exchange(node->hooks, nullptr);
    }
  }
  Py_RETURN_NONE;
}
PyObject* handle_enter(PyObject* self, PyObject*) { return Py_NewRef(self); }
PyObject* handle_exit(PyObject* self, PyObject*) { return handle_remove(self, nullptr); }
void handle_dealloc(PyObject* self) {
  if (Node* node = as_handle(self)->node) Ref<Node>::steal(node);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef handle_methods[] = {
    {"remove", handle_remove, METH_NOARGS, "Takes the hook away."},
    {"__enter__", handle_enter, METH_NOARGS, nullptr},
    {"__exit__", handle_exit, METH_VARARGS, nullptr},
    {},
};
PyType_Slot handle_slots[] = {
    {Py_tp_doc, const_cast<char*>("A hook's registration; remove() takes it away.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(handle_dealloc)},
    {Py_tp_methods, handle_methods},
    {0, nullptr},
};
PyType_Spec handle_spec = {"versant.autograd.RemovableHandle", sizeof(HandleObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, handle_slots};

Object grads_tuple(Grads grads) {
  Object tuple = checked(PyTuple_New(static_cast<Py_ssize_t>(grads.size())));
  for (size_t i = 0; i < grads.size(); ++i)
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), wrap_or_none(grads[i]));
  return tuple;
}

void replace(TensorRef& grad, PyObject* answer, const char* what) {
  if (answer == Py_None) return;
  if (!is_tensor(answer))
    fail(ErrorKind::Type, "[hook] ", what, " must return a tensor or None, got ", Py_TYPE(answer)->tp_name);
  if (grad && as_tensor(answer)->sizes != grad->sizes)
    fail(ErrorKind::Shape, "[hook] ", what, " returned a gradient of shape ", as_tensor(answer)->sizes,
         ", expected ", grad->sizes);
  if (grad && as_tensor(answer)->dtype != grad->dtype)
    fail(ErrorKind::DType, "[hook] ", what, " returned a gradient of dtype ", name(as_tensor(answer)->dtype),
         ", expected ", name(grad->dtype));
  grad = TensorRef(as_tensor(answer));
}

void replace_all(Grads grads, PyObject* answer) {
  if (answer == Py_None) return;
  Object list = is_tensor(answer) ? checked(PyTuple_Pack(1, answer))
                                  : checked(PySequence_Fast(answer, "a hook must return gradients or None"));
  if (PySequence_Fast_GET_SIZE(list.get()) != static_cast<Py_ssize_t>(grads.size()))
    fail(ErrorKind::Runtime, "[hook] returned ", PySequence_Fast_GET_SIZE(list.get()),
         " gradients, expected ", grads.size());
  for (size_t i = 0; i < grads.size(); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(list.get(), static_cast<Py_ssize_t>(i));
    if (item == Py_None)
      grads[i].reset();
    else
      replace(grads[i], item, "a node's hook");
  }
}

uint64_t signature(const HookTable* table) {
  uint64_t mixed = 0;
  for (const auto& entry : table->entries)
    if (entry.callable) mixed = mixed * 1000003 + entry.id;
  return mixed;
}

// A hook may add or remove hooks, so the walk is over a copy.
void run_pre(HookTable* table, Grads grads) {
  const auto entries = table->entries;
  for (const auto& entry : entries) {
    if (entry.when != When::Before) continue;
    if (!entry.callable) continue;  // retained gradients come last, when hooks have had their say
    if (entry.output_nr == kAllOutputs) {
      Object given = grads_tuple(grads);
      Object answer = checked(PyObject_CallOneArg(entry.callable.get(), given.get()));
      replace_all(grads, answer.get());
    } else if (TensorRef& grad = grads[entry.output_nr]) {
      Object answer = checked(PyObject_CallOneArg(entry.callable.get(), as_object(grad.get())));
      replace(grad, answer.get(), "a tensor's hook");
    }
  }
  for (const auto& entry : entries) {
    if (entry.callable || entry.when != When::Before || !grads[entry.output_nr]) continue;
    PyObject* target = PyWeakref_GetObject(entry.tensor.get());
    if (target == Py_None) continue;
    Object keep = Object::share(target);
    engine::accumulate(*as_tensor(target), grads[entry.output_nr]);
  }
}

void run_post(HookTable* table, Node&, Grads inputs, Grads outputs) {
  const auto entries = table->entries;
  for (const auto& entry : entries) {
    if (entry.when != When::After) continue;
    Object ins = grads_tuple(inputs), outs = grads_tuple(outputs);
    Object answer =
        checked(PyObject_CallFunctionObjArgs(entry.callable.get(), ins.get(), outs.get(), nullptr));
    replace_all(inputs, answer.get());
  }
}

void run_accumulated(HookTable* table, Tensor& leaf) {
  const auto entries = table->entries;
  for (const auto& entry : entries)
    if (entry.when == When::Accumulated) checked(PyObject_CallOneArg(entry.callable.get(), as_object(&leaf)));
}

void move_retained(Tensor& tensor, Node* before) {
  if (before && before->hooks) {
    std::erase_if(before->hooks->entries, [&](const HookTable::Entry& entry) {
      return entry.tensor && PyWeakref_GetObject(entry.tensor.get()) == as_object(&tensor);
    });
  }
  if (tensor.node) retain(tensor);
}

void destroy(HookTable* table) { delete table; }

HookTable& table_of(Node* node) {
  if (!node->hooks) node->hooks = new HookTable(node->is_leaf());
  return *node->hooks;
}

}  // namespace

PyObject* add(Node* node, When when, uint32_t output_nr, PyObject* hook) {
  if (!PyCallable_Check(hook))
    fail(ErrorKind::Type, "[register_hook] expected a callable, got ", Py_TYPE(hook)->tp_name);
  auto* handle = PyObject_New(HandleObject, handle_type);
  if (!handle) throw HostError{};
  handle->id = next_id++;
  handle->node = Ref<Node>(node).release();
  table_of(node).entries.push_back({handle->id, when, output_nr, Object::share(hook), Object()});
  return reinterpret_cast<PyObject*>(handle);
}

int traverse(HookTable* table, visitproc visit, void* arg) {
  for (const auto& entry : table->entries) {
    Py_VISIT(entry.callable.get());
    Py_VISIT(entry.tensor.get());
  }
  return 0;
}

PyObject* callables(const Node* node) {
  PyObject* list = PyList_New(0);
  if (!list || !node || !node->hooks) return list;
  for (const auto& entry : node->hooks->entries)
    if (entry.callable && PyList_Append(list, entry.callable.get()) < 0) {
      Py_DECREF(list);
      return nullptr;
    }
  return list;
}

void retain(Tensor& tensor) {
  Object weak = checked(PyWeakref_NewRef(as_object(&tensor), nullptr));
  table_of(tensor.node.get())
      .entries.push_back({next_id++, When::Before, tensor.output_nr, Object(), std::move(weak)});
}

}  // namespace face::hooks

bool face::init_hooks(PyObject* module) {
  hooks::handle_type = add_type(module, &hooks::handle_spec);
  hook_table_hooks = {hooks::run_pre,       hooks::run_post,  hooks::run_accumulated,
                      hooks::move_retained, hooks::signature, hooks::destroy};
  return hooks::handle_type != nullptr;
}

}  // namespace versant
