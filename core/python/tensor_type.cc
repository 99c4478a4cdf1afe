// The Tensor type: allocation, destruction, and the parts that make it an object.
//
// Tensors that the machine makes come from its pool (tensor.h, Note [One object]). They carry the collector's
// header but are not tracked until they get an attribute dictionary, a hook or a custom function's context,
// the ways in which they can join a cycle that Python made. Instances of Python subclasses (nn.Parameter) are
// allocated and tracked by Python.
#include <new>

#include "face.h"
#include "hooks.h"
#include "machine/node.h"
#include "machine/promote.h"
#include "structmember.h"

namespace versant::face {

PyTypeObject* tensor_type = nullptr;

namespace {

static_assert(offsetof(versant::Object, refs) == offsetof(PyObject, ob_refcnt));
static_assert(offsetof(versant::Object, type) == offsetof(PyObject, ob_type));
static_assert(sizeof(versant::Object) == sizeof(PyObject));

// Turns fresh host memory (header set, rest zero) into a tensor.
void construct(PyObject* self) {
  const versant::Object header = *reinterpret_cast<versant::Object*>(self);
  auto* tensor = new (self) Tensor;
  static_cast<versant::Object&>(*tensor) = header;
  tensor->pinned_type = true;
}

// Makes an instance of `type` that shares `source`'s memory.
PyObject* make_instance(PyTypeObject* type, const Array& source) {
  if (type == tensor_type) return wrap(Tensor::make(source));
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  construct(self);
  static_cast<Array&>(*as_tensor(self)) = source;
  return self;
}

}  // namespace

void tensor_dealloc(PyObject* self) {
  Tensor* tensor = as_tensor(self);
  if (PyObject_GC_IsTracked(self)) PyObject_GC_UnTrack(self);
  tensor->tracked = false;
  if (tensor->host_weakrefs) PyObject_ClearWeakRefs(self);
  Py_CLEAR(*reinterpret_cast<PyObject**>(&tensor->host_dict));
  tensor->host_weakrefs = nullptr;
  if (!tensor->pinned_type) {
    Tensor::destroy(tensor);
    return;
  }
  release_leaf(*tensor);
  delete tensor->view;
  tensor->view = nullptr;
  PyTypeObject* type = Py_TYPE(self);
  tensor->~Tensor();
  type->tp_free(self);
}

namespace {

// What Python hung on the node of a tensor belongs to the tensor when nobody else holds the node.
int traverse(PyObject* self, visitproc visit, void* arg) {
  Tensor* tensor = as_tensor(self);
  Py_VISIT(reinterpret_cast<PyObject*>(tensor->host_dict));
  if (tensor->pinned_type) Py_VISIT(Py_TYPE(self));
  if (tensor->grad) Py_VISIT(as_object(tensor->grad.get()));
  if (tensor->view) Py_VISIT(as_object(tensor->view->base.get()));
  Node* node = tensor->node.get();
  if (!node || node->refs != 1) return 0;
  Py_VISIT(context_of(node));
  return node->hooks ? hooks::traverse(node->hooks, visit, arg) : 0;
}

int clear(PyObject* self) {
  Tensor* tensor = as_tensor(self);
  Py_CLEAR(*reinterpret_cast<PyObject**>(&tensor->host_dict));
  detach_in_place(*tensor);
  return 0;
}

// Setting an attribute gives the tensor a dictionary, and with it to the collector.
int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  const int status = PyObject_GenericSetAttr(self, name, value);
  if (status == 0 && as_tensor(self)->host_dict) track(self);
  return status;
}

// Tensor(2, 3) is uninitialised of that shape; Tensor([2, 3]) holds these values; both in the default dtype.
TensorRef legacy(PyObject* args) {
  const Py_ssize_t n = PyTuple_GET_SIZE(args);
  if (n == 0) return ops::empty(Dims{0}, default_float());
  if (PyLong_Check(PyTuple_GET_ITEM(args, 0)))
    return ops::empty(to_dims(args, "Tensor", "sizes"), default_float());
  if (n > 1) fail(ErrorKind::Type, "[Tensor] expected data or sizes, got ", n, " arguments");
  PyObject* const data = PyTuple_GET_ITEM(args, 0);
  TensorRef made = tensor_from_data(data, default_float(), true);
  if (modes.tracing && !is_tensor(data) && is_constant(data)) trace::recorder->constant(*made);
  return made;
}

PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  return guarded([&]() -> PyObject* {
    if (type != tensor_type) {
      // A subclass without a __new__ of its own: data that is a tensor is shared.
      const bool given = PyTuple_GET_SIZE(args) > 0;
      PyObject* first = given ? PyTuple_GET_ITEM(args, 0) : nullptr;
      return make_instance(type, *(given && is_tensor(first) ? TensorRef(as_tensor(first)) : legacy(args)));
    }
    if (kwargs && PyDict_GET_SIZE(kwargs) > 0)
      fail(ErrorKind::Type, "[Tensor] takes no keyword arguments; use versant.tensor(data, dtype=...)");
    return wrap(legacy(args));
  });
}

PyObject* make_subclass(PyObject*, PyObject* args, PyObject* kwargs) {
  const char* names[] = {"cls", "data", "require_grad", nullptr};
  PyObject* cls;
  PyObject* data;
  int require_grad = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p", const_cast<char**>(names), &cls, &data,
                                   &require_grad))
    return nullptr;
  return guarded([&]() -> PyObject* {
    if (!PyType_Check(cls) || !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), tensor_type))
      fail(ErrorKind::Type, "[_make_subclass] expected a subclass of Tensor");
    if (!is_tensor(data))
      fail(ErrorKind::Type, "[_make_subclass] expected a tensor, got ", Py_TYPE(data)->tp_name);
    Object self = checked(make_instance(reinterpret_cast<PyTypeObject*>(cls), *as_tensor(data)));
    if (require_grad) set_requires_grad(*as_tensor(self.get()), true);
    return self.release();
  });
}

Py_hash_t hash(PyObject* self) { return _Py_HashPointer(self); }

Py_ssize_t length(PyObject* self) {
  Tensor* tensor = as_tensor(self);
  if (tensor->rank() == 0) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return tensor->sizes[0];
}

PyObject* get_dict(PyObject* self, void*) {
  PyObject* dict = PyObject_GenericGetDict(self, nullptr);
  if (dict) track(self);
  return dict;
}

// Tensor is not of standard layout (it has bases), but its offsets are fixed in every compiler that we build
// with.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(Tensor, host_dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Tensor, host_weakrefs), READONLY, nullptr},
    {},
};
#pragma GCC diagnostic pop

PyMethodDef make_subclass_method = {"_make_subclass", reinterpret_cast<PyCFunction>(make_subclass),
                                    METH_VARARGS | METH_KEYWORDS | METH_STATIC,
                                    "An instance of a subclass of Tensor that shares data's memory."};

}  // namespace

void track(PyObject* tensor) {
  as_tensor(tensor)->tracked = true;
  if (!PyObject_GC_IsTracked(tensor)) PyObject_GC_Track(tensor);
}

bool init_tensor_type(PyObject* module) {
  std::vector<PyType_Slot> slots = {
      {Py_tp_doc,
       const_cast<char*>("A multi-dimensional array of one dtype that can take part in gradients.")},
      {Py_tp_new, reinterpret_cast<void*>(tensor_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(tensor_dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
      {Py_tp_hash, reinterpret_cast<void*>(hash)},
      {Py_tp_members, members},
      {Py_mp_length, reinterpret_cast<void*>(length)},
      {Py_mp_subscript, reinterpret_cast<void*>(tensor_subscript)},
      {Py_mp_ass_subscript, reinterpret_cast<void*>(tensor_assign_subscript)},
      {Py_sq_length, reinterpret_cast<void*>(length)},
      {Py_bf_getbuffer, reinterpret_cast<void*>(tensor_buffer.bf_getbuffer)},
      {Py_bf_releasebuffer, reinterpret_cast<void*>(tensor_buffer.bf_releasebuffer)},
  };
  for (PyType_Slot* slot = tensor_number_slots; slot->slot; ++slot) slots.push_back(*slot);
  std::vector<PyGetSetDef> getset;
  getset.push_back({"__dict__", get_dict, PyObject_GenericSetDict, nullptr, nullptr});
  for (PyGetSetDef* entry = tensor_getset; entry->name; ++entry) getset.push_back(*entry);
  getset.push_back({});
  static std::vector<PyGetSetDef> kept_getset;
  kept_getset = std::move(getset);
  static std::vector<PyMethodDef> kept_methods;
  kept_methods.push_back(make_subclass_method);
  for (PyMethodDef* entry = tensor_methods; entry->ml_name; ++entry) kept_methods.push_back(*entry);
  kept_methods.push_back({});
  slots.push_back({Py_tp_getset, kept_getset.data()});
  slots.push_back({Py_tp_methods, kept_methods.data()});
  slots.push_back({0, nullptr});

  PyType_Spec spec = {"versant.Tensor", sizeof(Tensor), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots.data()};
  tensor_type = add_type(module, &spec);
  if (!tensor_type) return false;
  tensor_hooks.exact_type = tensor_type;
  tensor_hooks.dealloc = [](Tensor* tensor) { _Py_Dealloc(as_object(tensor)); };
  return true;
}

}  // namespace versant::face
