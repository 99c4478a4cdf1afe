#include "machine/conv_complex.h"

#include "machine/complex.h"
#include "machine/ops.h"

namespace versant::ops {

// (a + bi)(c + di) = (ac - bd) + (ad + bc)i. The two parts of x make one batch of twice the size.
TensorRef complex_conv(Tensor& x, Tensor& weight, Tensor* bias, int axes,
                       const std::function<TensorRef(Tensor&, Tensor&)>& product) {
  if (x.rank() == axes + 1) {
    TensorRef one = unsqueeze(x, 0);
    TensorRef y = complex_conv(*one, weight, bias, axes, product);
    return squeeze(*y, Dims{0});
  }
  const int64_t n = x.sizes[0];
  TensorRef re = part_of(x, 0), im = part_of(x, 1);
  Tensor* const both[] = {re.get(), im.get()};
  TensorRef parts = cat(both, 0);
  TensorRef weight_re = part_of(weight, 0), weight_im = part_of(weight, 1);
  TensorRef first = product(*parts, *weight_re), second = product(*parts, *weight_im);
  TensorRef ac = slice(*first, 0, 0, n), bc = slice(*first, 0, n, 2 * n);
  TensorRef ad = slice(*second, 0, 0, n), bd = slice(*second, 0, n, 2 * n);
  TensorRef y_re = sub(*ac, *bd), y_im = add(*ad, *bc);
  TensorRef y = join(*y_re, y_im.get());
  if (!bias) return y;
  Dims along(axes + 1, 1);
  along[0] = bias->sizes[0];
  TensorRef shift = reshape(*bias, along);
  return add(*y, *shift);
}

}  // namespace versant::ops
