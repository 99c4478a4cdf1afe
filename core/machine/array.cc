#include "machine/array.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "machine/complex.h"
#include "machine/element_copy.h"
#include "machine/kernels.h"
#include "machine/program.h"
#include "machine/trace.h"

namespace versant {

Dims contiguous_strides(const Dims& sizes) {
  Dims strides(sizes.size());
  int64_t step = 1;
  for (int d = sizes.size() - 1; d >= 0; --d) {
    strides[d] = step;
    step *= std::max<int64_t>(sizes[d], 1);
  }
  return strides;
}

bool is_contiguous(const Dims& sizes, const Dims& strides) {
  int64_t step = 1;
  bool plain = true;
  for (int d = sizes.size() - 1; d >= 0; --d) {
    if (sizes[d] == 0) return true;
    plain = plain && (sizes[d] == 1 || strides[d] == step);
    step *= sizes[d];
  }
  return plain;
}

namespace {
void check_rank(const Dims& sizes) {
  if (sizes.size() > kMaxRank) [[unlikely]]
    fail(ErrorKind::Value, "at most ", kMaxRank, " dimensions are supported, got ", sizes.size());
}
}  // namespace

int64_t checked_numel(const Dims& sizes, size_t itemsize) {
  check_rank(sizes);
  int64_t numel = 1;
  bool overflow = false, zero = false;
  for (const int64_t size : sizes) {
    if (size < 0) fail(ErrorKind::Shape, "negative dimension ", size, " in shape ", sizes);
    zero |= size == 0;
    overflow |= __builtin_mul_overflow(numel, size, &numel);
  }
  if (zero) return 0;
  int64_t bytes;
  if (overflow || __builtin_mul_overflow(numel, static_cast<int64_t>(itemsize), &bytes))
    fail(ErrorKind::Shape, "the number of bytes of shape ", sizes, " overflows");
  return numel;
}

Array Array::empty(const Dims& sizes, DType dtype) {
  Array array;
  array.numel = checked_numel(sizes, itemsize(dtype));
  array.storage = Storage::allocate(array.numel * itemsize(dtype));
  array.data = array.storage->data;
  array.dtype = dtype;
  array.sizes = sizes;
  array.strides = contiguous_strides(sizes);
  return array;
}

Array Array::empty_like_layout(const Array& like, DType dtype) {
  Array array = empty(like.sizes, dtype);
  if (like.contiguous || !like.is_dense()) return array;
  array.strides = like.strides;
  array.contiguous = false;
  return array;
}

Array Array::full(const Dims& sizes, DType dtype, Scalar value) {
  Array array = empty(sizes, dtype);
  fill(array, value);
  return array;
}

Array Array::view(Dims sizes, Dims strides, int64_t shift) const {
  check_rank(sizes);
  Array array;
  array.storage = storage;
  array.data = static_cast<char*>(data) + shift * static_cast<int64_t>(itemsize(dtype));
  array.dtype = dtype;
  array.numel = 1;
  for (const int64_t size : sizes) array.numel *= size;
  array.contiguous = is_contiguous(sizes, strides);
  array.sizes = std::move(sizes);
  array.strides = std::move(strides);
  return array;
}

Array Array::expand(const Dims& to) const { return view(to, broadcast_strides(sizes, strides, to)); }

Array Array::to_contiguous() const {
  if (contiguous) return *this;
  Array copy = empty(sizes, dtype);
  copy_into(copy, *this);
  return copy;
}

Array Array::to_dtype(DType to) const {
  if (dtype == to) return *this;
  Array copy = empty_like_layout(*this, to);
  copy_into(copy, *this);
  return copy;
}

// Walks the old axes from the back and splits each contiguous run of them into new ones.
bool Array::can_view_as(const Dims& to, Dims* to_strides) const {
  if (contiguous || numel == 0) {
    *to_strides = contiguous_strides(to);
    return true;
  }
  to_strides->resize(to.size());
  int out = to.size() - 1;
  int64_t run = 1, filled = 1;  // elements in the current run of old axes, and in the new axes laid over it
  int64_t step = strides.empty() ? 1 : strides.back();
  for (int d = sizes.size() - 1; d >= 0; --d) {
    run *= sizes[d];
    const bool ends = d == 0 || (sizes[d - 1] != 1 && strides[d - 1] != run * step);
    if (!ends) continue;
    while (out >= 0 && (filled < run || to[out] == 1)) {
      (*to_strides)[out] = filled * step;
      filled *= to[out--];
    }
    if (filled != run) return false;
    if (d > 0) {
      step = strides[d - 1];
      run = filled = 1;
    }
  }
  return out == -1;
}

bool Array::is_dense() const {
  if (contiguous) return true;
  int order[kMaxRank];
  int n = 0;
  for (int d = 0; d < rank(); ++d)
    if (sizes[d] != 1) order[n++] = d;
  std::sort(order, order + n, [&](int a, int b) { return strides[a] < strides[b]; });
  int64_t step = 1;
  for (int i = 0; i < n; ++i) {
    if (strides[order[i]] != step) return false;
    step *= sizes[order[i]];
  }
  return true;
}

Dims broadcast_sizes(const Dims& a, const Dims& b, const char* op) {
  const int rank = std::max(a.size(), b.size());
  Dims sizes(rank);
  for (int i = 1; i <= rank; ++i) {
    const int64_t x = i <= a.size() ? a[a.size() - i] : 1, y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1)
      fail(ErrorKind::Shape, "[", op, "] shapes ", a, " and ", b, " do not broadcast: ", x, " against ", y,
           " at axis ", -i);
    sizes[rank - i] = x == 1 ? y : x;
  }
  return sizes;
}

Dims broadcast_strides(const Dims& sizes, const Dims& strides, const Dims& to) {
  Dims result(to.size(), 0);
  const int lead = to.size() - sizes.size();
  if (lead < 0) fail(ErrorKind::Shape, "[expand] shape ", sizes, " has more dimensions than ", to);
  for (int d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == to[lead + d])
      result[lead + d] = strides[d];
    else if (sizes[d] != 1)
      fail(ErrorKind::Shape, "[expand] shape ", sizes, " does not broadcast to ", to);
  }
  return result;
}

int wrap_axis(int64_t axis, int rank, const char* op) {
  const int64_t range = std::max(rank, 1);
  if (axis < -range || axis >= range)
    fail(ErrorKind::Axis, "[", op, "] Dimension out of range (expected to be in range of [", -range, ", ",
         range - 1, "], but got ", axis, ")");
  return static_cast<int>(axis < 0 ? axis + range : axis);
}

namespace {
// The program that hands its input on.
const Program& identity_program() {
  static const Program program = [] {
    Program p;
    p.n_inputs = 1;
    p.outputs = {0};
    p.finish();
    return p;
  }();
  return program;
}

// Registers that keep every value of both dtypes when one side is integral.
Compute copy_compute(DType from, DType to) {
  if (is_floating(from)) return compute_of(from);
  return is_floating(to) && to == DType::Float64 ? Compute::F64
         : is_floating(to)                       ? Compute::F32
                                                 : Compute::I64;
}
}  // namespace

void copy_into(const Array& dst, const Array& src) {
  if (dst.numel == 0) return;
  if (modes.tracing) [[unlikely]] {
    {
      const trace::Quiet quiet;
      copy_into(dst, src);
    }
    return trace::recorder->copy(dst, src);
  }
  if (modes.watching) [[unlikely]] {
    const Operand in[] = {{&src, {}}};
    const Array* const out[] = {&dst};
    return watch::around("copy", in, out, [&] { copy_into(dst, src); });
  }
  if (dst.dtype == src.dtype && dst.contiguous && src.contiguous && dst.sizes == src.sizes) {
    if (dst.storage.get() != src.storage.get()) return copy_bytes(dst, src);
    if (dst.data != src.data) std::memmove(dst.data, src.data, dst.bytes());
    return;
  }
  if (dst.dtype == src.dtype) return copy_elements(dst, src);
  if (is_complex(dst.dtype) || is_complex(src.dtype)) return copy_complex(dst, src);
  Operand operand;
  operand.array = &src;
  const Array* outputs[1] = {&dst};
  run_program(identity_program(), copy_compute(src.dtype, dst.dtype), {&operand, 1}, outputs, dst.sizes,
              src.dtype, "copy");
}

namespace {
bool is_plain_zero(double x) { return x == 0.0 && !std::signbit(x); }
}  // namespace

void fill(const Array& dst, Scalar value) {
  if (dst.numel == 0) return;
  if (modes.tracing) [[unlikely]] {
    {
      const trace::Quiet quiet;
      fill(dst, value);
    }
    return trace::recorder->fill(dst, value);
  }
  if (modes.watching) [[unlikely]] {
    const Operand in[] = {{nullptr, value}};
    const Array* const out[] = {&dst};
    return watch::around("fill", in, out, [&] { fill(dst, value); });
  }
  if (dst.contiguous &&
      (value.is_whole() ? value.i == 0 : is_plain_zero(value.f) && is_plain_zero(value.imaginary_part().f)))
    return zero_bytes(dst);
  if (is_complex(dst.dtype)) {
    fill(part_of(dst, 0), value.real_part());
    return fill(part_of(dst, 1), value.imaginary_part());
  }
  Operand operand;
  operand.scalar = value;
  const Array* outputs[1] = {&dst};
  const Compute compute = is_floating(dst.dtype) || value.is_whole() ? compute_of(dst.dtype) : Compute::F64;
  run_program(identity_program(), compute, {&operand, 1}, outputs, dst.sizes, dst.dtype, "fill");
}

Scalar item(const Array& array, bool truth) {
  if (array.numel != 1)
    fail(ErrorKind::Shape, "[item] a tensor of shape ", array.sizes, " is no single number");
  if (modes.tracing) [[unlikely]] {
    const Scalar value = [&] {
      const trace::Quiet quiet;
      return item(array);
    }();
    trace::recorder->read(array, value, truth);
    return value;
  }
  if (is_complex(array.dtype))
    return Scalar::of_complex(item(part_of(array, 0)).f, item(part_of(array, 1)).f);
  if (is_floating(array.dtype)) {
    double value;
    kernels->load_of(array.dtype, Compute::F64)(&value, array.data, 0, 1);
    return Scalar::of(value);
  }
  int64_t value;
  kernels->load_of(array.dtype, Compute::I64)(&value, array.data, 0, 1);
  return array.dtype == DType::Bool ? Scalar::of_bool(value != 0) : Scalar::of_int(value);
}

std::string describe(const Array& array) {
  std::string out(name(array.dtype));
  out += '[';
  for (int d = 0; d < array.rank(); ++d) out += (d ? ", " : "") + std::to_string(array.sizes[d]);
  return out + ']';
}

}  // namespace versant
