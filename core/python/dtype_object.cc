// versant.float32 and its siblings, versant.device, versant.Size.
#include <cstring>

#include "face.h"
#include "machine/promote.h"

namespace versant::face {

namespace {

struct DTypeObject {
  PyObject_HEAD DType dtype;
};
struct DeviceObject {
  PyObject_HEAD
};

PyTypeObject* dtype_type = nullptr;
PyTypeObject* device_type = nullptr;
PyTypeObject* size_type = nullptr;
PyObject* dtype_objects[kDTypeCount] = {};
PyObject* cpu = nullptr;

DType value(PyObject* self) { return reinterpret_cast<DTypeObject*>(self)->dtype; }

PyObject* dtype_repr(PyObject* self) { return PyUnicode_FromFormat("versant.%s", name(value(self)).data()); }
PyObject* dtype_name(PyObject* self, void*) { return PyUnicode_FromString(name(value(self)).data()); }
PyObject* dtype_itemsize(PyObject* self, void*) { return PyLong_FromSize_t(itemsize(value(self))); }
PyObject* dtype_floating(PyObject* self, void*) { return PyBool_FromLong(is_floating(value(self))); }
PyObject* dtype_signed(PyObject* self, void*) {
  return PyBool_FromLong(value(self) != DType::UInt8 && value(self) != DType::Bool);
}
PyObject* dtype_complex(PyObject* self, void*) { return PyBool_FromLong(is_complex(value(self))); }
PyObject* dtype_to_real(PyObject* self, PyObject*) {
  return Py_NewRef(dtype_object(real_dtype(value(self))));
}
PyObject* dtype_to_complex(PyObject* self, PyObject*) {
  return Py_NewRef(dtype_object(complex_dtype(value(self))));
}
PyObject* dtype_reduce(PyObject* self, PyObject*) { return PyUnicode_FromString(name(value(self)).data()); }

PyGetSetDef dtype_getset[] = {
    {"name", dtype_name, nullptr, "The name without the module, such as 'float32'.", nullptr},
    {"itemsize", dtype_itemsize, nullptr, "Bytes of one element.", nullptr},
    {"is_floating_point", dtype_floating, nullptr, "Whether elements are floating-point numbers.", nullptr},
    {"is_signed", dtype_signed, nullptr, "Whether elements may be negative.", nullptr},
    {"is_complex", dtype_complex, nullptr, "Whether elements are complex numbers.", nullptr},
    {},
};
PyMethodDef dtype_methods[] = {
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {"to_real", dtype_to_real, METH_NOARGS, "The dtype of the real and imaginary parts."},
    {"to_complex", dtype_to_complex, METH_NOARGS, "The complex dtype with parts of this dtype."},
    {},
};
PyType_Slot dtype_slots[] = {
    {Py_tp_doc, const_cast<char*>("The element type of a tensor.")},
    {Py_tp_repr, reinterpret_cast<void*>(dtype_repr)},
    {Py_tp_getset, dtype_getset},
    {Py_tp_methods, dtype_methods},
    {0, nullptr},
};
PyType_Spec dtype_spec = {"versant.dtype", sizeof(DTypeObject), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, dtype_slots};

PyObject* device_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  const char* names[] = {"type", "index", nullptr};
  PyObject* type = nullptr;
  PyObject* index = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", const_cast<char**>(names), &type, &index))
    return nullptr;
  if (!is_cpu_device(type)) {
    PyErr_Format(PyExc_RuntimeError, "[device] this build runs on 'cpu', got %R", type);
    return nullptr;
  }
  Py_INCREF(cpu);
  return cpu;
}
PyObject* device_repr(PyObject*) { return PyUnicode_FromString("device(type='cpu')"); }
PyObject* device_str(PyObject*) { return PyUnicode_FromString("cpu"); }
PyObject* device_kind(PyObject*, void*) { return PyUnicode_FromString("cpu"); }
PyObject* device_index(PyObject*, void*) { Py_RETURN_NONE; }
PyObject* device_reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("(O(s))", reinterpret_cast<PyObject*>(Py_TYPE(self)), "cpu");
}
PyGetSetDef device_getset[] = {
    {"type", device_kind, nullptr, "The kind of device, 'cpu'.", nullptr},
    {"index", device_index, nullptr, "None: there is one.", nullptr},
    {},
};
PyMethodDef device_methods[] = {{"__reduce__", device_reduce, METH_NOARGS, nullptr}, {}};
PyType_Slot device_slots[] = {
    {Py_tp_doc, const_cast<char*>("Where a tensor lives: device('cpu').")},
    {Py_tp_new, reinterpret_cast<void*>(device_new)},
    {Py_tp_repr, reinterpret_cast<void*>(device_repr)},
    {Py_tp_str, reinterpret_cast<void*>(device_str)},
    {Py_tp_getset, device_getset},
    {Py_tp_methods, device_methods},
    {0, nullptr},
};
PyType_Spec device_spec = {"versant.device", sizeof(DeviceObject), 0, Py_TPFLAGS_DEFAULT, device_slots};

PyObject* size_repr(PyObject* self) {
  Object list(PySequence_List(self));
  return list ? PyUnicode_FromFormat("versant.Size(%R)", list.get()) : nullptr;
}
PyObject* size_numel(PyObject* self, PyObject*) {
  int64_t numel = 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    const int64_t size = PyLong_AsLongLong(PyTuple_GET_ITEM(self, i));
    if (size == -1 && PyErr_Occurred()) return nullptr;
    numel *= size;
  }
  return PyLong_FromLongLong(numel);
}

// A Size with the items of `tuple`, which it takes over; null passes.
PyObject* as_size(PyObject* tuple) {
  if (!tuple) return nullptr;
  const Object owner(tuple);
  PyObject* size = size_type->tp_alloc(size_type, PyTuple_GET_SIZE(tuple));
  for (Py_ssize_t i = 0; size && i < PyTuple_GET_SIZE(tuple); ++i)
    PyTuple_SET_ITEM(size, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
  return size;
}

// Size(iterable of ints)
PyObject* size_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  Object self(PyTuple_Type.tp_new(type, args, kwargs));
  for (Py_ssize_t i = 0; self && i < PyTuple_GET_SIZE(self.get()); ++i) {
    PyObject* item = PyTuple_GET_ITEM(self.get(), i);
    if (PyLong_CheckExact(item)) continue;
    PyObject* index = PyIndex_Check(item) ? PyNumber_Index(item) : nullptr;
    if (!index)
      return PyErr_Format(PyExc_TypeError, "[Size] expected ints, got %s at place %zd",
                          Py_TYPE(item)->tp_name, i);
    PyTuple_SET_ITEM(self.get(), i, index);
    Py_DECREF(item);
  }
  return self.release();
}

// Slices, sums and multiples of a Size are Sizes.
PyObject* size_subscript(PyObject* self, PyObject* key) {
  PyObject* result = PyTuple_Type.tp_as_mapping->mp_subscript(self, key);
  return PySlice_Check(key) ? as_size(result) : result;
}
PyObject* size_add(PyObject* left, PyObject* right) {
  if (!PyTuple_Check(left) || !PyTuple_Check(right)) Py_RETURN_NOTIMPLEMENTED;
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(left, right));
}
PyObject* size_repeat(PyObject* self, Py_ssize_t times) {
  return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(self, times));
}

PyMethodDef size_methods[] = {{"numel", size_numel, METH_NOARGS, "The number of elements of this shape."},
                              {}};
PyType_Slot size_slots[] = {
    {Py_tp_doc, const_cast<char*>("The shape of a tensor: a tuple of ints.")},
    {Py_tp_repr, reinterpret_cast<void*>(size_repr)},
    {Py_tp_methods, size_methods},
    {Py_tp_new, reinterpret_cast<void*>(size_new)},
    {Py_mp_subscript, reinterpret_cast<void*>(size_subscript)},
    {Py_nb_add, reinterpret_cast<void*>(size_add)},
    {Py_sq_repeat, reinterpret_cast<void*>(size_repeat)},
    {0, nullptr},
};
PyType_Spec size_spec = {"versant.Size", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, size_slots};

}  // namespace

PyTypeObject* add_type(PyObject* module, PyType_Spec* spec, PyObject* base) {
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpecWithBases(spec, base));
  if (!type) return nullptr;
  const char* dot = std::strrchr(spec->name, '.');
  if (PyModule_AddObjectRef(module, dot + 1, reinterpret_cast<PyObject*>(type)) < 0) return nullptr;
  return type;
}

bool init_dtypes(PyObject* module) {
  dtype_type = add_type(module, &dtype_spec);
  device_type = add_type(module, &device_spec);
  size_type = add_type(module, &size_spec, reinterpret_cast<PyObject*>(&PyTuple_Type));
  if (!dtype_type || !device_type || !size_type) return false;
  for (const DTypeInfo& entry : kDTypes) {
    auto* object = PyObject_New(DTypeObject, dtype_type);
    if (!object) return false;
    object->dtype = entry.dtype;
    dtype_objects[static_cast<int>(entry.dtype)] = reinterpret_cast<PyObject*>(object);
    if (PyModule_AddObjectRef(module, entry.name.data(), reinterpret_cast<PyObject*>(object)) < 0)
      return false;
  }
  cpu = reinterpret_cast<PyObject*>(PyObject_New(DeviceObject, device_type));
  return cpu && PyModule_AddObjectRef(module, "cpu", cpu) == 0;
}

PyObject* dtype_object(DType dtype) { return dtype_objects[static_cast<int>(dtype)]; }

std::optional<DType> dtype_of(PyObject* object) {
  if (Py_TYPE(object) == dtype_type) return value(object);
  if (object == reinterpret_cast<PyObject*>(&PyComplex_Type)) return DType::Complex128;
  if (object == reinterpret_cast<PyObject*>(&PyFloat_Type)) return DType::Float64;
  if (object == reinterpret_cast<PyObject*>(&PyLong_Type)) return DType::Int64;
  if (object == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::Bool;
  return std::nullopt;
}

DType expect_dtype(PyObject* object, const char* op) {
  if (auto dtype = dtype_of(object)) return *dtype;
  fail(ErrorKind::Type, "[", op, "] expected a dtype such as versant.float32, got ",
       Py_TYPE(object)->tp_name);
}

PyObject* cpu_device() { return cpu; }

bool is_cpu_device(PyObject* object) {
  if (object == Py_None || object == cpu) return true;
  if (!PyUnicode_Check(object)) return false;
  return PyUnicode_CompareWithASCIIString(object, "cpu") == 0 ||
         PyUnicode_CompareWithASCIIString(object, "cpu:0") == 0;
}

PyObject* make_size(const Dims& dims) {
  PyObject* size = size_type->tp_alloc(size_type, dims.size());
  if (!size) return nullptr;
  for (int d = 0; d < dims.size(); ++d) {
    PyObject* item = PyLong_FromLongLong(dims[d]);
    if (!item) {
      Py_DECREF(size);
      return nullptr;
    }
    PyTuple_SET_ITEM(size, d, item);
  }
  return size;
}

}  // namespace versant::face
