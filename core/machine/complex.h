// Complex arrays as pairs of real ones. An element lies in memory as its real part, then its imaginary part,
// so either part of an array is a real array of twice the strides, and both together are a real array with
// one more axis.
#pragma once

#include "machine/array.h"
#include "machine/tensor.h"

namespace versant {

// The real (0) or imaginary (1) parts; `complex` is one of the complex dtypes.
Array part_of(const Array& complex, int part);
// The parts as a last axis of size 2.
Array as_real(const Array& complex);
// The opposite. The last axis has size 2 and stride 1 and the other strides and the offset are even.
Array as_complex(const Array& pairs);

// copy_into where one side is complex: real numbers get an imaginary part of 0, complex ones lose theirs; a
// bool says whether either part is not 0.
void copy_complex(const Array& dst, const Array& src);

namespace ops {

// Views of a tensor: view_as_real and view_as_complex.
TensorRef as_real(Tensor& x);
TensorRef as_complex(Tensor& pairs);
// One part as a view of a complex tensor; of a real tensor, part 0 is the tensor itself.
TensorRef part_of(Tensor& x, int part);
// re + i im; `im` may be null.
TensorRef join(Tensor& re, Tensor* im);
// The conjugate; a real tensor itself.
TensorRef conj(Tensor& x);

}  // namespace ops

}  // namespace versant
