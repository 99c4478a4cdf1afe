// Generator: the state of random numbers.
#include "machine/random.h"

#include "face.h"

namespace versant::face {

namespace {

struct GeneratorObject {
  PyObject_HEAD Generator own;
  Generator* generator;  // `own`, or the machine's default one
};
PyTypeObject* generator_type = nullptr;

Generator& state(PyObject* self) { return *reinterpret_cast<GeneratorObject*>(self)->generator; }

// Seeds a generator, or restores its state.
void set(PyObject* self, Generator to) {
  Generator& generator = state(self);
  const Generator before = generator;
  generator = to;
  if (modes.tracing) trace::recorder->seeds(generator, before);
}

PyObject* generator_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  auto* object = reinterpret_cast<GeneratorObject*>(self);
  object->own = Generator{};
  object->generator = &object->own;
  if (modes.tracing) trace::recorder->seeds(object->own, object->own);
  return self;
}

PyObject* manual_seed(PyObject* self, PyObject* seed) {
  Object index(PyNumber_Index(seed));
  if (!index) return nullptr;
  const unsigned long long value = PyLong_AsUnsignedLongLongMask(index.get());
  if (PyErr_Occurred()) return nullptr;
  return guarded([&] {
    set(self, Generator{value, 0});
    return Py_NewRef(self);
  });
}
PyObject* initial_seed(PyObject* self, PyObject*) { return PyLong_FromUnsignedLongLong(state(self).seed); }
PyObject* get_offset(PyObject* self, PyObject*) {
  if (modes.tracing) trace::recorder->gives_state(state(self));
  return PyLong_FromUnsignedLongLong(state(self).offset);
}
PyObject* set_offset(PyObject* self, PyObject* value) {
  const unsigned long long offset = PyLong_AsUnsignedLongLong(value);
  if (PyErr_Occurred()) return nullptr;
  return guarded([&] {
    set(self, Generator{state(self).seed, offset});
    return Py_NewRef(self);
  });
}
// The state as a tensor of 16 bytes: seed and counter.
PyObject* get_state(PyObject* self, PyObject*) {
  return guarded([&] {
    TensorRef tensor = ops::empty(Dims{16}, DType::UInt8);
    auto* words = tensor->as<uint64_t>();
    words[0] = state(self).seed;
    words[1] = state(self).offset;
    if (modes.tracing) trace::recorder->gives_state(state(self));
    return wrap(std::move(tensor));
  });
}
PyObject* set_state(PyObject* self, PyObject* value) {
  return guarded([&] {
    if (!is_tensor(value) || as_tensor(value)->dtype != DType::UInt8 || as_tensor(value)->numel != 16)
      fail(ErrorKind::Type, "[set_state] expected the uint8 tensor of 16 elements that get_state() gives");
    const Array plain = as_tensor(value)->to_contiguous();
    set(self, Generator{plain.as<uint64_t>()[0], plain.as<uint64_t>()[1]});
    return Py_NewRef(self);
  });
}
PyObject* get_device(PyObject*, void*) { return Py_NewRef(cpu_device()); }

PyMethodDef methods[] = {
    {"manual_seed", manual_seed, METH_O,
     "manual_seed(seed): starts the stream of that seed; returns the generator."},
    {"initial_seed", initial_seed, METH_NOARGS, "The seed of the stream."},
    {"get_offset", get_offset, METH_NOARGS, "How many counter blocks were drawn."},
    {"set_offset", set_offset, METH_O, "Moves to a place in the stream."},
    {"get_state", get_state, METH_NOARGS, "Seed and place as a uint8 tensor."},
    {"set_state", set_state, METH_O, "Restores what get_state() gave."},
    {},
};
PyGetSetDef getset[] = {{"device", get_device, nullptr, "device('cpu').", nullptr}, {}};
PyType_Slot slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "Generator(): a stream of random numbers (Philox), a function of its seed and a counter.")},
    {Py_tp_new, reinterpret_cast<void*>(generator_new)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {0, nullptr},
};
PyType_Spec spec = {"versant.Generator", sizeof(GeneratorObject), 0, Py_TPFLAGS_DEFAULT, slots};

// A new reference to the object around a generator.
void* hold(Generator& generator) {
  auto* object = reinterpret_cast<char*>(&generator) - offsetof(GeneratorObject, own);
  return Py_NewRef(reinterpret_cast<PyObject*>(object));
}

}  // namespace

Generator* as_generator(PyObject* object) {
  return Py_TYPE(object) == generator_type ? &state(object) : nullptr;
}

bool init_generator(PyObject* module) {
  generator_type = add_type(module, &spec);
  if (!generator_type) return false;
  PyObject* standard = generator_new(generator_type, nullptr, nullptr);
  if (!standard) return false;
  reinterpret_cast<GeneratorObject*>(standard)->generator = &default_generator();
  trace::replay_hooks.hold = hold;
  return PyModule_AddObjectRef(module, "default_generator", standard) == 0;
}

}  // namespace versant::face
