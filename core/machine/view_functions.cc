// The views and copies of views.cc and ops.cc, by name for the op table.
#include "machine/call.h"
#include "machine/inplace.h"
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

// The same memory read as elements of another dtype, without a gradient. Where these are wider or narrower,
// the last axis becomes shorter or longer.
TensorRef view_as_dtype(Tensor& x, DType dtype) {
  const auto from = static_cast<int64_t>(itemsize(x.dtype)), to = static_cast<int64_t>(itemsize(dtype));
  Array view = x;
  view.dtype = dtype;
  if (from != to) {
    const int last = x.rank() - 1;
    if (last < 0 || (x.sizes[last] != 1 && x.strides[last] != 1))
      fail(ErrorKind::Shape, "[view] reading ", name(x.dtype), " as ", name(dtype),
           " needs a last axis whose elements lie side by side, got ", describe(x));
    const int64_t wide = std::max(from, to) / std::min(from, to);
    view.sizes[last] = from > to ? x.sizes[last] * wide : x.sizes[last] / wide;
    bool fits = from > to || (x.sizes[last] % wide == 0 && x.offset() % wide == 0);
    for (int d = 0; d < last; ++d) {
      view.strides[d] = from > to ? x.strides[d] * wide : x.strides[d] / wide;
      fits = fits && (from > to || x.strides[d] % wide == 0);
    }
    if (!fits)
      fail(ErrorKind::Shape, "[view] the last axis of ", describe(x),
           " and its strides must be multiples of ", wide, " to be read as ", name(dtype));
    view.strides[last] = 1;
    view.numel = checked_numel(view.sizes, static_cast<size_t>(to));
    view.contiguous = is_contiguous(view.sizes, view.strides);
  }
  TensorRef result = Tensor::make(std::move(view));
  result->inference = x.inference;
  return result;
}

TensorRef view(Args& a) {
  return a.is_dtype(1) ? view_as_dtype(a.tensor(0), *a.dtype(1)) : ops::view(a.tensor(0), a.ints(1));
}

// Gives x the sizes and strides of a view of itself; its gradient goes on through the view.
template <typename MakeView>
Result become_view(Tensor& x, const char* op, MakeView make) {
  const bool leaf = x.node && x.is_leaf();
  if (modes.grad && needs_grad(x) && leaf)
    fail(ErrorKind::Runtime, "[", op,
         "] a leaf Variable that requires grad is being used in an in-place operation; wrap the change in "
         "no_grad()");
  TensorRef view;
  {
    GradMode record(x.node && !leaf);
    view = make();
  }
  static_cast<Array&>(x) = *view;
  if (leaf) {
    x.node->output.sizes = x.sizes;
  } else {
    x.node = view->node;
    x.output_nr = view->output_nr;
    if (!x.view) ++x.history;
  }
  return Result(TensorRef(&x));
}

TensorRef as_strided(Args& a) {
  Tensor& x = a.tensor(0);
  return ops::as_strided(x, a.ints(1), a.ints(2), a.optional_integer(3).value_or(x.offset()));
}

const Function kInPlace[] = {
    {"transpose_",
     [](Args& a) {
       Tensor& x = a.tensor(0);
       return become_view(x, "transpose_", [&] { return ops::transpose(x, a.integer(1), a.integer(2)); });
     }},
    {"unsqueeze_",
     [](Args& a) {
       Tensor& x = a.tensor(0);
       return become_view(x, "unsqueeze_", [&] { return ops::unsqueeze(x, a.integer(1)); });
     }},
    {"squeeze_", [](Args& a) { return become_view(a.tensor(0), "squeeze_", [&] { return squeeze(a); }); }},
    {"as_strided_",
     [](Args& a) { return become_view(a.tensor(0), "as_strided_", [&] { return as_strided(a); }); }},
};

const Function kFunctions[] = {
    {"view", [](Args& a) { return Result(view(a)); }},
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
    {"as_strided", [](Args& a) { return Result(as_strided(a)); }},
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
