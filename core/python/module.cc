// The extension module versant._core.
#include "face.h"
#include "machine/cpu.h"
#include "machine/kernels.h"
#include "machine/lock.h"
#include "machine/memory.h"
#include "machine/parallel.h"
#include "machine/version.h"
#include "watch.h"

namespace versant::face {

extern PyMethodDef tensor_backward_method;
extern PyMethodDef machine_code_functions[];  // machine_code.cc

namespace {

PyObject* memory_stats(PyObject*, PyObject*) {
  const memory::Stats& s = memory::stats();
  return Py_BuildValue("{s:L,s:L,s:L,s:L,s:L,s:L,s:n}", "live_bytes", s.live_bytes, "peak_bytes",
                       s.peak_bytes, "cached_bytes", s.cached_bytes, "system_bytes", s.system_bytes,
                       "system_calls", s.system_calls, "allocations", s.allocations, "object_bytes",
                       static_cast<Py_ssize_t>(pool::reserved_bytes()));
}
PyObject* reset_peak(PyObject*, PyObject*) {
  memory::reset_peak();
  Py_RETURN_NONE;
}
PyObject* release_cached(PyObject*, PyObject*) {
  memory::release_cached();
  Py_RETURN_NONE;
}
PyObject* get_threads(PyObject*, PyObject*) { return PyLong_FromLong(num_threads()); }
PyObject* set_threads(PyObject*, PyObject* count) {
  return guarded([&]() -> PyObject* {
    set_num_threads(static_cast<int>(to_int(count, "set_num_threads", "the number of threads")));
    Py_RETURN_NONE;
  });
}
PyObject* instruction_set(PyObject*, PyObject*) { return PyUnicode_FromString(kernels->isa); }
PyObject* instruction_sets(PyObject*, PyObject*) {
  const std::vector<std::string_view> names = supported_isas();
  Object list(PyList_New(0));
  for (const std::string_view name : names) {
    Object text(PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
    if (!list || !text || PyList_Append(list.get(), text.get()) < 0) return nullptr;
  }
  return list.release();
}
PyObject* use_instruction_set(PyObject*, PyObject* name) {
  const char* text = PyUnicode_AsUTF8(name);
  if (!text) return nullptr;
  if (select_isa(text)) Py_RETURN_NONE;
  return PyErr_Format(PyExc_ValueError,
                      "[use_instruction_set] this processor runs no instruction set named %R", name);
}
PyMethodDef general_functions[] = {
    {"memory_stats", memory_stats, METH_NOARGS, "Counters of the allocator, in bytes."},
    {"reset_peak_memory", reset_peak, METH_NOARGS, "Sets the peak to what is held now."},
    {"release_cached_memory", release_cached, METH_NOARGS,
     "Gives cached blocks back to the operating system."},
    {"get_num_threads", get_threads, METH_NOARGS, "Threads that one op may use."},
    {"set_num_threads", set_threads, METH_O, "Sets the threads that one op may use."},
    {"instruction_set", instruction_set, METH_NOARGS, "The kernels in use: v2, v3 or v4."},
    {"instruction_sets", instruction_sets, METH_NOARGS, "The kernels that can be used, the best first."},
    {"use_instruction_set", use_instruction_set, METH_O, "Changes the kernels in use, for tests."},
    {},
};

// The bookkeeping lock is the interpreter's.
void* release_lock() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }
void acquire_lock(void* state) { PyEval_RestoreThread(static_cast<PyThreadState*>(state)); }

// x.backward() as a method: a C function bound through an instance method, which passes keywords without a
// dict.
bool add_backward(PyObject* module) {
  Object function(PyCFunction_NewEx(&tensor_backward_method, nullptr, nullptr));
  if (!function) return false;
  Object method(PyInstanceMethod_New(function.get()));
  return method &&
         PyObject_SetAttrString(reinterpret_cast<PyObject*>(tensor_type), "backward", method.get()) == 0 &&
         module;
}

int fill(PyObject* module) {
  if (!kernels) {  // a build of fewer instruction sets than the processor needs
    PyErr_SetString(PyExc_ImportError,
                    "[versant] this build has kernels for other processors only; build it with "
                    "VERSANT_KERNELS including v2 (the default has all)");
    return -1;
  }
  if (PyModule_AddStringConstant(module, "version", versant::version()) < 0 ||
      PyModule_AddStringConstant(module, "compiler", versant::compiler()) < 0 ||
      PyModule_AddStringConstant(module, "onednn_version", versant::onednn_version().c_str()) < 0)
    return -1;
  for (PyMethodDef* list :
       {general_functions,   convert_functions,   dlpack_functions,   op_functions,
        function_functions,  composite_functions, autograd_functions, optimizer_functions,
        trace_functions,     loop_functions,      record_functions,   program_functions,
        verifier_functions,  compiled_functions,  update_functions,   autocast_functions,
        saving_functions,    watch_functions,     profile_functions,  recorder_functions,
        selective_functions, transform_functions, dialect_functions,  machine_code_functions,
        ran_functions})
    if (PyModule_AddFunctions(module, list) < 0) return -1;
  lock_hooks = {release_lock, acquire_lock};
  const bool ready = init_errors(module) && init_dtypes(module) && init_tensor_type(module) &&
                     add_backward(module) && init_ops(module) && init_functions(module) &&
                     init_composites(module) && init_autograd(module) && init_hooks(module) &&
                     init_custom_function(module) && init_generator(module) && init_frames(module) &&
                     init_module_call(module) && init_watch(module) && init_scopes(module) && init_traces() &&
                     init_compiled(module) && init_dialect(module) && init_tape(module);
  return ready ? 0 : -1;
}

PyModuleDef_Slot slots[] = {{Py_mod_exec, reinterpret_cast<void*>(fill)}, {0, nullptr}};
PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "versant._core",
    .m_doc = "The machine.",
    .m_slots = slots,
};

}  // namespace

}  // namespace versant::face

PyMODINIT_FUNC PyInit__core() { return PyModuleDef_Init(&versant::face::definition); }
