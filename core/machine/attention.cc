// Scaled dot-product attention: softmax(scale q k^T + mask) v, without the matrix of scores. See
// Note [Attention by tiles] in attention.h.
#include "machine/attention.h"

#include <cmath>

#include "machine/call.h"
#include "machine/draws.h"
#include "machine/lock.h"
#include "machine/ops.h"
#include "machine/parallel.h"
#include "machine/scratch.h"
#include "machine/tiles.h"
#include "machine/transforms/batching.h"

namespace versant::ops {

namespace {

constexpr const char* kName = "scaled_dot_product_attention";
constexpr int64_t kParallelWork = 200000;  // multiply-adds from which threads share
constexpr int64_t kFewTasks = 8;           // fewer heads share out their keys in backward

// ints: causal, whether a mask is given, seed and first block of the draws; floats: scale, p.
struct Form {
  explicit Form(const Attributes& a)
      : causal(a.ints[0] != 0), masked(a.ints[1] != 0), scale(a.floats[0]), p(a.floats[1]) {}
  bool causal, masked;
  double scale, p;
};

AttentionRows rows_of(const Array& x, Compute compute) {
  AttentionRows rows;
  const int64_t item = itemsize(x.dtype);
  rows.data = x.as<char>();
  rows.batch = x.strides[0] * item;
  rows.head = x.strides[1] * item;
  rows.row = x.strides[2] * item;
  rows.column = x.strides[3];
  rows.plain = x.dtype == stored_dtype(compute) && rows.column == 1;
  rows.load = kernels->load_of(x.dtype, compute);
  rows.store = kernels->store_of(x.dtype, compute);
  return rows;
}

// (B, H, T, D) that lies in memory as (B, T, H, D): joining the heads of the result needs no copy.
Array heads_inside(const Dims& sizes, DType dtype) {
  const Array x = Array::empty(Dims{sizes[0], sizes[2], sizes[1], sizes[3]}, dtype);
  return x.view(sizes, Dims{x.strides[0], x.strides[2], x.strides[1], x.strides[3]});
}

AttentionJob job_of(const Run& run, const Array& q, const Array& k, const Array& v, const Array* mask,
                    Compute compute) {
  const Form form(run.attributes);
  AttentionJob job;
  job.batch = q.sizes[0];
  job.heads = q.sizes[1];
  job.queries = q.sizes[2];
  job.keys = k.sizes[2];
  job.group = q.sizes[1] / k.sizes[1];
  job.width = q.sizes[3];
  job.value_width = v.sizes[3];
  job.scale = form.scale;
  job.causal = form.causal;
  job.q = rows_of(q, compute);
  job.k = rows_of(k, compute);
  job.v = rows_of(v, compute);
  if (mask) {
    job.mask = rows_of(mask->expand(Dims{job.batch, job.heads, job.queries, job.keys}), compute);
    job.mask_item = itemsize(mask->dtype);
    job.choosing = mask->dtype == DType::Bool;
  }
  if (form.p > 0) {
    job.dropping = true;
    job.seed = static_cast<uint64_t>(run.attributes.ints[2]);
    job.first = static_cast<uint64_t>(run.attributes.ints[3]);
    job.threshold = static_cast<uint32_t>(std::min(std::ldexp(form.p, 32), 0x1p32 - 1));
    job.keep_scale = form.p < 1 ? 1 / (1 - form.p) : 0;
  }
  return job;
}

// Runs `tasks` tasks in as many stretches as there are threads, each with working memory of its own.
void run_tasks(const AttentionJob& job, AttentionKernel kernel, int64_t tasks, int64_t elements,
               Compute compute) {
  const int64_t work = job.batch * job.heads * job.queries * job.keys * (job.width + job.value_width);
  const int64_t lanes = work < kParallelWork ? 1 : std::min<int64_t>(num_threads(), tasks);
  const int64_t stretch = (tasks + lanes - 1) / lanes;
  const auto each = static_cast<size_t>((elements + 15) / 16 * 16) * item_bytes(compute);
  Scratch scratch(each * static_cast<size_t>(lanes));
  Unlocked unlocked(work >= kParallelWork);
  parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane)
      kernel(job, lane * stretch, std::min(tasks, (lane + 1) * stretch),
             scratch.data() + static_cast<size_t>(lane) * each);
  });
}

// Whether the claims of a saved program about q, k and v, which stand from `at` on, and a mask hold.
bool admits_heads(const Claim& c, size_t at, size_t mask) {
  const int ints = c.attributes.ints.size();
  const double p = c.attributes.floats[1];
  if (ints < 2 || ints > 4 || !(p >= 0 && p <= 1) || (p > 0 && ints < 4)) return false;
  const Array &q = *c.in[at], &k = *c.in[at + 1], &v = *c.in[at + 2];
  if (q.rank() != 4 || k.rank() != 4 || v.rank() != 4 || !is_floating(q.dtype) || k.dtype != q.dtype ||
      v.dtype != q.dtype)
    return false;
  if (k.sizes[0] != q.sizes[0] || v.sizes[0] != q.sizes[0] || k.sizes[1] < 1 || q.sizes[1] % k.sizes[1] ||
      v.sizes[1] != k.sizes[1] || k.sizes[3] != q.sizes[3] || v.sizes[2] != k.sizes[2])
    return false;
  const bool masked = c.attributes.ints[1] != 0;
  if (c.in.size() != mask + masked) return false;
  return !masked || c.in[mask]->dtype == DType::Bool || c.in[mask]->dtype == q.dtype;
}

// Inputs: q (B, H, T, D), k (B, G, S, D), v (B, G, S, E) with H a multiple of G, and perhaps a mask that
// broadcasts to (B, H, T, S). Outputs: (B, H, T, E), and the logarithm of what each query's softmax divides
// by.
struct Attention final : Primitive {
  const char* name() const override { return kName; }
  bool batch(Batch& b) const override;
  int draws_at(const Attributes& a) const override { return a.floats[1] > 0 ? 2 : -1; }
  bool admits(const Claim& c) const override {
    return c.out.size() == 2 && c.in.size() >= 3 && admits_heads(c, 0, 3);
  }
  void run(Run& run) const override {
    const Array &q = *run.in[0], &k = *run.in[1], &v = *run.in[2];
    const Compute compute = compute_of(q.dtype);
    run.n_outputs = 2;
    run.out[0] = heads_inside(Dims{q.sizes[0], q.sizes[1], q.sizes[2], v.sizes[3]}, q.dtype);
    run.out[1] = Array::empty(Dims{q.sizes[0], q.sizes[1], q.sizes[2]}, stored_dtype(compute));
    if (run.out[1].numel == 0 || modes.dry) return;
    const Array* mask = Form(run.attributes).masked ? run.in[3] : nullptr;
    AttentionJob job = job_of(run, q, k, v, mask, compute);
    job.out = rows_of(run.out[0], compute);
    job.lse = run.out[1].data;
    run_tasks(job, kernels->attention_forward[static_cast<int>(compute)], job.forward_tasks(),
              job.forward_scratch(), compute);
  }
  Saves saves(const Attributes& a, uint32_t) const override { return {a.ints[1] ? 15u : 7u, 3u}; }
  void vjp(Vjp& vjp) const override;
};

// Inputs: gradient, q, k, v, result, lse, and perhaps a mask. Outputs: the gradients of q, k and v.
struct AttentionBackward final : Primitive {
  const char* name() const override { return "attention_backward"; }
  int draws_at(const Attributes& a) const override { return a.floats[1] > 0 ? 2 : -1; }
  bool admits(const Claim& c) const override {
    if (c.out.size() != 3 || c.in.size() < 6 || !admits_heads(c, 1, 6)) return false;
    const Array &q = *c.in[1], &lse = *c.in[5];
    const Dims result{q.sizes[0], q.sizes[1], q.sizes[2], c.in[3]->sizes[3]};
    return c.in[0]->sizes == result && c.in[0]->dtype == q.dtype && c.alike(0, 4) && lse.contiguous &&
           lse.sizes == Dims{result[0], result[1], result[2]} &&
           lse.dtype == stored_dtype(compute_of(q.dtype));
  }
  void run(Run& run) const override {
    const Array &grad = *run.in[0], &q = *run.in[1], &k = *run.in[2], &v = *run.in[3];
    const Compute compute = compute_of(q.dtype);
    run.n_outputs = 3;
    for (int i = 0; i < 3; ++i) run.out[i] = heads_inside(run.in[i + 1]->sizes, q.dtype);
    if (modes.dry) return;
    if (run.in[5]->numel == 0 || k.sizes[2] == 0) {
      for (int i = 0; i < 3; ++i) fill(run.out[i], Scalar::of_int(0));
      return;
    }
    AttentionJob job = job_of(run, q, k, v, Form(run.attributes).masked ? run.in[6] : nullptr, compute);
    job.grad = rows_of(grad, compute);
    job.out = rows_of(*run.in[4], compute);
    job.lse = run.in[5]->data;
    job.dq = rows_of(run.out[0], compute);
    job.dk = rows_of(run.out[1], compute);
    job.dv = rows_of(run.out[2], compute);
    Array partial;
    if (const int64_t units = job.backward_tasks(); units < kFewTasks) {
      job.parts = std::min<int64_t>(job.key_blocks(), (kFewTasks + units - 1) / units);
      if (job.parts > 1) {
        partial =
            Array::empty(Dims{job.batch, job.heads, job.parts, job.queries, AttentionJob::padded(job.width)},
                         stored_dtype(compute));
        job.partial = partial.data;
      }
    }
    run_tasks(job, kernels->attention_backward[static_cast<int>(compute)], job.backward_tasks(),
              job.backward_scratch(), compute);
    if (job.parts > 1)
      run_tasks(job, kernels->attention_join[static_cast<int>(compute)], job.join_tasks(), 0, compute);
  }
  // Recorded passes are composed of ops instead (Attention::vjp).
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

bool Attention::batch(Batch& b) const {
  if (b.size() == 0) return false;
  std::vector<TensorRef> held;
  for (int i = 0; i < 3; ++i) held.push_back(b.folded(i));
  if (b.count() > 3) {
    // A mask that is the same for all images of all samples stays as it is.
    Tensor& mask = b.held(3);
    Dims sizes = b.sizes(3);
    if (!b.has(3) && (sizes.size() < 4 || sizes[0] == 1)) {
      held.push_back(TensorRef(&mask));
    } else {
      while (sizes.size() < 4) sizes.insert(0, 1);
      sizes[0] = b.sizes(0)[0];
      Dims whole = sizes;
      whole.insert(0, b.size());
      const TensorRef all = ops::expand(*b.aligned(3, 4), whole);
      sizes[0] *= b.size();
      held.push_back(ops::reshape(*all, sizes));
    }
  }
  std::vector<Tensor*> inputs;
  for (const TensorRef& tensor : held) inputs.push_back(tensor.get());
  Outputs out = apply(*this, inputs, b.attributes());
  for (int k = 0; k < 2; ++k) out.tensor[k] = b.unfolded(*out.tensor[k]);
  b.set_all(std::move(out));
  return true;
}

const Attention kAttention;
const AttentionBackward kAttentionBackward;

// What dropout multiplies the probabilities by. ints: seed, first block, dtype, the sizes (B, H, T, S);
// floats: p.
struct Kept final : Primitive {
  const char* name() const override { return "attention_dropout"; }
  int draws_at(const Attributes&) const override { return 0; }
  void run(Run& run) const override {
    const Dims& ints = run.attributes.ints;
    const Dims sizes{ints[3], ints[4], ints[5], ints[6]};
    const int64_t keys = sizes[3], line = (keys + kGroupWords - 1) / kGroupWords * kGroupWords;
    run.out[0] = Array::empty(sizes, static_cast<DType>(ints[2]));
    const double p = run.attributes.floats[0], scale = p < 1 ? 1 / (1 - p) : 0;
    const auto threshold = static_cast<uint32_t>(std::min(std::ldexp(p, 32), 0x1p32 - 1));
    const Array wide = Array::empty(sizes, DType::Float64);
    const Draws draws{static_cast<uint64_t>(ints[0]), static_cast<uint64_t>(ints[1]),
                      keys ? wide.numel / keys * line : 0, kGroupWords};
    draws.for_tiles([&](int64_t begin, int64_t count, const uint32_t* words) {
      for (int64_t i = begin; i < begin + count; ++i)
        if (i % line < keys)
          wide.as<double>()[i / line * keys + i % line] = words[i - begin] >= threshold ? scale : 0;
    });
    copy_into(run.out[0], wide);
  }
  bool differentiable() const override { return false; }
  void vjp(Vjp&) const override {}
};

const Kept kKept;

TensorRef kept(const Attributes& a, const Dims& sizes, DType dtype) {
  return apply(
      kKept, {},
      {Dims{a.ints[2], a.ints[3], static_cast<int64_t>(dtype), sizes[0], sizes[1], sizes[2], sizes[3]},
       {a.floats[1], 0.0}});
}

// The gradients as ops, for passes that are recorded themselves.
void composed_vjp(Vjp& vjp, const Form& form) {
  TensorRef q = vjp.input(0), k = vjp.input(1), v = vjp.input(2), grad = vjp.grad();
  const int64_t groups = k->sizes[1], group = q->sizes[1] / groups;
  auto repeated = [&](const TensorRef& x) { return group == 1 ? x : repeat_interleave(*x, group, 1); };
  auto gathered = [&](const TensorRef& x) {
    if (group == 1) return x;
    TensorRef split = reshape(*x, Dims{x->sizes[0], groups, group, x->sizes[2], x->sizes[3]});
    return sum(*split, Dims{2}, false);
  };
  TensorRef keys = repeated(k), values = repeated(v);
  const Input scale(Scalar::of(form.scale));
  TensorRef scores = matmul(*mul(q, scale), *transpose(*keys, -2, -1));
  const Dims sizes = scores->sizes;
  auto hide = [&](Tensor& mask) { scores = where(Input(mask), scores, Input(Scalar::of(-INFINITY))); };
  if (form.causal) hide(*tril(*full(Dims{sizes[2], sizes[3]}, DType::Bool, Scalar::of_bool(true)), 0));
  if (form.masked) {
    TensorRef mask = vjp.input(3);
    if (mask->dtype == DType::Bool)
      hide(*mask);
    else
      scores = add(scores, mask);
  }
  // Queries without keys have no probabilities, instead of NaN.
  TensorRef lse = vjp.output(1), empty_rows;
  {
    GradMode quiet(false);
    empty_rows = unsqueeze(*eq(lse, Input(Scalar::of(INFINITY))), -1);
  }
  scores = where(empty_rows, Input(Scalar::of(0.0)), scores);
  TensorRef p = where(empty_rows, Input(Scalar::of(0.0)), softmax(*scores, -1));
  TensorRef used = p, slope = matmul(*grad, *transpose(*values, -2, -1));
  if (form.p > 0) {
    TensorRef factors = kept(vjp.attributes(), sizes, p->dtype);
    used = mul(p, factors);
    slope = mul(slope, factors);
  }
  TensorRef inner = sum(*mul(slope, p), Dims{-1}, true);
  TensorRef ds = mul(p, sub(slope, inner));
  if (vjp.needs(0)) vjp.set(0, mul(matmul(*ds, *keys), scale));
  if (vjp.needs(1)) vjp.set(1, gathered(mul(matmul(*transpose(*ds, -2, -1), *q), scale)));
  if (vjp.needs(2)) vjp.set(2, gathered(matmul(*transpose(*used, -2, -1), *grad)));
}

void Attention::vjp(Vjp& vjp) const {
  if (!vjp.grad()) return;
  const Form form(vjp.attributes());
  if (modes.composes()) return composed_vjp(vjp, form);
  TensorRef q = vjp.input(0), k = vjp.input(1), v = vjp.input(2), y = vjp.output(0), lse = vjp.output(1);
  TensorRef mask = form.masked ? vjp.input(3) : TensorRef();
  std::vector<Tensor*> inputs = {vjp.grad().get(), q.get(), k.get(), v.get(), y.get(), lse.get()};
  if (mask) inputs.push_back(mask.get());
  Outputs out = apply(kAttentionBackward, inputs, vjp.attributes());
  for (int i = 0; i < 3; ++i)
    if (vjp.needs(i)) vjp.set(i, std::move(out.tensor[i]));
}

// --- arguments

void check(const Tensor& q, const Tensor& k, const Tensor& v) {
  if (q.rank() < 2 || k.rank() < 2 || v.rank() < 2)
    fail(ErrorKind::Shape, "[", kName, "] expected at least 2 dimensions (..., length, width), got query ",
         q.sizes, ", key ", k.sizes, ", value ", v.sizes);
  if (q.dtype != k.dtype || q.dtype != v.dtype)
    fail(ErrorKind::DType, "[", kName, "] expected query, key and value of one dtype, got ",
         versant::name(q.dtype), ", ", versant::name(k.dtype), ", ", versant::name(v.dtype));
  if (!is_floating(q.dtype))
    fail(ErrorKind::DType, "[", kName, "] expected floating-point tensors, got ", versant::name(q.dtype));
  if (q.sizes.back() != k.sizes.back())
    fail(ErrorKind::Shape, "[", kName, "] expected query and key of one width, got ", q.sizes, " and ",
         k.sizes);
  if (k.sizes[k.rank() - 2] != v.sizes[v.rank() - 2])
    fail(ErrorKind::Shape, "[", kName, "] expected as many keys as values, got ", k.sizes, " and ", v.sizes);
}

Dims leading(const Tensor& x) {
  Dims sizes = x.sizes;
  sizes.resize(x.rank() - 2);
  return sizes;
}

// The head axis of keys and values, repeated to what the queries have.
TensorRef with_heads(Tensor& x, int64_t heads) {
  const int64_t own = x.sizes[x.rank() - 3];
  return own == heads ? TensorRef(&x) : repeat_interleave(x, heads / own, x.rank() - 3);
}

void check_groups(const Tensor& q, const Tensor& k, const Tensor& v) {
  if (q.rank() < 3 || k.rank() < 3 || v.rank() < 3)
    fail(ErrorKind::Shape, "[", kName, "] enable_gqa expects (..., heads, length, width), got query ",
         q.sizes, ", key ", k.sizes, ", value ", v.sizes);
  const int64_t heads = q.sizes[q.rank() - 3];
  for (const Tensor* x : {&k, &v}) {
    const int64_t own = x->sizes[x->rank() - 3];
    if (own == 0 || heads % own)
      fail(ErrorKind::Shape, "[", kName, "] expected the heads of key and value to divide the ", heads,
           " heads of query, got ", own);
  }
}

// Brings x to (batch, heads, rows, columns), leading axes broadcast to `lead`.
TensorRef four(Tensor& x, Dims lead) {
  const int64_t rows = x.sizes[x.rank() - 2], columns = x.sizes.back();
  Dims sizes = lead;
  sizes.push_back(rows);
  sizes.push_back(columns);
  TensorRef y = x.sizes == sizes ? TensorRef(&x) : expand(x, sizes);
  if (lead.size() == 2) return y;
  while (y->rank() < 4) y = unsqueeze(*y, 0);
  if (y->rank() == 4) return y;
  int64_t batch = 1;
  for (int d = 0; d + 1 < lead.size(); ++d) batch *= lead[d];
  return reshape(*y, Dims{batch, lead.back(), rows, columns});
}

// scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa,
// generator)
Result attention(Args& args) {
  TensorRef q(&args.tensor(0)), k(&args.tensor(1)), v(&args.tensor(2));
  Tensor* mask = args.optional_tensor(3);
  const double p = args.number(4);
  const bool causal = args.flag(5), grouped = args.flag(7);
  check(*q, *k, *v);
  if (!(p >= 0 && p <= 1))
    fail(ErrorKind::Value, "[", kName, "] dropout_p has to be between 0 and 1, got ", p);
  if (mask && causal) fail(ErrorKind::Runtime, "[", kName, "] expected no attn_mask where is_causal is set");
  if (mask && mask->dtype != DType::Bool && mask->dtype != q->dtype && !is_floating(mask->dtype))
    fail(ErrorKind::DType, "[", kName, "] expected attn_mask of bool or ", versant::name(q->dtype), ", got ",
         versant::name(mask->dtype));
  if (grouped) {
    check_groups(*q, *k, *v);
    const int64_t heads = q->sizes[q->rank() - 3];
    if (k->sizes[k->rank() - 3] != v->sizes[v->rank() - 3]) {
      k = with_heads(*k, heads);
      v = with_heads(*v, heads);
    }
  }
  // Leading axes broadcast; the last of them counts heads, of which grouped keys and values have fewer.
  Dims lead = leading(*q), shared = leading(*k);
  if (grouped) {
    const int64_t own = k->sizes[k->rank() - 3], heads = q->sizes[q->rank() - 3];
    Dims batch[3] = {leading(*q), leading(*k), leading(*v)};
    for (Dims& dims : batch) dims.resize(dims.size() - 1);
    lead = broadcast_sizes(broadcast_sizes(batch[0], batch[1], kName), batch[2], kName);
    shared = lead;
    lead.push_back(heads);
    shared.push_back(own);
  } else {
    lead = broadcast_sizes(broadcast_sizes(lead, shared, kName), leading(*v), kName);
    shared = lead;
  }
  Dims scores = lead, result = lead;
  for (const int64_t n : {q->sizes[q->rank() - 2], k->sizes[k->rank() - 2]}) scores.push_back(n);
  for (const int64_t n : {q->sizes[q->rank() - 2], v->sizes.back()}) result.push_back(n);
  TensorRef shaped_mask;
  if (mask) {
    bool fits = mask->rank() <= scores.size();
    for (int d = 1; fits && d <= mask->rank(); ++d) {
      const int64_t n = mask->sizes[mask->rank() - d];
      fits = n == 1 || n == scores[scores.size() - d];
    }
    if (!fits)
      fail(ErrorKind::Shape, "[", kName, "] expected attn_mask that broadcasts to ", scores, ", got ",
           mask->sizes);
    GradMode quiet(false);
    shaped_mask = expand(*mask, scores);
    if (mask->dtype != DType::Bool) shaped_mask = cast(*shaped_mask, q->dtype);
    Dims all = lead;
    shaped_mask = four(*shaped_mask, all);
  }
  const double width = static_cast<double>(q->sizes.back());
  Attributes a;
  a.ints = Dims{causal, mask != nullptr, 0, 0};
  a.floats = {args.none(6) ? 1 / std::sqrt(std::max(width, 1.0)) : args.number(6), p};
  if (p > 0) {
    int64_t rows = scores[scores.size() - 2];
    for (const int64_t n : lead) rows *= n;
    const int64_t line = (scores.back() + kGroupWords - 1) / kGroupWords * kGroupWords;
    const Draws draws = Draws::take(args.generator(8), rows * line, false);
    a.ints[2] = static_cast<int64_t>(draws.seed);
    a.ints[3] = static_cast<int64_t>(draws.first);
  }
  q = four(*q, lead);
  k = four(*k, shared);
  v = four(*v, shared);
  std::vector<Tensor*> inputs = {q.get(), k.get(), v.get()};
  if (mask) inputs.push_back(shaped_mask.get());
  TensorRef y = apply(kAttention, inputs, a).tensor[0];
  return Result(y->sizes == result ? y : reshape(*y, result));
}

const Function kFunction(kName, attention);

}  // namespace

}  // namespace versant::ops
