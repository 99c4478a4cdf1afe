// The views and copies of views.cc and ops.cc, by name for the op table.
#include "machine/call.h"
#include "machine/ops.h"

namespace versant {

namespace {

// Every axis of size 1, or those named.
TensorRef squeeze(Args& a) {
  Tensor& x = a.tensor(0);
  if (!a.none(1)) return ops::squeeze(x, a.ints(1));
  Dims axes(x.rank());
  for (int d = 0; d < x.rank(); ++d) axes[d] = d;
  return ops::squeeze(x, axes);
}

const Function kFunctions[] = {
    {"view", [](Args& a) { return Result(ops::view(a.tensor(0), a.ints(1))); }},
    {"reshape", [](Args& a) { return Result(ops::reshape(a.tensor(0), a.ints(1))); }},
    {"permute", [](Args& a) { return Result(ops::permute(a.tensor(0), a.ints(1))); }},
    {"transpose", [](Args& a) { return Result(ops::transpose(a.tensor(0), a.integer(1), a.integer(2))); }},
    {"unsqueeze", [](Args& a) { return Result(ops::unsqueeze(a.tensor(0), a.integer(1))); }},
    {"squeeze", [](Args& a) { return Result(squeeze(a)); }},
    {"expand", [](Args& a) { return Result(ops::expand(a.tensor(0), a.ints(1))); }},
    {"select", [](Args& a) { return Result(ops::select(a.tensor(0), a.integer(1), a.integer(2))); }},
    {"slice",
     [](Args& a) {
       return Result(ops::slice(a.tensor(0), a.integer(1), a.optional_integer(2).value_or(0),
                                a.optional_integer(3).value_or(INT64_MAX),
                                a.optional_integer(4).value_or(1)));
     }},
    {"diagonal",
     [](Args& a) { return Result(ops::diagonal(a.tensor(0), a.integer(1), a.integer(2), a.integer(3))); }},
    {"as_strided",
     [](Args& a) {
       Tensor& x = a.tensor(0);
       return Result(ops::as_strided(x, a.ints(1), a.ints(2), a.optional_integer(3).value_or(x.offset())));
     }},
    {"unfold",
     [](Args& a) { return Result(ops::unfold(a.tensor(0), a.integer(1), a.integer(2), a.integer(3))); }},
    {"alias", [](Args& a) { return Result(ops::alias(a.tensor(0))); }},
    {"clone", [](Args& a) { return Result(ops::clone(a.tensor(0))); }},
    {"contiguous", [](Args& a) { return Result(ops::contiguous(a.tensor(0))); }},
    {"cast", [](Args& a) { return Result(ops::cast(a.tensor(0), a.dtype(1).value_or(a.tensor(0).dtype))); }},
    {"detach", [](Args& a) { return Result(ops::detach(a.tensor(0))); }},
};

}  // namespace

}  // namespace versant
