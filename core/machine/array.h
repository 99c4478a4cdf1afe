// An array: a strided view of a storage. Kernels see arrays only; tensors add gradients (tensor.h).
#pragma once

#include "machine/dims.h"
#include "machine/dtype.h"
#include "machine/scalar.h"
#include "machine/storage.h"

namespace versant {

struct Array {
  Ref<Storage> storage;
  void* data = nullptr;  // first element
  int64_t numel = 0;
  DType dtype = DType::Float32;
  bool contiguous = true;  // row-major without gaps
  Dims sizes;
  Dims strides;  // in elements; may be 0 (broadcast); never negative in arrays that own their memory

  int rank() const { return sizes.size(); }
  int64_t bytes() const { return numel * itemsize(dtype); }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  // Offset of the first element from the start of the storage, in elements.
  int64_t offset() const {
    return (static_cast<char*>(data) - static_cast<char*>(storage->data)) /
           static_cast<int64_t>(itemsize(dtype));
  }

  // Uninitialised, row-major.
  static Array empty(const Dims& sizes, DType dtype);
  // Uninitialised, dense with the axis order of `like` (so that channels-last stays channels-last).
  static Array empty_like_layout(const Array& like, DType dtype);
  static Array full(const Dims& sizes, DType dtype, Scalar value);

  // Another view of the same storage; `shift` in elements from this array's first one. Not bounds-checked.
  Array view(Dims sizes, Dims strides, int64_t shift = 0) const;
  // Broadcast to `sizes` with strides of 0. Throws when the shapes do not fit.
  Array expand(const Dims& sizes) const;
  // Views when no copy is needed; else a fresh array.
  Array to_contiguous() const;
  Array to_dtype(DType dtype) const;
  // The same elements with another shape of the same number of elements; shares memory where strides allow.
  bool can_view_as(const Dims& sizes, Dims* strides) const;

  // Elements without gaps or overlaps, in any axis order.
  bool is_dense() const;
};

Dims contiguous_strides(const Dims& sizes);
bool is_contiguous(const Dims& sizes, const Dims& strides);
// Product of sizes; throws when it does not fit in memory's address range.
int64_t checked_numel(const Dims& sizes, size_t itemsize);
// The common shape of two under broadcasting; throws ShapeError with `op` in the message.
Dims broadcast_sizes(const Dims& a, const Dims& b, const char* op);
// Strides that make an array of `sizes`/`strides` read as `to` (leading axes and axes of size 1 become 0).
Dims broadcast_strides(const Dims& sizes, const Dims& strides, const Dims& to);
// Maps axis in [-rank, rank) to [0, rank); throws AxisError. rank 0 accepts 0 and -1.
int wrap_axis(int64_t axis, int rank, const char* op);

// dst[...] = src[...] with broadcasting and conversion of dtype. No tape, no version bump.
void copy_into(const Array& dst, const Array& src);
void fill(const Array& dst, Scalar value);
// The one element as a number. Throws when there is not exactly one. `truth`: only whether it is 0 counts.
Scalar item(const Array& array, bool truth = false);

// float32[2, 3]
std::string describe(const Array& array);

}  // namespace versant
