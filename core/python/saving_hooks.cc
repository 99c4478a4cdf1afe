// Hooks on what the tape saves: autograd.graph.saved_tensors_hooks.
#include "face.h"
#include "machine/node.h"

namespace versant::face {

namespace {

// The hooks that are in force in this thread, a pair (pack, unpack); null for none.
thread_local PyObject* current = nullptr;

// While a hook runs, what it saves itself is not packed.
class Unhooked {
 public:
  Unhooked() : before_(modes.packs) { modes.packs = false; }
  ~Unhooked() { modes.packs = before_; }

 private:
  bool before_;
};

// A value in the hands of the host is a pair: the hook that gives it back, and what the other hook made.
void* pack(const Array& value) {
  const Unhooked unhooked;
  const Object hooks(Py_NewRef(current));
  const Object tensor(wrap(Tensor::make(Array(value))));
  const Object made = checked(PyObject_CallOneArg(PyTuple_GET_ITEM(hooks.get(), 0), tensor.get()));
  return checked(PyTuple_Pack(2, PyTuple_GET_ITEM(hooks.get(), 1), made.get())).release();
}

Array unpack(void* packed) {
  const Unhooked unhooked;
  const Object pair(Py_NewRef(static_cast<PyObject*>(packed)));
  const Object value =
      checked(PyObject_CallOneArg(PyTuple_GET_ITEM(pair.get(), 0), PyTuple_GET_ITEM(pair.get(), 1)));
  if (!is_tensor(value.get()))
    fail(ErrorKind::Type, "[saved_tensors_hooks] the unpack hook must return a Tensor, got ",
         Py_TYPE(value.get())->tp_name);
  return *as_tensor(value.get());
}

void release(void* packed) { Py_DECREF(static_cast<PyObject*>(packed)); }

PyObject* exchange_saving_hooks(PyObject*, PyObject* hooks) {
  if (hooks != Py_None && !(PyTuple_Check(hooks) && PyTuple_GET_SIZE(hooks) == 2)) {
    PyErr_SetString(PyExc_TypeError, "[saved_tensors_hooks] expected a pair of hooks or None");
    return nullptr;
  }
  saving_hooks = {pack, unpack, release};
  PyObject* const before = current ? current : Py_NewRef(Py_None);
  current = hooks == Py_None ? nullptr : Py_NewRef(hooks);
  modes.packs = current != nullptr;
  return before;
}

}  // namespace

PyMethodDef saving_functions[] = {
    {"exchange_saving_hooks", exchange_saving_hooks, METH_O,
     "Sets the pair (pack, unpack) through which saved values go, or None; returns the one before."},
    {},
};

}  // namespace versant::face
