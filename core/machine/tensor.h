// A tensor: an array that can take part in gradients.
//
// Note [One object]
// A tensor is one block of memory that starts with a reference count and a type pointer, the layout of a
// CPython object header. The Python face hands these very objects out; there is no wrapper. Sixteen bytes are
// kept in front for the garbage collector's header of the host.
#pragma once

#include <vector>

#include "machine/array.h"
#include "machine/ref.h"

namespace versant {

struct Node;
struct Tensor;

struct Object {
  intptr_t refs = 0;
  void* type = nullptr;
};

// What a view remembers: see Note [Views and in-place] in inplace.cc.
struct ViewInfo {
  // How it came about. Only recorded views can be followed through changes in place; of the others, changes
  // that would have to be recorded are refused.
  enum class Origin : uint8_t { Recorded, WithoutGrad, Function };

  Ref<Tensor> base;
  uint32_t history = 0;  // of the base when `node` of the view was made
  Origin origin = Origin::Recorded;

  ViewInfo(Ref<Tensor> base, Origin origin);
  static void* operator new(size_t bytes) { return pool::allocate(bytes); }
  static void operator delete(void* block, size_t bytes) { pool::deallocate(block, bytes); }
};

// What a tensor stands for inside of a transform (transforms/levels.h), or nothing.
struct Wrapped;
class WrappedPart {
 public:
  WrappedPart() = default;
  WrappedPart(const WrappedPart&) = delete;
  ~WrappedPart() {
    if (wrapped_) [[unlikely]]
      reset(nullptr);
  }
  Wrapped* operator->() const { return wrapped_; }
  Wrapped& operator*() const { return *wrapped_; }
  explicit operator bool() const { return wrapped_ != nullptr; }
  void reset(Wrapped* wrapped);

 private:
  Wrapped* wrapped_ = nullptr;
};

struct Tensor : Object, Array {
  Ref<Node> node;    // where its gradient goes: the op that made it, or its leaf node
  Ref<Tensor> grad;  // accumulated gradient
  ViewInfo* view = nullptr;
  WrappedPart wrapped;
  uint32_t output_nr = 0;  // which output of `node` it is
  uint32_t history = 0;    // grows when an in-place op gives it a new node
  bool retains_grad = false;
  bool resting = false;      // its leaf node is set aside: requires_grad was switched off (node.cc)
  bool taped = false;        // its history belongs to gradient tapes: tape.h
  bool inference = false;    // made in inference mode: never recorded
  bool pinned_type = false;  // allocated by the host (a subclass): freed by the host
  bool tracked = false;      // the host's garbage collector knows it
  uint16_t epoch = static_cast<uint16_t>(Storage::current_epoch);  // of the trace that it was made in, or 0
  void* host_dict = nullptr;
  void* host_weakrefs = nullptr;

  static Ref<Tensor> make(Array array);
  // Uninitialised, row-major, of the sizes of `like`, which is row-major too.
  static Ref<Tensor> make_like(const Array& like, DType dtype);
  static void destroy(Tensor* tensor);

  bool requires_grad() const { return static_cast<bool>(node); }
  // Whether one reference is all that leads to its memory, without gaps: who holds that may write over it.
  bool unshared() const {
    return refs == 1 && storage->refs == 1 && !storage->release && !storage->read_only && !node && !view &&
           !wrapped && !host_dict && !host_weakrefs && is_dense();
  }
  bool is_leaf() const;
  bool is_floating() const { return versant::is_floating(dtype); }
};

using TensorRef = Ref<Tensor>;

inline ViewInfo::ViewInfo(TensorRef base, Origin origin)
    : base(std::move(base)), history(this->base->history), origin(origin) {}

// How the host takes part in the life of tensors; all null without a host.
struct TensorHooks {
  void* exact_type = nullptr;          // type pointer of tensors that the machine makes
  void* dialect_type = nullptr;        // the same of those that follow TensorFlow's rules in the host
  void (*dealloc)(Tensor*) = nullptr;  // the count reached zero on an object with host parts
};
extern TensorHooks tensor_hooks;

inline constexpr size_t kHostPrefix = 16;

// Marks a write in place to the tensor's memory. Throws when the memory is read-only.
void begin_write(const Array& array, const char* op);
// Tells a trace that an array without elements counts as written.
void note_empty_write(const Array& array);
inline void bump_version(const Array& array) {
  ++array.storage->version;
  if (array.numel == 0) [[unlikely]]
    note_empty_write(array);
}

}  // namespace versant
