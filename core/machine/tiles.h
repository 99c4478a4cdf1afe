// Reading and writing arrays tile by tile in logical order, in a compute type.
#pragma once

#include "machine/kernels.h"
#include "machine/program.h"
#include "machine/walk.h"

namespace versant {

constexpr std::size_t item_bytes(Compute compute) { return compute == Compute::F32 ? 4 : 8; }
// The dtype stored as the compute type is.
constexpr DType stored_dtype(Compute compute) {
  return compute == Compute::F32 ? DType::Float32 : compute == Compute::F64 ? DType::Float64 : DType::Int64;
}

// The elements of an array, in logical order, at a tile's place.
class TileView {
 public:
  TileView(const Array& array, Compute compute)
      : data_(array.as<char>()),
        item_(itemsize(array.dtype)),
        wide_(item_bytes(compute)),
        direct_(array.contiguous && array.dtype == stored_dtype(compute)),
        load_(kernels->load_of(array.dtype, compute)),
        store_(kernels->store_of(array.dtype, compute)) {
    for (int d = 0; d < array.rank(); ++d) walk_.add(array.sizes[d], array.strides[d]);
    walk_.finish();
  }

  // Elements [begin, begin + n): in place where they lie so, else loaded into `tile`.
  const void* read(int64_t begin, int64_t n, void* tile) const {
    if (direct_) return data_ + begin * item_;
    walk_.runs(begin, n, [&](int64_t offset, int64_t length, int64_t done) {
      load_(static_cast<char*>(tile) + done * wide_, data_ + offset * item_, walk_.inner_stride(), length);
    });
    return tile;
  }
  // Where to compute elements [begin, ...); `write` follows.
  void* place(int64_t begin, void* tile) const { return direct_ ? data_ + begin * item_ : tile; }
  void write(int64_t begin, int64_t n, const void* from) const {
    if (direct_ && from == data_ + begin * item_) return;
    walk_.runs(begin, n, [&](int64_t offset, int64_t length, int64_t done) {
      store_(data_ + offset * item_, walk_.inner_stride(), static_cast<const char*>(from) + done * wide_,
             length);
    });
  }

 private:
  char* data_;
  int64_t item_, wide_;
  bool direct_;
  LoadKernel load_;
  StoreKernel store_;
  Walk walk_;
};

}  // namespace versant
