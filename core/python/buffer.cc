// Sharing memory with other libraries: the buffer protocol both ways, and DLPack both ways.
#include <cstring>
#include <memory>

#include "dlpack.h"
#include "face.h"
#include "machine/trace.h"
#include "machine/transforms/levels.h"

namespace versant::face {

namespace {

// --- buffer protocol: out
// -------------------------------------------------------------------------------------------------

const char* format_of(DType dtype) {
  switch (dtype) {
    case DType::Bool:
      return "?";
    case DType::UInt8:
      return "B";
    case DType::Int8:
      return "b";
    case DType::Int16:
      return "h";
    case DType::Int32:
      return "i";
    case DType::Int64:
      return "q";
    case DType::Float16:
      return "e";
    case DType::Float32:
      return "f";
    case DType::Float64:
      return "d";
    case DType::Complex64:
      return "Zf";
    case DType::Complex128:
      return "Zd";
    case DType::BFloat16:
      break;
  }
  return nullptr;
}

// What an exported buffer needs for as long as it lives: the tensor may meanwhile be given other memory.
struct Export {
  Ref<Storage> storage;
  std::vector<Py_ssize_t> geometry;  // sizes, then strides in bytes
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  Tensor* tensor = as_tensor(self);
  view->obj = nullptr;
  const auto check = [&] {
    transforms::check_readable(*tensor, "buffer");
    if (modes.tracing) [[unlikely]]
      trace::recorder->gives_away(*tensor);
    return 0;
  };
  if (guarded(check, -1) < 0) return -1;
  const char* format = format_of(tensor->dtype);
  const char* problem = nullptr;
  if (!format)
    problem = "[buffer] bfloat16 has no buffer format; convert with .float() first";
  else if (needs_grad(*tensor))
    problem = "[buffer] the tensor requires grad; use tensor.detach()";
  else if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && tensor->storage->read_only)
    problem = "[buffer] the tensor's memory is read-only";
  const bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  const bool in_rows = !strided || (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
                       (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS;
  if (!problem && in_rows && !tensor->contiguous)
    problem = "[buffer] the tensor is not contiguous";
  else if (!problem && (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && tensor->rank() > 1)
    problem = "[buffer] the tensor lies in memory row by row, not column by column";
  view->obj = nullptr;
  if (problem) {
    PyErr_SetString(PyExc_BufferError, problem);
    return -1;
  }
  const auto item = static_cast<Py_ssize_t>(itemsize(tensor->dtype));
  auto kept = std::make_unique<Export>();
  kept->storage = tensor->storage;
  for (const int64_t size : tensor->sizes) kept->geometry.push_back(size);
  for (const int64_t stride : tensor->strides) kept->geometry.push_back(stride * item);
  kept->geometry.push_back(0);
  view->buf = tensor->data;
  view->obj = Py_NewRef(self);
  view->len = tensor->bytes();
  view->itemsize = item;
  view->readonly = tensor->storage->read_only;
  view->ndim = tensor->rank();
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? kept->geometry.data() : nullptr;
  view->strides = strided ? kept->geometry.data() + tensor->rank() : nullptr;
  view->suboffsets = nullptr;
  view->internal = kept.release();
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Export*>(view->internal); }

// --- buffer protocol: in
// --------------------------------------------------------------------------------------------------

std::optional<DType> dtype_of_format(const char* format, Py_ssize_t itemsize) {
  if (!format) return DType::UInt8;
  char code = *format;
  if (code == '@' || code == '=' || code == '<') code = *++format;
  if (code == '>' || code == '!')
    fail(ErrorKind::Value,
         "[from_numpy] big-endian arrays are not supported; use array.astype(array.dtype.newbyteorder('='))");
  if (code == 'Z' && format[1] != '\0' && format[2] == '\0')
    return format[1] == 'f'   ? std::optional(DType::Complex64)
           : format[1] == 'd' ? std::optional(DType::Complex128)
                              : std::nullopt;
  if (code == '\0' || format[1] != '\0') return std::nullopt;
  switch (code) {
    case '?':
      return DType::Bool;
    case 'e':
      return DType::Float16;
    case 'f':
      return DType::Float32;
    case 'd':
      return DType::Float64;
    case 'B':
      return DType::UInt8;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
      return itemsize == 1   ? DType::Int8
             : itemsize == 2 ? DType::Int16
             : itemsize == 4 ? DType::Int32
                             : DType::Int64;
  }
  return std::nullopt;
}

void release_view(void* owner) {
  auto* view = static_cast<Py_buffer*>(owner);
  PyBuffer_Release(view);
  delete view;
}

}  // namespace

PyBufferProcs tensor_buffer = {get_buffer, release_buffer};

namespace {

TensorRef over_buffer(PyObject* object, Sharing sharing) {
  auto view = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(object, view.get(), PyBUF_RECORDS) < 0) {
    PyErr_Clear();
    if (PyObject_GetBuffer(object, view.get(), PyBUF_RECORDS_RO) < 0) throw HostError{};
  }
  struct Releaser {
    Py_buffer* view;
    ~Releaser() {
      if (view) PyBuffer_Release(view);
    }
  } releaser{view.get()};
  const std::optional<DType> dtype = dtype_of_format(view->format, view->itemsize);
  if (!dtype || static_cast<Py_ssize_t>(itemsize(*dtype)) != view->itemsize)
    fail(ErrorKind::Type, "[from_numpy] can't convert an array of format '", view->format ? view->format : "",
         "'; supported are bool, uint8, int8, int16, int32, int64, float16, float32, "
         "float64, complex64 and complex128");
  const int64_t item = view->itemsize;
  Array array;
  array.dtype = *dtype;
  // An exporter may leave the shape of one axis and the strides of rows out.
  if (view->shape)
    array.sizes = Dims(std::span<const Py_ssize_t>(view->shape, view->ndim));
  else if (view->ndim > 0)
    array.sizes = Dims{view->len / item};
  array.numel = checked_numel(array.sizes, item);
  array.strides = contiguous_strides(array.sizes);
  const char* obstacle = nullptr;
  int64_t reach = array.numel ? 1 : 0;
  for (int d = 0; array.numel && d < view->ndim; ++d) {
    if (array.sizes[d] == 1) continue;
    if (!view->strides) {
      reach += (array.sizes[d] - 1) * array.strides[d];
      continue;
    }
    if (view->strides[d] < 0)
      obstacle = "at least one stride of the array is negative, which tensors do not have";
    else if (view->strides[d] % item != 0)
      obstacle = "a stride of the array is no multiple of its element size";
    array.strides[d] = view->strides[d] / item;
    reach += (array.sizes[d] - 1) * array.strides[d];
  }
  if (array.numel && !obstacle && reinterpret_cast<uintptr_t>(view->buf) % alignment(*dtype) != 0)
    obstacle = "the array is not aligned to its element size";
  if (obstacle) {
    if (sharing == Sharing::Required) fail(ErrorKind::Value, "[from_numpy] ", obstacle, "; use array.copy()");
    TensorRef packed = ops::empty(array.sizes, array.dtype);
    if (PyBuffer_ToContiguous(packed->data, view.get(), view->len, 'C') < 0) throw HostError{};
    return packed;
  }
  array.data = view->buf;
  array.contiguous = is_contiguous(array.sizes, array.strides);
  array.storage = Storage::wrap(view->buf, reach * item, release_view, view.get());
  array.storage->read_only = view->readonly;
  releaser.view = nullptr;
  view.release();
  return Tensor::make(std::move(array));
}

}  // namespace

TensorRef tensor_from_buffer(PyObject* object, Sharing sharing) {
  TensorRef made = over_buffer(object, sharing);
  if (modes.tracing) [[unlikely]]
    take_array(object, *made);
  return made;
}

namespace {

// --- DLPack
// -----------------------------------------------------------------------------------------------------------------

// A tensor on its way out, in the form of DLPack 1 or of the versions before it.
template <typename Managed>
struct Exported {
  Managed managed{};
  Array array;
  std::vector<int64_t> geometry;
};

template <typename Managed>
constexpr bool kHasVersion = std::is_same_v<Managed, DLManagedTensorVersioned>;
template <typename Managed>
constexpr const char* kFresh = kHasVersion<Managed> ? "dltensor_versioned" : "dltensor";
template <typename Managed>
constexpr const char* kUsed = kHasVersion<Managed> ? "used_dltensor_versioned" : "used_dltensor";

DLDataType dlpack_dtype(DType dtype) {
  const auto bits = static_cast<uint8_t>(itemsize(dtype) * 8);
  switch (dtype) {
    case DType::Bool:
      return {kDLBool, 8, 1};
    case DType::UInt8:
      return {kDLUInt, 8, 1};
    case DType::BFloat16:
      return {kDLBfloat, 16, 1};
    default:
      return {static_cast<uint8_t>(is_complex(dtype)    ? kDLComplex
                                   : is_floating(dtype) ? kDLFloat
                                                        : kDLInt),
              bits, 1};
  }
}

std::optional<DType> from_dlpack_dtype(DLDataType type) {
  for (const DTypeInfo& entry : kDTypes) {
    const DLDataType ours = dlpack_dtype(entry.dtype);
    if (ours.code == type.code && ours.bits == type.bits && type.lanes == 1) return entry.dtype;
  }
  return std::nullopt;
}

template <typename Managed>
void capsule_destructor(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, kFresh<Managed>)) return;
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kFresh<Managed>));
  if (managed && managed->deleter) managed->deleter(managed);
}

template <typename Managed>
PyObject* export_dlpack(const Tensor& tensor) {
  auto exported = std::make_unique<Exported<Managed>>();
  exported->array = tensor;
  exported->geometry.assign(tensor.sizes.begin(), tensor.sizes.end());
  exported->geometry.insert(exported->geometry.end(), tensor.strides.begin(), tensor.strides.end());
  DLTensor& dl = exported->managed.dl_tensor;
  dl.data = tensor.data;
  dl.device = {kDLCPU, 0};
  dl.ndim = tensor.rank();
  dl.dtype = dlpack_dtype(tensor.dtype);
  dl.shape = exported->geometry.data();
  dl.strides = exported->geometry.data() + tensor.rank();
  dl.byte_offset = 0;
  if constexpr (kHasVersion<Managed>) {
    exported->managed.version = {1, 0};
    exported->managed.flags = tensor.storage->read_only ? kDLReadOnly : 0;
  }
  exported->managed.manager_ctx = exported.get();
  exported->managed.deleter = [](Managed* self) {
    const PyGILState_STATE state = PyGILState_Ensure();
    delete static_cast<Exported<Managed>*>(self->manager_ctx);
    PyGILState_Release(state);
  };
  Object capsule = checked(PyCapsule_New(&exported->managed, kFresh<Managed>, capsule_destructor<Managed>));
  exported.release();
  return capsule.release();
}

// to_dlpack(tensor, versioned): only DLPack from version 1 on can say that memory is read-only.
PyObject* to_dlpack(PyObject*, PyObject* args) {
  PyObject* object;
  int versioned = 0;
  if (!PyArg_ParseTuple(args, "O|p", &object, &versioned)) return nullptr;
  return guarded([&]() -> PyObject* {
    if (!is_tensor(object))
      fail(ErrorKind::Type, "[to_dlpack] expected a tensor, got ", Py_TYPE(object)->tp_name);
    const Tensor& tensor = *as_tensor(object);
    transforms::check_readable(tensor, "to_dlpack");
    if (modes.tracing) [[unlikely]]
      trace::recorder->gives_away(tensor);
    if (tensor.node)
      PyErr_SetString(PyExc_BufferError,
                      "[to_dlpack] can't export tensors that require gradient, use tensor.detach()");
    else if (tensor.storage->read_only && !versioned)
      PyErr_SetString(PyExc_BufferError, "[to_dlpack] the tensor's memory is read-only");
    if (PyErr_Occurred()) throw HostError{};
    return versioned ? export_dlpack<DLManagedTensorVersioned>(tensor)
                     : export_dlpack<DLManagedTensor>(tensor);
  });
}

// What a DLTensor describes, without its memory's owner.
Array describe(const DLTensor& dl) {
  if (dl.device.device_type != kDLCPU)
    fail(ErrorKind::Runtime, "[from_dlpack] only memory of the CPU can be shared");
  const std::optional<DType> dtype = from_dlpack_dtype(dl.dtype);
  if (!dtype)
    fail(ErrorKind::Type, "[from_dlpack] unsupported element type (code ", int{dl.dtype.code}, ", ",
         int{dl.dtype.bits}, " bits)");
  if (dl.ndim < 0 || dl.ndim > kMaxRank)
    fail(ErrorKind::Value, "[from_dlpack] ", dl.ndim, " dimensions are not supported");
  Array array;
  array.dtype = *dtype;
  array.sizes = Dims(std::span<const int64_t>(dl.shape, dl.ndim));
  array.numel = checked_numel(array.sizes, itemsize(*dtype));
  array.strides = contiguous_strides(array.sizes);
  if (dl.strides && array.numel)
    for (int d = 0; d < dl.ndim; ++d)
      if (array.sizes[d] != 1) array.strides[d] = dl.strides[d];
  for (const int64_t stride : array.strides)
    if (stride < 0)
      fail(ErrorKind::Value, "[from_dlpack] negative strides are not supported; copy the array first");
  array.contiguous = is_contiguous(array.sizes, array.strides);
  array.data = static_cast<char*>(dl.data) + dl.byte_offset;
  if (array.numel && reinterpret_cast<uintptr_t>(array.data) % alignment(*dtype) != 0)
    fail(ErrorKind::Value,
         "[from_dlpack] the memory is not aligned to the element size; copy the array first");
  return array;
}

template <typename Managed>
PyObject* import_dlpack(PyObject* capsule) {
  auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kFresh<Managed>));
  if constexpr (kHasVersion<Managed>)
    if (managed->version.major != 1)
      fail(ErrorKind::Value, "[from_dlpack] DLPack of version ", managed->version.major, " is unknown");
  Array array = describe(managed->dl_tensor);
  int64_t reach = array.numel ? 1 : 0;
  for (int d = 0; array.numel && d < array.rank(); ++d) reach += (array.sizes[d] - 1) * array.strides[d];
  array.storage = Storage::wrap(
      array.data, reach * itemsize(array.dtype),
      [](void* owner) {
        auto* self = static_cast<Managed*>(owner);
        if (self->deleter) self->deleter(self);
      },
      managed);
  PyCapsule_SetName(capsule, kUsed<Managed>);
  if constexpr (kHasVersion<Managed>) array.storage->read_only = (managed->flags & kDLReadOnly) != 0;
  return wrap(Tensor::make(std::move(array)));
}

PyObject* from_dlpack(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    if (PyCapsule_IsValid(capsule, kFresh<DLManagedTensorVersioned>))
      return import_dlpack<DLManagedTensorVersioned>(capsule);
    if (PyCapsule_IsValid(capsule, kFresh<DLManagedTensor>)) return import_dlpack<DLManagedTensor>(capsule);
    fail(ErrorKind::Value, "[from_dlpack] expected a DLPack capsule that has not been used");
  });
}

PyObject* from_buffer(PyObject*, PyObject* object) {
  return guarded([&]() -> PyObject* {
    if (!PyObject_CheckBuffer(object))
      fail(ErrorKind::Type, "[from_numpy] expected an array, got ", Py_TYPE(object)->tp_name);
    return wrap(tensor_from_buffer(object, Sharing::Required));
  });
}

// frombuffer(object, dtype, count, offset in bytes): a one-dimensional tensor over raw memory.
PyObject* frombuffer(PyObject*, PyObject* args) {
  PyObject *object, *dtype_arg;
  long long count, offset;
  if (!PyArg_ParseTuple(args, "OOLL", &object, &dtype_arg, &count, &offset)) return nullptr;
  return guarded([&]() -> PyObject* {
    const DType dtype = expect_dtype(dtype_arg, "frombuffer");
    if (!PyObject_CheckBuffer(object))
      fail(ErrorKind::Type, "[frombuffer] expected an object with a buffer such as bytes, got ",
           Py_TYPE(object)->tp_name);
    auto view = std::make_unique<Py_buffer>();
    bool read_only = false;
    if (PyObject_GetBuffer(object, view.get(), PyBUF_WRITABLE) < 0) {
      PyErr_Clear();
      read_only = true;
      if (PyObject_GetBuffer(object, view.get(), PyBUF_SIMPLE) < 0) throw HostError{};
    }
    struct Releaser {
      Py_buffer* view;
      ~Releaser() {
        if (view) PyBuffer_Release(view);
      }
    } releaser{view.get()};
    const auto item = static_cast<int64_t>(itemsize(dtype));
    if (count < -1)
      fail(ErrorKind::Value, "[frombuffer] count must be -1 or a number of elements, got ", count);
    if (offset < 0 || offset > view->len)
      fail(ErrorKind::Value, "[frombuffer] offset ", offset, " is outside a buffer of ", view->len, " bytes");
    const int64_t room = (view->len - offset) / item;
    if (count < 0) {
      if ((view->len - offset) % item != 0)
        fail(ErrorKind::Value, "[frombuffer] the buffer's size after the offset (", view->len - offset,
             " bytes) is no multiple of ", item);
      count = room;
    }
    if (count > room)
      fail(ErrorKind::Value, "[frombuffer] ", count, " elements at offset ", offset,
           " reach outside a buffer of ", view->len, " bytes");
    char* data = static_cast<char*>(view->buf) + offset;
    if (reinterpret_cast<uintptr_t>(data) % alignment(dtype) != 0) {
      TensorRef copy = ops::empty(Dims{count}, dtype);
      std::memcpy(copy->data, data, count * item);
      return wrap(std::move(copy));
    }
    Array array;
    array.storage = Storage::wrap(data, count * item, release_view, view.get());
    array.storage->read_only = read_only;
    releaser.view = nullptr;
    view.release();
    array.data = data;
    array.numel = count;
    array.dtype = dtype;
    array.sizes = Dims{count};
    array.strides = Dims{1};
    return wrap(Tensor::make(std::move(array)));
  });
}

}  // namespace

PyMethodDef dlpack_functions[] = {
    {"to_dlpack", to_dlpack, METH_VARARGS,
     "to_dlpack(tensor, versioned=False): a DLPack capsule that shares the tensor's memory."},
    {"from_dlpack_capsule", from_dlpack, METH_O, "A tensor that shares the memory of a DLPack capsule."},
    {"from_buffer", from_buffer, METH_O, "A tensor over an array's memory."},
    {"frombuffer", frombuffer, METH_VARARGS,
     "frombuffer(object, dtype, count, offset): a 1-d tensor over raw memory."},
    {},
};

}  // namespace versant::face
