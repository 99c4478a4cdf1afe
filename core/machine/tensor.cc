#include "machine/tensor.h"

#include <new>

#include "machine/node.h"

namespace versant {

TensorHooks tensor_hooks;

namespace {

Tensor* new_tensor() {
  auto* block = static_cast<char*>(pool::allocate(kHostPrefix + sizeof(Tensor)));
  reinterpret_cast<uint64_t*>(block)[0] = 0;  // the collector's header: not tracked
  reinterpret_cast<uint64_t*>(block)[1] = 0;
  auto* tensor = new (block + kHostPrefix) Tensor;
  tensor->type = tensor_hooks.exact_type;
  tensor->refs = 1;
  return tensor;
}

}  // namespace

Ref<Tensor> Tensor::make(Array array) {
  Tensor* tensor = new_tensor();
  static_cast<Array&>(*tensor) = std::move(array);
  return Ref<Tensor>::steal(tensor);
}

Ref<Tensor> Tensor::make_like(const Array& like, DType dtype) {
  Ref<Storage> storage = Storage::allocate(like.numel * itemsize(dtype));
  Tensor* tensor = new_tensor();
  tensor->data = storage->data;
  tensor->storage = std::move(storage);
  tensor->numel = like.numel;
  tensor->dtype = dtype;
  tensor->sizes = like.sizes;
  tensor->strides = like.strides;
  return Ref<Tensor>::steal(tensor);
}

void Tensor::destroy(Tensor* tensor) {
  if (tensor_hooks.dealloc &&
      (tensor->pinned_type || tensor->tracked || tensor->host_dict || tensor->host_weakrefs)) {
    tensor_hooks.dealloc(tensor);
    return;
  }
  release_leaf(*tensor);
  delete tensor->view;
  tensor->~Tensor();
  pool::deallocate(reinterpret_cast<char*>(tensor) - kHostPrefix, kHostPrefix + sizeof(Tensor));
}

bool Tensor::is_leaf() const { return !node || node->is_leaf(); }

void begin_write(const Array& array, const char* op) {
  if (array.storage->read_only) {
    fail(ErrorKind::Value, "[", op,
         "] the tensor's memory is read-only (it is shared with a read-only array); clone() it first");
  }
}

}  // namespace versant
