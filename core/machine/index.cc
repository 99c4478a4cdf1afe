// Reading and writing through index tensors: x[i, :, mask] and x[i, :, mask] = values.
//
// The primitives take index tensors of integers only; masks become flat positions first.
#include <vector>

#include "machine/call.h"
#include "machine/index_checks.h"
#include "machine/index_rows.h"
#include "machine/ops.h"
#include "machine/promote.h"
#include "machine/transforms/batching.h"
#include "machine/visit_dtype.h"

namespace versant {

namespace {

constexpr int kMaxIndices = 24;  // as many inputs as a primitive can save, and some room

// The axes of each index tensor, from the attributes: axis and span of each in turn.
struct Places {
  explicit Places(const Attributes& attributes) : count(attributes.ints.size() / 2) {
    for (int k = 0; k < count; ++k)
      list[k] = {static_cast<int>(attributes.ints[2 * k]), static_cast<int>(attributes.ints[2 * k + 1])};
  }
  operator std::span<const IndexPlace>() const { return {list, static_cast<size_t>(count)}; }
  int count;
  IndexPlace list[kMaxIndices];
};

// The gradient's side of an op with index tensors: the same indices with other tensors before them.
TensorRef reapply(const Primitive& primitive, std::initializer_list<Tensor*> before, Vjp& vjp, int first,
                  bool in_place = false) {
  std::vector<Tensor*> inputs(before);
  std::vector<TensorRef> indices;
  for (int i = first; i < vjp.n_inputs(); ++i) {
    indices.push_back(vjp.input(i));
    inputs.push_back(indices.back().get());
  }
  if (!in_place) return apply(primitive, inputs, vjp.attributes());
  apply_in_place(primitive, inputs, vjp.attributes());
  return TensorRef(inputs[0]);
}

uint32_t all_from(int first) { return ~uint32_t{0} << first; }

uint32_t inputs_between(int first, const Attributes& attributes) {
  return all_from(first) & ~all_from(first + attributes.ints.size() / 2);
}

// Whether the claims of a saved program about index tensors hold, which stand from input `first` on: each
// takes axes that no other has. Their values are checked where they are planned.
bool admits_places(const Claim& c, size_t first) {
  if (c.in.size() <= first || c.in.size() - first > kMaxIndices ||
      c.attributes.ints.size() != 2 * static_cast<int>(c.in.size() - first))
    return false;
  int64_t next = 0;
  for (int k = 0; k < c.attributes.ints.size() / 2; ++k) {
    const int64_t axis = c.attributes.ints[2 * k], span = c.attributes.ints[2 * k + 1];
    const DType dtype = c.in[first + static_cast<size_t>(k)]->dtype;
    if (axis < next || span < 0 || axis > kMaxRank || span > kMaxRank || axis + span > c.in[0]->rank() ||
        (dtype != DType::Int64 && dtype != DType::Int32))
      return false;
    next = axis + span;
  }
  return true;
}

// Inputs: x, index tensors. ints: axis and span of each.
struct Take final : Primitive {
  Take(const char* name, bool wrap) : name_(name), wrap_(wrap) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override;
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool admits(const Claim& c) const override { return c.out.size() == 1 && admits_places(c, 1); }
  void run(Run& run) const override {
    const Array& x = *run.in[0];
    const IndexPlan plan(name_, x, run.in.subspan(1), Places(run.attributes), wrap_);
    run.out[0] = Array::empty(plan.result, x.dtype);
    take_rows(plan, x, run.out[0]);
  }
  Saves saves(const Attributes& attributes, uint32_t) const override {
    return {inputs_between(1, attributes)};
  }
  void vjp(Vjp& vjp) const override;

  const char* name_;
  bool wrap_;
};

// Inputs: x, values, index tensors. ints: axis and span of each.
struct PutValues final : Primitive {
  PutValues(const char* name, bool wrap, Put put) : name_(name), wrap_(wrap), put_(put) {}
  const char* name() const override { return name_; }
  bool batch(Batch& b) const override;
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool by_parts() const override { return put_ == Put::Add; }
  const char* saved_name() const override {
    return put_ == Put::Add && std::string_view(name_) == "index_put" ? "index_put_add" : name_;
  }
  bool admits(const Claim& c) const override { return c.out.size() == 1 && admits_places(c, 2); }
  void run(Run& run) const override {
    run.start_copy();
    const Array& x = run.out[0];
    const Places places(run.attributes);
    const auto indices = run.in.subspan(2);
    if (put_ == Put::Write || !is_half(x.dtype)) {
      put_rows(IndexPlan(name_, x, indices, places, wrap_), x, *run.in[1], put_, name_);
      return;
    }
    // Sums of float16 and bfloat16 are rounded once, at the end.
    const Array sums = Array::empty(x.sizes, DType::Float32);
    copy_into(sums, x);
    put_rows(IndexPlan(name_, sums, indices, places, wrap_), sums, run.in[1]->to_dtype(DType::Float32), put_,
             name_);
    copy_into(x, sums);
  }
  Saves saves(const Attributes& attributes, uint32_t) const override {
    return {inputs_between(2, attributes)};
  }
  // A place that was written twice passes its gradient to both values.
  void vjp(Vjp& vjp) const override;

  const char* name_;
  bool wrap_;
  Put put_;
};

const Take kIndex("index", true);
const PutValues kIndexPut("index_put", true, Put::Write);
const PutValues kIndexPutAdd("index_put", true, Put::Add);
const NamedOp kMaskedFill("masked_fill");
const Take kTake("take", true), kIndexSelect("index_select", false);
const PutValues kIndexAdd("index_add", false, Put::Add), kIndexCopy("index_copy", false, Put::Write),
    kIndexFill("index_fill", false, Put::Write), kMaskedScatter("masked_scatter", false, Put::Write);

// Index tensors over all samples.
//
// Note [Where the axes of indices stand]
// The axes of the index tensors stand in the result where the first indexed axis was, or in front when the
// indexed axes do not lie side by side. That decides where a batch comes to lie: where only x has one, it is
// one more axis of x; where an index has one, the sample is one more index.
class IndexedBatch {
 public:
  // `first`: the first of the index tensors among the inputs.
  IndexedBatch(Batch& b, int first) : b_(b), places_(b.attributes()) {
    int next = -1, covered = 0;
    for (int k = 0; k < places_.count; ++k) {
      const IndexPlace& place = places_.list[k];
      adjacent_ = adjacent_ && (next < 0 || place.axis == next);
      next = place.axis + place.span;
      covered += place.span;
      rank_ = std::max(rank_, b.rank(first + k));
      by_sample_ = by_sample_ || b.has(first + k);
    }
    result_ = rank_ + b.rank(0) - covered;
    before_ = adjacent_ && places_.count ? places_.list[0].axis : 0;
    const bool with_x = !by_sample_ || b.has(0) || first == 2;
    for (int k = 0; k < places_.count; ++k) {
      attributes.ints.push_back(places_.list[k].axis + with_x);
      attributes.ints.push_back(places_.list[k].span);
      indices.push_back(by_sample_ ? b.aligned(first + k, rank_) : TensorRef(&b.held(first + k)));
    }
    samples_indexed_ = by_sample_ && with_x;
    if (!samples_indexed_) return;
    attributes.ints.insert(0, 1);
    attributes.ints.insert(0, 0);
    const TensorRef all =
        ops::arange(Scalar::of_int(0), Scalar::of_int(b.size()), Scalar::of_int(1), DType::Int64);
    Dims sizes(rank_ + 1, 1);
    sizes[0] = b.size();
    indices.insert(indices.begin(), ops::view(*all, sizes));
  }

  // From the axes that the op gives to the batch and one sample's axes, or back.
  TensorRef ordered(Tensor& x, bool back) const {
    Dims axes;  // of what the op gives, in the order of samples
    const bool in_front = samples_indexed_ ? !(adjacent_ && before_ == 0) : !adjacent_;
    if (samples_indexed_) {
      axes.push_back(0);
      const int at = in_front ? before_ : 0;  // the axes of indices go behind so many others
      for (int d = 0; d < at; ++d) axes.push_back(1 + rank_ + d);
      for (int d = 0; d < rank_; ++d) axes.push_back(1 + d);
      for (int d = rank_ + at; d < result_; ++d) axes.push_back(1 + d);
    } else {
      const int batch = by_sample_ ? (adjacent_ ? before_ : 0) : (in_front ? rank_ : 0);
      axes.push_back(batch);
      for (int d = 0; d <= result_; ++d)
        if (d != batch) axes.push_back(d);
    }
    if (!back) return ops::permute(x, axes);
    Dims inverse(axes.size());
    for (int d = 0; d < axes.size(); ++d) inverse[static_cast<int>(axes[d])] = d;
    return ops::permute(x, inverse);
  }
  // The values of all samples, or one for all, with all axes of the result.
  TensorRef values(int i) const {
    Dims sizes = b_.held(i).sizes;
    const int batch = b_.has(i) ? 1 : 0;
    for (int d = b_.rank(i); d < result_; ++d) sizes.insert(batch, 1);
    if (!batch) sizes.insert(0, 1);
    return ops::view(b_.held(i), sizes);
  }

  Attributes attributes;
  std::vector<TensorRef> indices;

 private:
  Batch& b_;
  Places places_;
  bool adjacent_ = true, by_sample_ = false, samples_indexed_ = false;
  int rank_ = 0, result_ = 0, before_ = 0;
};

bool Take::batch(Batch& b) const {
  if (b.count() + 1 > kMaxIndices) return false;
  const IndexedBatch all(b, 1);
  std::vector<Tensor*> inputs = {&b.held(0)};
  for (const TensorRef& index : all.indices) inputs.push_back(index.get());
  const Outputs y = apply(*this, inputs, all.attributes);
  b.set(0, all.ordered(*y.tensor[0], false));
  return true;
}

bool PutValues::batch(Batch& b) const {
  if (b.count() + 1 > kMaxIndices) return false;
  const IndexedBatch all(b, 2);
  const TensorRef given = all.values(1), values = all.ordered(*given, true);
  std::vector<Tensor*> inputs = {&b.whole(0), values.get()};
  for (const TensorRef& index : all.indices) inputs.push_back(index.get());
  b.set_all(apply(*this, inputs, all.attributes));
  return true;
}

void Take::vjp(Vjp& vjp) const {
  if (!vjp.needs(0)) return;
  TensorRef spread = ops::zeros(vjp.input_sizes(0), vjp.grad()->dtype);
  vjp.set(0, reapply(kIndexPutAdd, {spread.get(), vjp.grad().get()}, vjp, 1, true));
}

void PutValues::vjp(Vjp& vjp) const {
  if (vjp.needs(0)) {
    if (put_ == Put::Add) {
      vjp.set(0, vjp.grad());
    } else {
      TensorRef zero = ops::zeros({}, vjp.grad()->dtype);
      vjp.set(0, reapply(kIndexPut, {vjp.grad().get(), zero.get()}, vjp, 2));
    }
  }
  if (vjp.needs(1)) vjp.set(1, reapply(kIndex, {vjp.grad().get()}, vjp, 2));
}

bool is_mask(const Tensor& index) { return index.dtype == DType::Bool || index.dtype == DType::UInt8; }

// Index tensors as the primitives want them, and the axes each stands for.
class Indices {
 public:
  Indices(const char* op, const Tensor& x, std::span<Tensor* const> given) {
    int axis = 0;
    for (Tensor* index : given) {
      if (!index) {
        ++axis;
        continue;
      }
      const int span = is_mask(*index) ? index->rank() : 1;
      if (axis + span > x.rank())
        fail(ErrorKind::Index, "[", op, "] too many indices for a tensor of ", x.rank(), " dimensions");
      if (is_mask(*index)) {
        for (int d = 0; d < span; ++d)
          if (index->sizes[d] != x.sizes[axis + d])
            fail(ErrorKind::Index, "[", op, "] the shape of the mask ", index->sizes, " at dimension ", d,
                 " does not match the shape of the indexed tensor ", x.sizes, " at dimension ", axis + d);
        add(ops::flat_nonzero(*index), op);
      } else if (index->dtype == DType::Int64 || index->dtype == DType::Int32) {
        add(TensorRef(index), op);
      } else {
        fail(ErrorKind::Index, "[", op, "] tensors used as indices must be int64, int32, uint8 or bool, got ",
             name(index->dtype));
      }
      attributes.ints.push_back(axis);
      attributes.ints.push_back(span);
      axis += span;
    }
    if (axis > x.rank())
      fail(ErrorKind::Index, "[", op, "] too many indices for a tensor of ", x.rank(), " dimensions");
  }
  // The inputs of a primitive: `before`, then the index tensors.
  std::span<Tensor* const> inputs(std::initializer_list<Tensor*> before) {
    Tensor** at = list_;
    for (Tensor* tensor : before) *at++ = tensor;
    for (int k = 0; k < count_; ++k) *at++ = indices_[k].get();
    return {list_, static_cast<size_t>(at - list_)};
  }

  Attributes attributes;

 private:
  void add(TensorRef index, const char* op) {
    if (count_ == kMaxIndices)
      fail(ErrorKind::Index, "[", op, "] at most ", kMaxIndices, " index tensors are supported");
    indices_[count_++] = std::move(index);
  }
  TensorRef indices_[kMaxIndices];
  Tensor* list_[kMaxIndices + 2];
  int count_ = 0;
};

// Values take the dtype of what they are written to, as in other in-place ops.
TensorRef fitting(const char* op, const Tensor& x, Tensor& values) {
  if (values.dtype != x.dtype && values.rank() > 0 && !can_cast_in_place(values.dtype, x.dtype))
    fail(ErrorKind::DType, "[", op, "] values of dtype ", name(values.dtype), " cannot be written into ",
         name(x.dtype), "; cast them first");
  return ops::cast(values, x.dtype);
}

// Arguments of an op along one axis: a vector of positions, and values with as many rows.
struct AlongAxis {
  AlongAxis(const char* op, const Tensor& x, int64_t wanted_axis, Tensor& given, const Tensor* source) {
    const int axis = wrap_axis(wanted_axis, x.rank(), op);
    check_index_dtype(op, given.dtype);
    if (given.rank() > 1)
      fail(ErrorKind::Index, "[", op, "] the index must be a vector, got shape ", given.sizes);
    index = ops::cast(given, DType::Int64);
    if (given.rank() == 0) index = ops::unsqueeze(*index, 0);
    attributes.ints = Dims{axis, x.rank() ? 1 : 0};
    if (!source) return;
    if (source->dtype != x.dtype)
      fail(ErrorKind::DType, "[", op, "] expected source of the input's dtype ", name(x.dtype), ", got ",
           name(source->dtype));
    Dims expected = x.sizes;
    if (x.rank()) expected[axis] = index->numel;
    if (source->sizes != expected)
      fail(ErrorKind::Shape, "[", op, "] expected source of shape ", expected, " for ", index->numel,
           " indices into dimension ", axis, " of shape ", x.sizes, ", got ", source->sizes);
  }
  TensorRef index;
  Attributes attributes;
};

TensorRef along_axis(const PutValues& primitive, Tensor& x, int64_t axis, Tensor& index, Tensor& source) {
  const AlongAxis along(primitive.name(), x, axis, index, &source);
  return apply(primitive, {&x, &source, along.index.get()}, along.attributes);
}

void along_axis_(const PutValues& primitive, Tensor& x, int64_t axis, Tensor& index, Tensor& source) {
  const AlongAxis along(primitive.name(), x, axis, index, &source);
  Tensor* inputs[] = {&x, &source, along.index.get()};
  apply_in_place(primitive, inputs, along.attributes);
}

TensorRef scaled(Tensor& source, Scalar alpha) {
  return !alpha.is_complex() && alpha.as_double() == 1.0 ? TensorRef(&source) : ops::mul(source, alpha);
}

void check_mask(const char* op, const Tensor& mask) {
  if (mask.dtype != DType::Bool)
    fail(ErrorKind::DType, "[", op, "] expected a mask of dtype bool, got ", name(mask.dtype));
}

// The places of a mask over x, and the values for them.
struct MaskedScatter {
  MaskedScatter(Tensor& x, Tensor& mask, Tensor& source) {
    check_mask("masked_scatter", mask);
    if (source.dtype != x.dtype)
      fail(ErrorKind::DType, "[masked_scatter] expected source of the input's dtype ", name(x.dtype),
           ", got ", name(source.dtype));
    positions = ops::flat_nonzero(*ops::expand(mask, x.sizes));
    if (source.numel < positions->numel)
      fail(ErrorKind::Shape, "[masked_scatter] the mask asks for ", positions->numel,
           " elements, source has ", source.numel);
    values = ops::slice(*ops::reshape(source, {-1}), 0, 0, positions->numel);
  }
  TensorRef positions, values;
};

// One value for all places of one mask is a choice between the two, element by element.
bool is_masked_fill(const Tensor& x, std::span<Tensor* const> indices, const Tensor& value) {
  const Tensor* mask = nullptr;
  int before = 0, after = 0;  // full slices
  for (const Tensor* index : indices) {
    if (mask && index) return false;
    if (index) mask = index;
    before += !mask;
    after += mask && !index;
  }
  if (!mask || value.numel != 1 || value.rank() > 1) return false;
  bool fits = is_mask(*mask) && before + mask->rank() + after <= x.rank();
  for (int d = 0; fits && d < mask->rank(); ++d) fits = mask->sizes[d] == x.sizes[before + d];
  return fits;
}

struct MaskedFill {
  MaskedFill(Tensor& x, std::span<Tensor* const> indices, Tensor& value) {
    int axis = 0;
    while (!indices[axis]) ++axis;
    mask = apart(*indices[axis], x);
    if (axis + mask->rank() < x.rank()) {
      Dims sizes = mask->sizes;
      while (axis + sizes.size() < x.rank()) sizes.push_back(1);
      mask = ops::reshape(*mask, sizes);
    }
    inputs[0] = x;
    inputs[1] = *mask;
    one = apart(value, x);
    if (one->rank()) one = ops::reshape(*one, {});
    inputs[2] = *one;
  }
  // What is read must not change while x is written.
  static TensorRef apart(Tensor& read, const Tensor& x) {
    return read.storage.get() == x.storage.get() ? ops::clone(read) : TensorRef(&read);
  }
  TensorRef mask, one;
  Input inputs[3];
};

}  // namespace

namespace ops {

TensorRef index(Tensor& x, std::span<Tensor* const> indices) {
  Indices list("index", x, indices);
  return apply(kIndex, list.inputs({&x}), list.attributes);
}

TensorRef index_put(Tensor& x, std::span<Tensor* const> indices, Tensor& values, bool accumulate) {
  TensorRef fits = fitting("index_put", x, values);
  if (!accumulate && is_masked_fill(x, indices, values)) {
    const MaskedFill fill(x, indices, *fits);
    return apply(*kMaskedFill, fill.inputs);
  }
  Indices list("index_put", x, indices);
  return apply(accumulate ? kIndexPutAdd : kIndexPut, list.inputs({&x, fits.get()}), list.attributes);
}

void index_put_(Tensor& x, std::span<Tensor* const> indices, Tensor& values, bool accumulate) {
  TensorRef fits = fitting("index_put", x, values);
  if (!accumulate && is_masked_fill(x, indices, values)) {
    const MaskedFill fill(x, indices, *fits);
    apply_in_place(*kMaskedFill, fill.inputs, x);
    return;
  }
  Indices list("index_put", x, indices);
  apply_in_place(accumulate ? kIndexPutAdd : kIndexPut, list.inputs({&x, fits.get()}), list.attributes);
}

TensorRef masked_select(Tensor& x, Tensor& mask) {
  check_mask("masked_select", mask);
  const Dims sizes = broadcast_sizes(x.sizes, mask.sizes, "masked_select");
  TensorRef wide_x = expand(x, sizes), wide_mask = expand(mask, sizes);
  Tensor* list[] = {wide_mask.get()};
  return index(*wide_x, list);
}

TensorRef masked_scatter(Tensor& x, Tensor& mask, Tensor& source) {
  const Dims sizes = broadcast_sizes(x.sizes, mask.sizes, "masked_scatter");
  TensorRef wide = expand(x, sizes);
  const MaskedScatter checked(*wide, mask, source);
  return apply(kMaskedScatter, {wide.get(), checked.values.get(), checked.positions.get()},
               {Dims{0, wide->rank()}, {}});
}

void masked_scatter_(Tensor& x, Tensor& mask, Tensor& source) {
  const MaskedScatter checked(x, mask, source);
  Tensor* inputs[] = {&x, checked.values.get(), checked.positions.get()};
  apply_in_place(kMaskedScatter, inputs, {Dims{0, x.rank()}, {}});
}

TensorRef take(Tensor& x, Tensor& index) {
  check_index_dtype("take", index.dtype);
  TensorRef flat = reshape(x, {-1}), positions = cast(index, DType::Int64);
  return apply(kTake, {flat.get(), positions.get()}, {Dims{0, 1}, {}});
}

TensorRef index_select(Tensor& x, int64_t axis, Tensor& index) {
  TensorRef wide = x.rank() ? TensorRef(&x) : unsqueeze(x, 0);
  const AlongAxis along("index_select", *wide, axis, index, nullptr);
  TensorRef taken = apply(kIndexSelect, {wide.get(), along.index.get()}, along.attributes);
  return x.rank() ? taken : reshape(*taken, {});
}

TensorRef index_add(Tensor& x, int64_t axis, Tensor& index, Tensor& source, Scalar alpha) {
  return along_axis(kIndexAdd, x, axis, index, *scaled(source, alpha));
}
void index_add_(Tensor& x, int64_t axis, Tensor& index, Tensor& source, Scalar alpha) {
  along_axis_(kIndexAdd, x, axis, index, *scaled(source, alpha));
}
TensorRef index_copy(Tensor& x, int64_t axis, Tensor& index, Tensor& source) {
  return along_axis(kIndexCopy, x, axis, index, source);
}
void index_copy_(Tensor& x, int64_t axis, Tensor& index, Tensor& source) {
  along_axis_(kIndexCopy, x, axis, index, source);
}

TensorRef index_fill(Tensor& x, int64_t axis, Tensor& index, Scalar value) {
  const AlongAxis along("index_fill", x, axis, index, nullptr);
  check_range(value, x.dtype, "index_fill");
  TensorRef one = full({}, x.dtype, value);
  return apply(kIndexFill, {&x, one.get(), along.index.get()}, along.attributes);
}
void index_fill_(Tensor& x, int64_t axis, Tensor& index, Scalar value) {
  const AlongAxis along("index_fill", x, axis, index, nullptr);
  check_range(value, x.dtype, "index_fill");
  TensorRef one = full({}, x.dtype, value);
  Tensor* inputs[] = {&x, one.get(), along.index.get()};
  apply_in_place(kIndexFill, inputs, along.attributes);
}

}  // namespace ops

namespace {

const Function kFunctions[] = {
    {"nonzero", [](Args& a) { return Result(ops::nonzero(a.tensor(0))); }},
    {"index", [](Args& a) { return Result(ops::index(a.tensor(0), a.optional_tensors(1))); }},
    {"index_put",
     [](Args& a) {
       return Result(ops::index_put(a.tensor(0), a.optional_tensors(1), a.tensor(2), a.flag(3)));
     }},
    {"index_put_",
     [](Args& a) {
       ops::index_put_(a.tensor(0), a.optional_tensors(1), a.tensor(2), a.flag(3));
       return Result(TensorRef(&a.tensor(0)));
     }},
    {"masked_select", [](Args& a) { return Result(ops::masked_select(a.tensor(0), a.tensor(1))); }},
    {"masked_scatter",
     [](Args& a) { return Result(ops::masked_scatter(a.tensor(0), a.tensor(1), a.tensor(2))); }},
    {"masked_scatter_",
     [](Args& a) {
       ops::masked_scatter_(a.tensor(0), a.tensor(1), a.tensor(2));
       return Result(TensorRef(&a.tensor(0)));
     }},
    {"take", [](Args& a) { return Result(ops::take(a.tensor(0), a.tensor(1))); }},
    {"index_select",
     [](Args& a) { return Result(ops::index_select(a.tensor(0), a.integer(1), a.tensor(2))); }},
    {"index_add",
     [](Args& a) {
       return Result(ops::index_add(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), a.scalar(4)));
     }},
    {"index_add_",
     [](Args& a) {
       ops::index_add_(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), a.scalar(4));
       return Result(TensorRef(&a.tensor(0)));
     }},
    {"index_copy",
     [](Args& a) { return Result(ops::index_copy(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3))); }},
    {"index_copy_",
     [](Args& a) {
       ops::index_copy_(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3));
       return Result(TensorRef(&a.tensor(0)));
     }},
    {"index_fill",
     [](Args& a) { return Result(ops::index_fill(a.tensor(0), a.integer(1), a.tensor(2), a.scalar(3))); }},
    {"index_fill_",
     [](Args& a) {
       ops::index_fill_(a.tensor(0), a.integer(1), a.tensor(2), a.scalar(3));
       return Result(TensorRef(&a.tensor(0)));
     }},
};

}  // namespace

}  // namespace versant
