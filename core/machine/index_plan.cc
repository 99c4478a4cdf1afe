#include "machine/index_plan.h"

#include "machine/index_checks.h"
#include "machine/nest.h"

namespace versant {

namespace {

// Adds to each offset the contribution of one index array.
struct Contribution {
  const Array& index;  // expanded to the common shape
  int64_t size;        // of the axes it stands for, together
  bool wrap;
  int span;
  const int64_t* sizes;    // of each axis, and
  const int64_t* strides;  // their strides in the indexed tensor
  bool first;              // writes the offsets instead of adding

  // Where the element at `at` lies. Several axes that cannot be merged are taken apart.
  int64_t place(int64_t at) const {
    int64_t offset = 0;
    for (int d = span - 1; d >= 0; --d) {
      offset += at % sizes[d] * strides[d];
      at /= sizes[d];
    }
    return offset;
  }

  // Returns false when an index is out of bounds. Offsets beyond a bad one are of no use.
  template <typename T>
  bool add_to(uint64_t* offsets) const {
    bool merged = true;
    for (int d = 0; d + 1 < span; ++d) merged &= strides[d] == strides[d + 1] * sizes[d + 1];
    const int64_t stride = span ? strides[span - 1] : 0;
    const Nest<1> nest(index.sizes, {&index.strides});
    const int64_t step = nest.step(0), lowest = wrap ? -size : 0;
    int64_t bad = 0;
    nest.for_all([&](const int64_t(&start)[1], int64_t count) {
      const T* from = index.as<T>() + start[0];
      auto each = [&](auto step, auto locate) {
        for (int64_t i = 0; i < count; ++i) {
          int64_t at = from[i * step];
          bad |= outside(at, lowest, size);
          at += at < 0 ? size : 0;
          offsets[i] = (first ? 0 : offsets[i]) + static_cast<uint64_t>(locate(at));
        }
      };
      // Unsigned, because an index out of bounds may overflow.
      auto flat = [stride](int64_t at) { return static_cast<uint64_t>(at) * static_cast<uint64_t>(stride); };
      if (!merged)
        each(step, [this](int64_t at) { return place(at); });
      else if (step == 1)
        each(std::integral_constant<int64_t, 1>(), flat);
      else
        each(step, flat);
      offsets += count;
    });
    return bad >= 0;
  }
};

[[noreturn]] void fail_first_bad(const char* op, const Contribution& part, int axis) {
  const Array index = part.index.to_dtype(DType::Int64);
  const Nest<1> nest(index.sizes, {&index.strides});
  nest.for_all([&](const int64_t(&start)[1], int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t at = index.as<int64_t>()[start[0] + i * nest.step(0)];
      if (outside(at, part.wrap ? -part.size : 0, part.size) < 0) fail_out_of_bounds(op, at, axis, part.size);
    }
  });
  fail(ErrorKind::Index, "[", op, "] an index changed while it was read");
}

Dims common_sizes(const char* op, std::span<const Array* const> indices) {
  Dims sizes = indices.empty() ? Dims() : indices[0]->sizes;
  for (size_t k = 1; k < indices.size(); ++k) {
    const Dims& other = indices[k]->sizes;
    if (other == sizes) continue;
    try {
      sizes = broadcast_sizes(sizes, other, op);
    } catch (const Error&) {
      std::string shapes;
      for (const Array* index : indices) shapes += (shapes.empty() ? "" : ", ") + text(index->sizes);
      fail(ErrorKind::Index, "[", op, "] shape mismatch: index tensors of shapes ", shapes,
           " do not broadcast");
    }
  }
  return sizes;
}

}  // namespace

IndexPlan::IndexPlan(const char* op, const Array& x, std::span<const Array* const> indices,
                     std::span<const IndexPlace> places, bool wrap) {
  uint64_t taken = 0;
  bool together = true;
  for (size_t k = 0; k < places.size(); ++k) {
    for (int d = 0; d < places[k].span; ++d) taken |= uint64_t{1} << (places[k].axis + d);
    if (k) together &= places[k].axis == places[k - 1].axis + places[k - 1].span;
  }
  // Index tensors that stand side by side leave their axes in place; else theirs come first.
  const int front = !together || places.empty() ? 0 : places[0].axis;
  const Dims common = common_sizes(op, indices);
  for (int d = 0; d < x.rank(); ++d) {
    if (taken >> d & 1) continue;
    const bool is_outer = d < front;
    (is_outer ? outer_sizes : inner_sizes).push_back(x.sizes[d]);
    (is_outer ? outer_strides : inner_strides).push_back(x.strides[d]);
  }
  for (const int64_t size : outer_sizes) n_outer *= size, result.push_back(size);
  for (const int64_t size : common) n_rows *= size, result.push_back(size);
  for (const int64_t size : inner_sizes) n_inner *= size, result.push_back(size);
  checked_numel(result, itemsize(x.dtype));

  if (n_rows > kFew) many_ = Array::empty(Dims{n_rows}, DType::Int64);
  auto* offsets = n_rows <= kFew ? reinterpret_cast<uint64_t*>(few_) : many_.as<uint64_t>();
  if (indices.empty()) offsets[0] = 0;
  for (size_t k = 0; k < indices.size(); ++k) {
    const IndexPlace place = places[k];
    int64_t size = 1;
    for (int d = 0; d < place.span; ++d) size *= x.sizes[place.axis + d];
    const bool expands = indices[k]->sizes != common;
    const Array expanded = expands ? indices[k]->expand(common) : Array();
    const Contribution part{
        expands ? expanded : *indices[k], size,  wrap, place.span, x.sizes.begin() + place.axis,
        x.strides.begin() + place.axis,   k == 0};
    const bool good =
        part.index.dtype == DType::Int64 ? part.add_to<int64_t>(offsets) : part.add_to<int32_t>(offsets);
    if (!good) fail_first_bad(op, part, place.axis);
  }
}

}  // namespace versant
