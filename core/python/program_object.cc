// Saved programs as Python sees them.
#include <memory>

#include "face.h"
#include "machine/saved/program.h"

namespace versant::face {

namespace {

constexpr const char* kProgram = "versant.program";

saved::Program& program_of(PyObject* capsule) {
  auto* program = static_cast<saved::Program*>(PyCapsule_GetPointer(capsule, kProgram));
  if (!program) throw HostError{};
  return *program;
}

std::string text_of(PyObject* object) {
  Py_ssize_t size;
  const char* const text = PyUnicode_AsUTF8AndSize(object, &size);
  if (!text) throw HostError{};
  return {text, static_cast<size_t>(size)};
}

std::vector<std::string> texts_of(PyObject* list) {
  const Object items(checked(PySequence_Fast(list, "[save] expected a list of texts")));
  std::vector<std::string> texts;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i)
    texts.push_back(text_of(PySequence_Fast_GET_ITEM(items.get(), i)));
  return texts;
}

Object list_of_texts(const std::vector<std::string>& texts) {
  Object list(checked(PyList_New(0)));
  for (const std::string& text : texts) {
    // Files may hold anything.
    const Object item(
        checked(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace")));
    if (PyList_Append(list.get(), item.get()) < 0) throw HostError{};
  }
  return list;
}

std::vector<saved::NamedTensor> named_of(PyObject* list) {
  std::vector<saved::NamedTensor> named;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
    PyObject *name, *tensor;
    if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "UO", &name, &tensor)) throw HostError{};
    if (!is_tensor(tensor)) fail(ErrorKind::Type, "[save] expected a tensor, got ", Py_TYPE(tensor)->tp_name);
    named.push_back({text_of(name), TensorRef(as_tensor(tensor))});
  }
  return named;
}

// One argument of the step of an optimizer: None, a number, or a list of tensors.
Value value_of(PyObject* object, std::vector<TensorRef>& list) {
  Value value;
  if (object == Py_None) return value;
  if (PyList_Check(object)) {
    value.kind = Value::Kind::Tensors;
    for (Tensor* tensor : tensors_of(object)) list.push_back(TensorRef(tensor));
    return value;
  }
  if (!to_scalar(object, &value.scalar))
    fail(ErrorKind::Type, "[save] expected a number or tensors, got ", Py_TYPE(object)->tp_name);
  value.kind = value.scalar.kind == Scalar::Kind::Bool  ? Value::Kind::Bool
               : value.scalar.kind == Scalar::Kind::Int ? Value::Kind::Int
                                                        : Value::Kind::Float;
  return value;
}

// From [{number of a host object: [(function, arguments, counter, count)]}], by branch.
saved::Updates updates_of(PyObject* by_branch, size_t branch) {
  saved::Updates updates;
  if (branch >= static_cast<size_t>(PyList_GET_SIZE(by_branch))) return updates;
  PyObject *number, *list;
  Py_ssize_t at = 0;
  while (PyDict_Next(PyList_GET_ITEM(by_branch, static_cast<Py_ssize_t>(branch)), &at, &number, &list)) {
    std::vector<saved::UpdateAgain>& made = updates[static_cast<int>(PyLong_AsLong(number))];
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
      const char* name;
      PyObject *arguments, *count;
      saved::UpdateAgain& update = made.emplace_back();
      if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "sO!iO", &name, &PyTuple_Type, &arguments,
                            &update.counter, &count))
        throw HostError{};
      update.function = saved::find_update(name);
      if (!update.function) fail(ErrorKind::Value, "[save] there is no update '", name, "'");
      for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(arguments); ++k)
        update.values.push_back(value_of(PyTuple_GET_ITEM(arguments, k), update.lists.emplace_back()));
      if (update.counter >= 0) update.count = TensorRef(as_tensor(count));
    }
  }
  return updates;
}

PyObject* program_bytes(PyObject*, PyObject* args) {
  PyObject *entries, *tensors, *known;
  if (!PyArg_ParseTuple(args, "O!O!O!", &PyList_Type, &entries, &PyList_Type, &tensors, &PyList_Type, &known))
    return nullptr;
  return guarded([&]() -> PyObject* {
    saved::Contents contents;
    contents.tables.tensors = named_of(tensors);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(entries); ++i) {
      PyObject *branches, *structure, *names, *results, *updates;
      if (!PyArg_ParseTuple(PyList_GET_ITEM(entries, i), "OUOOO!", &branches, &structure, &names, &results,
                            &PyList_Type, &updates))
        throw HostError{};
      saved::Entry& entry = contents.entries.emplace_back();
      entry.structure = text_of(structure);
      entry.names = texts_of(names);
      entry.results = texts_of(results);
      const trace::Branches& from = branches_of(branches);
      for (size_t b = 0; b < from.size(); ++b)
        entry.traces.push_back(
            saved::savable(from.plan(static_cast<int>(b)).trace(), updates_of(updates, b)));
    }
    const std::string bytes = saved::write(contents, named_of(known));
    return PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
  });
}

// The objects that a branch keeps for its steps, by number.
PyObject* trace_hosts(PyObject*, PyObject* args) {
  return guarded([&]() -> PyObject* {
    const trace::Plan& plan = plan_of(args);
    Object list(checked(PyList_New(0)));
    for (void* host : plan.trace().hosts)
      if (PyList_Append(list.get(), static_cast<PyObject*>(host)) < 0) throw HostError{};
    return list.release();
  });
}

PyObject* program_read(PyObject*, PyObject* bytes) {
  Py_buffer view;
  if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0) return nullptr;
  PyObject* made = guarded([&]() -> PyObject* {
    auto program = std::make_unique<saved::Program>(
        saved::read({static_cast<const char*>(view.buf), static_cast<size_t>(view.len)}));
    PyObject* capsule = PyCapsule_New(program.get(), kProgram, [](PyObject* object) {
      delete static_cast<saved::Program*>(PyCapsule_GetPointer(object, kProgram));
    });
    if (capsule) program.release();
    return capsule;
  });
  PyBuffer_Release(&view);
  return made;
}

PyObject* program_again(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    const std::string bytes = program_of(capsule).bytes();
    return PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
  });
}

// [(name, dtype, shape, layout)] of arrays; layout: whether row-major, and whether runs change it.
Object described(const saved::Program& program, size_t e) {
  Object list(checked(PyList_New(0)));
  const std::vector<Array>& inputs = program.inputs(e);
  const Object names = list_of_texts(program.entry(e).names);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Array& array = inputs[i];
    const bool plain = array.contiguous && !array.data;
    const Object row(checked(Py_BuildValue(
        "OONOO", PyList_GET_ITEM(names.get(), static_cast<Py_ssize_t>(i)), dtype_object(array.dtype),
        make_size(array.sizes), plain ? Py_True : Py_False, program.writes(e, i) ? Py_True : Py_False)));
    if (PyList_Append(list.get(), row.get()) < 0) throw HostError{};
  }
  return list;
}

PyObject* program_entries(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    const saved::Program& program = program_of(capsule);
    Object list(checked(PyList_New(0)));
    for (size_t e = 0; e < program.size(); ++e) {
      const saved::Entry& entry = program.entry(e);
      Object outputs(checked(PyList_New(0)));
      for (size_t b = 0; b < entry.results.size(); ++b) {
        Object branch(checked(PyList_New(0)));
        for (const trace::Window& window : program.trace(e, b).results) {
          const Object row(
              checked(Py_BuildValue("ON", dtype_object(window.array.dtype), make_size(window.array.sizes))));
          if (PyList_Append(branch.get(), row.get()) < 0) throw HostError{};
        }
        if (PyList_Append(outputs.get(), branch.get()) < 0) throw HostError{};
      }
      const Object structure = list_of_texts({entry.structure}), results = list_of_texts(entry.results);
      const Object row(checked(Py_BuildValue("OOOO", PyList_GET_ITEM(structure.get(), 0), results.get(),
                                             described(program, e).get(), outputs.get())));
      if (PyList_Append(list.get(), row.get()) < 0) throw HostError{};
    }
    return list.release();
  });
}

PyObject* program_tensors(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    Object list(checked(PyList_New(0)));
    for (const saved::NamedTensor& named : program_of(capsule).tensors()) {
      const Object names = list_of_texts({named.name});
      const Object row(
          checked(Py_BuildValue("ON", PyList_GET_ITEM(names.get(), 0), wrap(TensorRef(named.tensor)))));
      if (PyList_Append(list.get(), row.get()) < 0) throw HostError{};
    }
    return list.release();
  });
}

// A copy of a tensor that lies in memory as input i of an entry has to.
PyObject* program_input(PyObject*, PyObject* args) {
  PyObject *capsule, *tensor;
  Py_ssize_t entry, input;
  if (!PyArg_ParseTuple(args, "OnnO!", &capsule, &entry, &input, tensor_type, &tensor)) return nullptr;
  return guarded([&]() -> PyObject* {
    const saved::Program& program = program_of(capsule);
    if (entry < 0 || static_cast<size_t>(entry) >= program.size() || input < 0 ||
        static_cast<size_t>(input) >= program.inputs(static_cast<size_t>(entry)).size())
      fail(ErrorKind::Index, "[program] there is no input ", input, " of entry ", entry);
    return wrap(Tensor::make(
        program.laid_out(static_cast<size_t>(entry), static_cast<size_t>(input), *as_tensor(tensor))));
  });
}

// Calls body(program, entry, tensors) with what Python gave.
template <typename Body>
PyObject* with_arguments(PyObject* args, Body&& body) {
  PyObject *capsule, *list;
  Py_ssize_t entry;
  if (!PyArg_ParseTuple(args, "OnO", &capsule, &entry, &list)) return nullptr;
  return guarded([&]() -> PyObject* {
    const saved::Program& program = program_of(capsule);
    if (entry < 0 || static_cast<size_t>(entry) >= program.size())
      fail(ErrorKind::Index, "[program] there is no entry ", entry);
    return body(program, static_cast<size_t>(entry), tensors_of(list));
  });
}

PyObject* program_difference(PyObject*, PyObject* args) {
  return with_arguments(args, [](const saved::Program& program, size_t entry, const auto& tensors) {
    return PyUnicode_FromString(program.difference(entry, tensors).c_str());
  });
}

PyObject* program_run(PyObject*, PyObject* args) {
  return with_arguments(args, [](const saved::Program& program, size_t entry, const auto& tensors) {
    std::vector<TensorRef> results;
    const int branch = program.run(entry, tensors, results);
    return run_result(branch, results);
  });
}

}  // namespace

PyMethodDef program_functions[] = {
    {"program_bytes", program_bytes, METH_VARARGS,
     "program_bytes([(branches, structure, input names, [result], [updates])], tensors, known tensors): the "
     "bytes of a file. The first tensors are part of it, the second give names to those that are."},
    {"trace_hosts", trace_hosts, METH_VARARGS,
     "trace_hosts(branches, branch): the objects that its steps call, by number."},
    {"program_read", program_read, METH_O, "program_read(bytes): the program that a file holds."},
    {"program_again", program_again, METH_O,
     "program_again(program): the bytes of a file, with its state of now."},
    {"program_entries", program_entries, METH_O,
     "program_entries(program): [(structure, [result], [(name, dtype, shape, row-major, changed)], [[(dtype, "
     "shape)]])]."},
    {"program_tensors", program_tensors, METH_O, "program_tensors(program): [(name, tensor)], its state."},
    {"program_input", program_input, METH_VARARGS,
     "program_input(program, entry, input, tensor): a copy that lies as the input has to."},
    {"program_difference", program_difference, METH_VARARGS,
     "program_difference(program, entry, tensors): why they do not fit, or an empty text."},
    {"program_run", program_run, METH_VARARGS, "program_run(program, entry, tensors): (branch, results)."},
    {},
};

}  // namespace versant::face
