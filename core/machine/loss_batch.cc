// Classification losses of many samples.
#include "machine/loss.h"
#include "machine/ops.h"

namespace versant::loss {

namespace {
const NamedOp kNe("ne");
}  // namespace

// The rows of all samples at once, then the reduction of each sample's.
bool batched(const Primitive& primitive, Batch& b) {
  const Attributes& a = b.attributes();
  const bool soft = b.held(1).dtype != DType::Int64;
  if (b.size() == 0 || b.has(2) || (a.ints[0] == kMean && a.ints[2] && !soft)) return false;
  const TensorRef x = ops::contiguous(*b.folded(0));
  const TensorRef target = ops::contiguous(soft ? *b.folded(1) : *ops::reshape(b.whole(1), Dims{-1}));
  std::vector<Tensor*> inputs = {x.get(), target.get()};
  if (a.ints[2]) inputs.push_back(&b.held(2));
  Attributes rows = a;
  rows.ints[0] = kNone;
  TensorRef loss = b.unfolded(*apply(primitive, inputs, rows).tensor[0]);
  if (a.ints[0] != kNone) loss = ops::sum(*loss, Dims{1}, false);
  if (a.ints[0] == kMean) {
    if (soft) {
      loss = ops::div(loss, Input(Scalar::of(static_cast<double>(b.sizes(0)[0]))));
    } else {
      const Input counted[] = {Input(b.whole(1)), Input(Scalar::of_int(a.ints[1]))};
      const TensorRef counts =
          ops::sum(*ops::reshape(*apply(*kNe, counted), Dims{b.size(), -1}), Dims{1}, false);
      loss = ops::div(loss, ops::cast(*counts, loss->dtype));
    }
  }
  b.set(0, std::move(loss));
  return true;
}

}  // namespace versant::loss
