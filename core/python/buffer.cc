// Sharing memory with other libraries: the buffer protocol both ways, and DLPack both ways.
#include <cstring>
#include <memory>

#include "dlpack.h"
#include "face.h"

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
    case DType::BFloat16:
      break;
  }
  return nullptr;
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  Tensor* tensor = as_tensor(self);
  const char* format = format_of(tensor->dtype);
  view->obj = nullptr;
  if (!format) {
    PyErr_SetString(PyExc_BufferError, "[buffer] bfloat16 has no buffer format; convert with .float() first");
    return -1;
  }
  if (tensor->node && modes.grad) {
    PyErr_SetString(PyExc_BufferError, "[buffer] the tensor requires grad; use tensor.detach()");
    return -1;
  }
  if ((flags & PyBUF_WRITABLE) == PyBUF_WRITABLE && tensor->storage->read_only) {
    PyErr_SetString(PyExc_BufferError, "[buffer] the tensor's memory is read-only");
    return -1;
  }
  const bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  if (!strided && !tensor->contiguous) {
    PyErr_SetString(PyExc_BufferError, "[buffer] the tensor is not contiguous");
    return -1;
  }
  const int rank = tensor->rank();
  auto* shape = new Py_ssize_t[2 * rank + 1];
  for (int d = 0; d < rank; ++d) {
    shape[d] = tensor->sizes[d];
    shape[rank + d] = tensor->strides[d] * static_cast<Py_ssize_t>(itemsize(tensor->dtype));
  }
  view->buf = tensor->data;
  view->obj = Py_NewRef(self);
  view->len = tensor->bytes();
  view->itemsize = static_cast<Py_ssize_t>(itemsize(tensor->dtype));
  view->readonly = tensor->storage->read_only;
  view->ndim = rank;
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? shape : nullptr;
  view->strides = strided ? shape + rank : nullptr;
  view->suboffsets = nullptr;
  view->internal = shape;
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { delete[] static_cast<Py_ssize_t*>(view->internal); }

// --- buffer protocol: in
// --------------------------------------------------------------------------------------------------

std::optional<DType> dtype_of_format(const char* format, Py_ssize_t itemsize) {
  if (!format) return DType::UInt8;
  char code = *format;
  if (code == '@' || code == '=' || code == '<') code = *++format;
  if (code == '>' || code == '!')
    fail(ErrorKind::Value,
         "[from_numpy] big-endian arrays are not supported; use array.astype(array.dtype.newbyteorder('='))");
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

TensorRef tensor_from_buffer(PyObject* object, bool copy) {
  auto view = std::make_unique<Py_buffer>();
  bool read_only = false;
  if (PyObject_GetBuffer(object, view.get(), PyBUF_RECORDS) < 0) {
    PyErr_Clear();
    read_only = true;
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
         "'; supported are bool, uint8, "
         "int8, int16, int32, int64, float16, float32 and float64");
  const int64_t item = view->itemsize;
  Dims sizes(view->ndim), strides(view->ndim);
  bool aligned = reinterpret_cast<uintptr_t>(view->buf) % item == 0, negative = false, fractional = false;
  for (int d = 0; d < view->ndim; ++d) {
    sizes[d] = view->shape[d];
    fractional |= view->strides[d] % item != 0;
    strides[d] = view->strides[d] / item;
    negative |= strides[d] < 0 && sizes[d] > 1;
    if (sizes[d] <= 1 && strides[d] < 0) strides[d] = 0;
  }
  if (negative && !copy)
    fail(ErrorKind::Value,
         "[from_numpy] at least one stride of the array is negative, which tensors do not have; use "
         "array.copy()");
  if (fractional || !aligned || negative) {
    // Copy byte by byte along the strides.
    TensorRef packed = ops::empty(sizes, *dtype);
    if (PyBuffer_ToContiguous(packed->data, view.get(), view->len, 'C') < 0) throw HostError{};
    if (!copy)
      fail(ErrorKind::Value, "[from_numpy] the array is not aligned to its element size; use array.copy()");
    return packed;
  }
  int64_t numel = 1;
  for (int d = 0; d < view->ndim; ++d) numel *= sizes[d];
  Array array;
  array.data = view->buf;
  array.numel = numel;
  array.dtype = *dtype;
  array.contiguous = is_contiguous(sizes, strides);
  array.sizes = std::move(sizes);
  array.strides = std::move(strides);
  int64_t reach = numel ? 1 : 0;
  for (int d = 0; numel && d < array.rank(); ++d) reach += (array.sizes[d] - 1) * array.strides[d];
  array.storage = Storage::wrap(view->buf, reach * item, release_view, view.get());
  array.storage->read_only = read_only || view->readonly;
  releaser.view = nullptr;
  view.release();
  if (!copy) return Tensor::make(std::move(array));
  TensorRef result = ops::empty(array.sizes, array.dtype);
  copy_into(*result, array);
  return result;
}

namespace {

// --- DLPack
// -----------------------------------------------------------------------------------------------------------------

struct Exported {
  DLManagedTensor managed;
  Array array;
  std::vector<int64_t> geometry;
};

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
      return {static_cast<uint8_t>(is_floating(dtype) ? kDLFloat : kDLInt), bits, 1};
  }
}

std::optional<DType> from_dlpack_dtype(DLDataType type) {
  for (const DTypeInfo& entry : kDTypes) {
    const DLDataType ours = dlpack_dtype(entry.dtype);
    if (ours.code == type.code && ours.bits == type.bits && type.lanes == 1) return entry.dtype;
  }
  return std::nullopt;
}

constexpr const char* kFresh = "dltensor";
constexpr const char* kUsed = "used_dltensor";

void capsule_destructor(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, kFresh)) return;
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, kFresh));
  if (managed && managed->deleter) managed->deleter(managed);
}

PyObject* to_dlpack(PyObject*, PyObject* object) {
  return guarded([&]() -> PyObject* {
    if (!is_tensor(object))
      fail(ErrorKind::Type, "[to_dlpack] expected a tensor, got ", Py_TYPE(object)->tp_name);
    Tensor* tensor = as_tensor(object);
    if (tensor->node)
      PyErr_SetString(PyExc_BufferError,
                      "[to_dlpack] can't export tensors that require gradient, use tensor.detach()");
    else if (tensor->storage->read_only)
      PyErr_SetString(PyExc_BufferError, "[to_dlpack] the tensor's memory is read-only");
    if (PyErr_Occurred()) throw HostError{};
    auto exported = std::make_unique<Exported>();
    exported->array = *tensor;
    exported->geometry.assign(tensor->sizes.begin(), tensor->sizes.end());
    exported->geometry.insert(exported->geometry.end(), tensor->strides.begin(), tensor->strides.end());
    DLTensor& dl = exported->managed.dl_tensor;
    dl.data = tensor->data;
    dl.device = {kDLCPU, 0};
    dl.ndim = tensor->rank();
    dl.dtype = dlpack_dtype(tensor->dtype);
    dl.shape = exported->geometry.data();
    dl.strides = exported->geometry.data() + tensor->rank();
    dl.byte_offset = 0;
    exported->managed.manager_ctx = exported.get();
    exported->managed.deleter = [](DLManagedTensor* self) {
      const PyGILState_STATE state = PyGILState_Ensure();
      delete static_cast<Exported*>(self->manager_ctx);
      PyGILState_Release(state);
    };
    PyObject* capsule = PyCapsule_New(&exported->managed, kFresh, capsule_destructor);
    if (!capsule) throw HostError{};
    exported.release();
    return capsule;
  });
}

PyObject* from_dlpack(PyObject*, PyObject* capsule) {
  return guarded([&]() -> PyObject* {
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, kFresh));
    if (!managed) {
      PyErr_Clear();
      fail(ErrorKind::Value, "[from_dlpack] expected a DLPack capsule that has not been used");
    }
    const DLTensor& dl = managed->dl_tensor;
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
    array.strides =
        dl.strides ? Dims(std::span<const int64_t>(dl.strides, dl.ndim)) : contiguous_strides(array.sizes);
    int64_t reach = array.numel ? 1 : 0;
    for (int d = 0; d < array.rank(); ++d) {
      if (array.strides[d] < 0 && array.sizes[d] > 1)
        fail(ErrorKind::Value, "[from_dlpack] negative strides are not supported; copy the array first");
      if (array.numel) reach += (array.sizes[d] - 1) * array.strides[d];
    }
    array.contiguous = is_contiguous(array.sizes, array.strides);
    array.data = static_cast<char*>(dl.data) + dl.byte_offset;
    array.storage = Storage::wrap(
        array.data, reach * itemsize(*dtype),
        [](void* owner) {
          auto* self = static_cast<DLManagedTensor*>(owner);
          if (self->deleter) self->deleter(self);
        },
        managed);
    PyCapsule_SetName(capsule, kUsed);
    return wrap(Tensor::make(std::move(array)));
  });
}

PyObject* from_buffer(PyObject*, PyObject* args) {
  PyObject* object;
  int copy = 0;
  if (!PyArg_ParseTuple(args, "O|p", &object, &copy)) return nullptr;
  return guarded([&]() -> PyObject* {
    if (!PyObject_CheckBuffer(object))
      fail(ErrorKind::Type, "[from_numpy] expected an array, got ", Py_TYPE(object)->tp_name);
    return wrap(tensor_from_buffer(object, copy != 0));
  });
}

// frombuffer(object, dtype, count, offset in bytes): a one-dimensional tensor over raw memory.
PyObject* frombuffer(PyObject*, PyObject* args) {
  PyObject *object, *dtype_arg;
  long long count, offset;
  if (!PyArg_ParseTuple(args, "OOLL", &object, &dtype_arg, &count, &offset)) return nullptr;
  return guarded([&]() -> PyObject* {
    const DType dtype = expect_dtype(dtype_arg, "frombuffer");
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
    if (reinterpret_cast<uintptr_t>(data) % item != 0) {
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
    {"to_dlpack", to_dlpack, METH_O, "A DLPack capsule that shares the tensor's memory."},
    {"from_dlpack_capsule", from_dlpack, METH_O, "A tensor that shares the memory of a DLPack capsule."},
    {"from_buffer", from_buffer, METH_VARARGS,
     "from_buffer(array, copy=False): a tensor over an array's memory."},
    {"frombuffer", frombuffer, METH_VARARGS,
     "frombuffer(object, dtype, count, offset): a 1-d tensor over raw memory."},
    {},
};

}  // namespace versant::face
