// Dtype promotion: the one rule, PyTorch's. Tensors with axes outrank 0-dimensional ones, those outrank
// Python numbers; a lower rank matters only when its category (bool < integer < floating < complex) is
// higher. A floating dtype of a higher rank lends its precision to a complex one of a lower rank.
#pragma once

#include "machine/dtype.h"
#include "machine/scalar.h"

namespace versant {

DType promote_types(DType a, DType b);

DType default_float();
// The dtype of a tensor made from one number.
DType dtype_of(const Scalar& number);
void set_default_float(DType dtype);  // throws unless floating

// Collects the operands of one op.
class Promotion {
 public:
  void add(DType dtype, int rank) {
    auto& slot = rank > 0 ? with_axes_ : without_axes_;
    slot =
        slot < 0 ? static_cast<int>(dtype) : static_cast<int>(promote_types(static_cast<DType>(slot), dtype));
  }
  void add(const Scalar& scalar);
  DType result() const;

 private:
  int with_axes_ = -1, without_axes_ = -1, numbers_ = -1;
};

// Raises when the number is beyond the range of an integer dtype.
void check_range(const Scalar& value, DType dtype, const char* op);

// Whether a result of `from` may be written into `to` by an in-place op (a category may not fall).
bool can_cast_in_place(DType from, DType to);

}  // namespace versant
