#include "machine/complex.h"

#include "machine/call.h"
#include "machine/elementwise.h"
#include "machine/ops.h"
#include "machine/program.h"
#include "machine/transforms/batching.h"

namespace versant {

namespace {

Dims doubled(const Dims& strides) {
  Dims twice = strides;
  for (int d = 0; d < twice.size(); ++d) twice[d] *= 2;
  return twice;
}

// The same memory with another dtype and geometry.
Array reinterpreted(const Array& array, DType dtype, Dims sizes, Dims strides) {
  Array same = array;
  same.dtype = dtype;
  return same.view(std::move(sizes), std::move(strides));
}

// Whether either of two numbers is not 0.
const Program& either_program() {
  static const Program program = [] {
    Program p;
    p.n_inputs = 2;
    p.code = {{Micro::LogicalOr, 0, 1, 0}};
    p.outputs = {2};
    p.finish();
    return p;
  }();
  return program;
}

}  // namespace

Array part_of(const Array& complex, int part) {
  Array parts = reinterpreted(complex, real_dtype(complex.dtype), complex.sizes, doubled(complex.strides));
  parts.data = parts.as<char>() + part * static_cast<int64_t>(itemsize(parts.dtype));
  return parts;
}

Array as_real(const Array& complex) {
  Dims sizes = complex.sizes, strides = doubled(complex.strides);
  sizes.push_back(2);
  strides.push_back(1);
  return reinterpreted(complex, real_dtype(complex.dtype), std::move(sizes), std::move(strides));
}

Array as_complex(const Array& pairs) {
  Dims sizes = pairs.sizes, strides = pairs.strides;
  sizes.erase(sizes.size() - 1);
  strides.erase(strides.size() - 1);
  for (int d = 0; d < strides.size(); ++d) strides[d] /= 2;
  return reinterpreted(pairs, complex_dtype(pairs.dtype), std::move(sizes), std::move(strides));
}

void copy_complex(const Array& dst, const Array& src) {
  if (is_complex(dst.dtype) && is_complex(src.dtype)) {
    copy_into(as_real(dst), as_real(src.expand(dst.sizes)));
  } else if (is_complex(dst.dtype)) {
    copy_into(part_of(dst, 0), src);
    fill(part_of(dst, 1), Scalar::of(0.0));
  } else if (dst.dtype == DType::Bool) {
    const Array re = part_of(src, 0), im = part_of(src, 1);
    const Operand operands[2] = {{&re, {}}, {&im, {}}};
    const Array* outputs[1] = {&dst};
    run_program(either_program(), compute_of(re.dtype), operands, outputs, dst.sizes, re.dtype, "copy");
  } else {
    copy_into(dst, part_of(src, 0));
  }
}

void run_pairs(const Program& program, DType common, std::span<const Operand> sources,
               std::span<const Array* const> outputs, const Dims& sizes, const char* op) {
  const DType real = real_dtype(common);
  Array halves[Program::kMaxInputs], results[Program::kMaxOutputs];
  Operand operands[Program::kMaxInputs];
  int n = 0, n_halves = 0;
  for (const Operand& source : sources) {
    if (!source.array) {
      operands[n++] = {nullptr, source.scalar.real_part()};
      operands[n++] = {nullptr, source.scalar.imaginary_part()};
    } else if (is_complex(source.array->dtype)) {
      for (const int part : {0, 1}) {
        halves[n_halves] = part_of(*source.array, part);
        operands[n++] = {&halves[n_halves++], {}};
      }
    } else {
      operands[n++] = {source.array, {}};
      operands[n++] = {nullptr, Scalar::of(0.0)};
    }
  }
  const Array* written[Program::kMaxOutputs];
  int n_written = 0;
  for (const Array* output : outputs) {
    if (!is_complex(output->dtype)) {
      written[n_written++] = output;
      continue;
    }
    for (const int part : {0, 1}) {
      results[n_written] = part_of(*output, part);
      written[n_written] = &results[n_written];
      ++n_written;
    }
  }
  run_program(program, compute_of(real), {operands, static_cast<size_t>(n)},
              {written, static_cast<size_t>(n_written)}, sizes, real, op);
}

namespace ops {

namespace {

const NamedOp kComplex("complex"), kConj("conj_physical");

struct AsReal final : Primitive {
  const char* name() const override { return "view_as_real"; }
  bool batch(Batch& b) const override { return b.leading(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool is_view() const override { return true; }
  void run(Run& run) const override { run.out[0] = versant::as_real(*run.in[0]); }
  void vjp(Vjp& vjp) const override;
};

struct AsComplex final : Primitive {
  const char* name() const override { return "view_as_complex"; }
  bool batch(Batch& b) const override { return b.leading(); }
  Linearity linearity(const Attributes&) const override { return Linearity::Joint; }
  bool is_view() const override { return true; }
  void run(Run& run) const override { run.out[0] = versant::as_complex(*run.in[0]); }
  void vjp(Vjp& vjp) const override;
};

const AsReal kAsReal;
const AsComplex kAsComplex;

// Why pairs cannot be read as complex numbers where they lie; null where they can.
const char* obstacle(const Array& pairs) {
  if (pairs.strides.back() != 1) return "the last dimension must have stride 1";
  if (pairs.offset() % 2) return "the storage offset must be even";
  for (int d = 0; d < pairs.rank() - 1; ++d)
    if (pairs.sizes[d] != 1 && pairs.strides[d] % 2) return "all strides but the last must be even";
  return nullptr;
}

void AsReal::vjp(Vjp& vjp) const {
  TensorRef g = vjp.grad();
  if (obstacle(*g)) g = g->contiguous ? clone(*g) : contiguous(*g);
  vjp.set(0, ops::as_complex(*g));
}
void AsComplex::vjp(Vjp& vjp) const { vjp.set(0, ops::as_real(*vjp.grad())); }

}  // namespace

TensorRef as_real(Tensor& x) {
  if (!is_complex(x.dtype))
    fail(ErrorKind::Runtime, "[view_as_real] expected a complex tensor, got ", name(x.dtype));
  return apply(kAsReal, {&x});
}

TensorRef as_complex(Tensor& pairs) {
  if (pairs.dtype != DType::Float32 && pairs.dtype != DType::Float64)
    fail(ErrorKind::Runtime, "[view_as_complex] expected a float32 or float64 tensor, got ",
         name(pairs.dtype));
  if (pairs.rank() == 0 || pairs.sizes.back() != 2)
    fail(ErrorKind::Runtime, "[view_as_complex] expected a last dimension of size 2, got shape ",
         pairs.sizes);
  if (const char* why = obstacle(pairs)) fail(ErrorKind::Runtime, "[view_as_complex] ", why);
  return apply(kAsComplex, {&pairs});
}

TensorRef part_of(Tensor& x, int part) {
  if (!is_complex(x.dtype) && part == 0) return TensorRef(&x);
  const TensorRef parts = as_real(x);
  return select(*parts, -1, part);
}

TensorRef join(Tensor& re, Tensor* im) {
  const Input list[] = {Input(re), im ? Input(*im) : Input(Scalar::of(0.0))};
  return apply(*kComplex, list);
}

TensorRef conj(Tensor& x) {
  if (!is_complex(x.dtype)) return TensorRef(&x);
  const Input list[] = {Input(x)};
  return apply(*kConj, list);
}

}  // namespace ops

namespace {

const Function kFunctions[] = {
    {"view_as_real", [](Args& a) { return Result(ops::as_real(a.tensor(0))); }},
    {"view_as_complex", [](Args& a) { return Result(ops::as_complex(a.tensor(0))); }},
    {"real", [](Args& a) { return Result(ops::part_of(a.tensor(0), 0)); }},
    {"imag",
     [](Args& a) {
       if (!is_complex(a.tensor(0).dtype))
         fail(ErrorKind::Runtime, "[imag] is not implemented for tensors with non-complex dtypes");
       return Result(ops::part_of(a.tensor(0), 1));
     }},
};

}  // namespace

}  // namespace versant
