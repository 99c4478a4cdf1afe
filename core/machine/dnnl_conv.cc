// Convolutions by oneDNN, channels-last.
//
// Note [Convolutions by oneDNN]
// oneDNN's fastest kernels read and write channels-last arrays and weights in a blocked order of their own.
// Arrays that lie otherwise are reordered on the way in and out, by oneDNN as well. Primitives, and the
// objects that name memory, are kept for each shape.
//
// Forward results and data gradients have the same bits for any number of threads and in any batch, but for
// implementations that are passed over: depends_on_threads. Weight gradients have not: oneDNN splits the
// batch over the threads. So they are computed in parts that the shape alone decides, each part on one
// thread: parts of the batch, added up in order, or, where the weights are larger than the images, parts of
// the output channels.
#include <omp.h>

#include <cstring>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "machine/conv.h"
#include "machine/dnnl_engine.h"
#include "machine/lock.h"
#include "machine/memory_format.h"
#include "machine/parallel.h"
#include "machine/scratch.h"

namespace versant::dnnl {

namespace {

using ::dnnl::algorithm;
using ::dnnl::memory;

constexpr double kUnlockedWork = 4e6;  // multiply-adds from which a run gives the lock up
constexpr size_t kMostPlans = 1024;    // kept
constexpr int64_t kParts = 4;          // of a weight gradient, at most
constexpr int64_t kLeastOutputs = 16;  // channels of a part

enum class Pass : int64_t { Forward, Input, Weight };
enum Place { kImages, kFilters, kResults, kBias, kPlaces };  // of a plan's arrays: x, weight, y

memory::data_type type_of(DType dtype) {
  return dtype == DType::BFloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

size_t padded(size_t bytes) { return (bytes + 63) / 64 * 64; }

// The objects that name the memory of one run.
struct Names {
  memory outer[kPlaces], inner[kPlaces], scratchpad;
};

// One pass at one shape.
struct Plan {
  bool usable = false;
  Pass pass = Pass::Forward;
  bool biased = false;
  memory::desc outer[kPlaces], inner[kPlaces], scratchpad;
  bool moves[kPlaces] = {};       // between the two
  size_t working[kPlaces] = {};   // where the inner arrays of moves lie in working memory
  size_t working_scratchpad = 0;  // ... and the scratchpad
  size_t working_bytes = 0;
  ::dnnl::reorder move[kPlaces];
  ::dnnl::primitive primitive;
  std::vector<std::unique_ptr<Names>> idle;

  Place result() const { return pass == Pass::Forward ? kResults : pass == Pass::Input ? kImages : kFilters; }
  int places() const { return biased ? 4 : 3; }
  std::unique_ptr<Names> take() {
    if (!idle.empty()) {
      auto names = std::move(idle.back());
      idle.pop_back();
      return names;
    }
    auto names = std::make_unique<Names>();
    for (int k = 0; k < places(); ++k) {
      if (moves[k]) names->outer[k] = memory(outer[k], engine(), nullptr);
      names->inner[k] = memory(inner[k], engine(), nullptr);
    }
    names->scratchpad = memory(scratchpad, engine(), nullptr);
    return names;
  }
};

using Plans = std::shared_ptr<Plan>;
using Key = std::array<int64_t, 45>;

// --- descriptions of arrays

memory::desc strided(const Array& x, bool flat, int64_t groups, memory::data_type type) {
  memory::dims sizes, strides;
  int64_t step = 1;  // of axes of size 1, whose strides are arbitrary
  for (int d = 0; d < 5; ++d) step = std::max(step, x.sizes[d] > 1 ? x.strides[d] * x.sizes[d] : 1);
  for (int d = 0; d < 5; ++d) {
    if (flat && d == 2) continue;
    const int64_t stride = x.sizes[d] > 1 ? x.strides[d] : step;
    if (groups > 1 && d == 0) {
      sizes = {groups, x.sizes[0] / groups};
      strides = {stride * (x.sizes[0] / groups), stride};
    } else {
      sizes.push_back(x.sizes[d]);
      strides.push_back(stride);
    }
  }
  return memory::desc(sizes, type, strides);
}

memory::desc channels_last(const Array& x, bool flat, memory::data_type type) {
  const Dims& s = x.sizes;
  return flat ? memory::desc({s[0], s[1], s[3], s[4]}, type, memory::format_tag::nhwc)
              : memory::desc({s[0], s[1], s[2], s[3], s[4]}, type, memory::format_tag::ndhwc);
}

memory::desc any_order(const memory::desc& like) {
  return memory::desc(like.get_dims(), like.get_data_type(), memory::format_tag::any);
}

// Arrays that oneDNN can read as they lie; others are copied.
Array readable(const Array& x) {
  if (x.is_dense()) return x;
  const Array copy = empty_channels_last(x.sizes, x.dtype);
  copy_into(copy, x);
  return copy;
}

// --- plans

struct Arrays {
  const Array *x, *weight, *y;
  bool biased = false;
};

Key key_of(Pass pass, const ConvShape& s, const Arrays& a, int threads) {
  Key key{};
  size_t n = 0;
  for (const int64_t value :
       {static_cast<int64_t>(pass), static_cast<int64_t>(a.x->dtype), static_cast<int64_t>(a.weight->dtype),
        static_cast<int64_t>(a.biased), static_cast<int64_t>(threads), s.batch, s.in, s.out, s.groups})
    key[n++] = value;
  for (const ConvAxis& axis : s.axes)
    for (const int64_t value : {axis.in, axis.out, axis.kernel, axis.stride, axis.pad, axis.dilation})
      key[n++] = value;
  for (const Array* array : {a.x, a.weight, a.y})
    for (int d = 0; d < 5; ++d) key[n++] = array->sizes[d] > 1 ? array->strides[d] : 0;
  return key;
}

bool slow(const char* implementation) {
  return std::strstr(implementation, "ref") || std::strstr(implementation, "brgconv_strided");
}

// Kernels of batch-reduced products cut rows of outputs into blocks, as many as there are threads to feed,
// and add up what lies at the ends of a block in another order than what lies inside; products of unrolled
// images are cut likewise. Long rows, as sequences have, and wide filters show it; data gradients by unrolled
// images show it at any size.
bool depends_on_threads(Pass pass, const ConvShape& s, const char* implementation) {
  if (pass == Pass::Input && std::strstr(implementation, "gemm")) return true;
  const bool wide = s.flat() || s.axes.back().kernel > 7;
  return wide && (std::strstr(implementation, "brgconv") || std::strstr(implementation, "gemm"));
}

// The first implementation that is neither slow nor changes bits with the number of threads.
template <typename Description>
bool choose(Description& description, Pass pass, const ConvShape& s) {
  while (slow(description.impl_info_str()) || depends_on_threads(pass, s, description.impl_info_str()))
    if (!description.next_impl()) return false;
  return true;
}

void describe(Plan& plan, Pass pass, const ConvShape& s, const Arrays& a) {
  const bool flat = s.flat();
  const auto type = type_of(a.x->dtype);
  plan.pass = pass;
  plan.biased = a.biased;
  plan.outer[kImages] = strided(*a.x, flat, 1, type);
  plan.outer[kFilters] = strided(*a.weight, flat, s.groups, type_of(a.weight->dtype));
  plan.outer[kResults] = strided(*a.y, flat, 1, type);
  const memory::desc x = channels_last(*a.x, flat, type), y = channels_last(*a.y, flat, type);
  const memory::desc weight = any_order(plan.outer[kFilters]);
  const memory::desc bias = a.biased ? memory::desc({s.out}, type, memory::format_tag::x) : memory::desc();
  memory::dims stride, dilation, before, after;
  for (const ConvAxis& axis : s.axes) {
    if (flat && &axis == s.axes.data()) continue;
    stride.push_back(axis.stride);
    dilation.push_back(axis.dilation - 1);
    before.push_back(axis.pad);
    // What oneDNN counts behind the input decides the size of its output.
    const int64_t span = axis.dilation * (axis.kernel - 1) + 1;
    const bool even = (axis.in + 2 * axis.pad - span) / axis.stride + 1 == axis.out;
    after.push_back(even ? axis.pad : (axis.out - 1) * axis.stride + span - axis.in - axis.pad);
  }
  ::dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(::dnnl::scratchpad_mode::user);
  const auto how = algorithm::convolution_direct;
  ::dnnl::convolution_forward::primitive_desc forward(engine(), ::dnnl::prop_kind::forward_training, how, x,
                                                      weight, bias, y, stride, dilation, before, after,
                                                      attributes);
  const auto adopt = [&](const auto& description, const memory::desc& filters) {
    plan.inner[kFilters] = filters;
    plan.scratchpad = description.scratchpad_desc();
  };
  if (pass == Pass::Forward) {
    if (!choose(forward, pass, s)) return;
    adopt(forward, forward.weights_desc());
    plan.primitive = ::dnnl::convolution_forward(forward);
  } else if (pass == Pass::Input) {
    ::dnnl::convolution_backward_data::primitive_desc backward(engine(), how, x, weight, y, stride, dilation,
                                                               before, after, forward, attributes);
    if (!choose(backward, pass, s)) return;
    adopt(backward, backward.weights_desc());
    plan.primitive = ::dnnl::convolution_backward_data(backward);
  } else {
    ::dnnl::convolution_backward_weights::primitive_desc backward(
        engine(), how, x, weight, y, stride, dilation, before, after, forward, attributes);
    if (!choose(backward, pass, s)) return;
    adopt(backward, backward.diff_weights_desc());
    plan.primitive = ::dnnl::convolution_backward_weights(backward);
  }
  plan.inner[kImages] = x;
  plan.inner[kResults] = y;
  plan.inner[kBias] = bias;
  plan.moves[kImages] = !lies_channels_last(*a.x);
  plan.moves[kResults] = !lies_channels_last(*a.y);
  plan.moves[kFilters] = plan.inner[kFilters] != plan.outer[kFilters];
  for (int k = 0; k < kBias; ++k) {
    if (!plan.moves[k]) continue;
    const bool out = k == plan.result();
    const memory::desc &from = out ? plan.inner[k] : plan.outer[k], &to = out ? plan.outer[k] : plan.inner[k];
    plan.move[k] = ::dnnl::reorder(::dnnl::reorder::primitive_desc(engine(), from, engine(), to));
    plan.working[k] = plan.working_bytes;
    plan.working_bytes += padded(plan.inner[k].get_size());
  }
  plan.working_scratchpad = plan.working_bytes;
  plan.working_bytes += padded(plan.scratchpad.get_size());
  plan.usable = true;
}

// While it lives, oneDNN sees `threads` threads.
class Team {
 public:
  explicit Team(int threads) : before_(omp_get_max_threads()) {
    if (threads != before_) omp_set_num_threads(threads);
    changed_ = threads != before_;
  }
  ~Team() {
    if (changed_) omp_set_num_threads(before_);
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

 private:
  int before_;
  bool changed_ = false;
};

Plans plan_of(Pass pass, const ConvShape& s, const Arrays& a, int threads) {
  static std::map<Key, Plans> plans;
  const Key key = key_of(pass, s, a, threads);
  if (const auto found = plans.find(key); found != plans.end()) return found->second;
  auto plan = std::make_shared<Plan>();
  const Team team(threads);
  try {
    describe(*plan, pass, s, a);
  } catch (const ::dnnl::error&) {
    plan->usable = false;  // nothing in oneDNN does it
  }
  if (plans.size() >= kMostPlans) plans.clear();
  return plans[key] = std::move(plan);
}

// --- runs

void name(Names& names, Place place, void* address) { names.inner[place].set_data_handle(address); }

void move_between(const Plan& plan, Names& names, Place place, bool out) {
  memory& outer = names.outer[place];
  memory& inner = names.inner[place];
  plan.move[place].execute(stream(), out ? inner : outer, out ? outer : inner);
}

// Runs the plan on these addresses. The result stays in inner order where `inner_result` is given.
void run(const Plan& plan, Names& names, void* const (&addresses)[kPlaces], std::byte* working,
         void* inner_result = nullptr) {
  const Place result = plan.result();
  for (int k = 0; k < plan.places(); ++k) {
    const auto place = static_cast<Place>(k);
    if (inner_result && place == result) {
      name(names, place, inner_result);
    } else if (plan.moves[k]) {
      names.outer[k].set_data_handle(addresses[k]);
      name(names, place, working + plan.working[k]);
      if (place != result) move_between(plan, names, place, false);
    } else {
      name(names, place, addresses[k]);
    }
  }
  names.scratchpad.set_data_handle(working + plan.working_scratchpad);
  constexpr int kArguments[][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                   {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                   {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
  dnnl_exec_arg_t arguments[5];
  int n = 0;
  for (int k = 0; k < kBias; ++k)
    arguments[n++] = {kArguments[static_cast<int>(plan.pass)][k], names.inner[k].get()};
  if (plan.biased) arguments[n++] = {DNNL_ARG_BIAS, names.inner[kBias].get()};
  arguments[n++] = {DNNL_ARG_SCRATCHPAD, names.scratchpad.get()};
  ::dnnl::error::wrap_c_api(dnnl_primitive_execute(plan.primitive.get(), stream().get(), n, arguments),
                            "a convolution could not run");
  if (plan.moves[result] && !inner_result) move_between(plan, names, result, true);
  stream().wait();
}

bool run_whole(Pass pass, const ConvShape& s, const Arrays& a, const Array* bias) {
  const Plans plan = plan_of(pass, s, a, num_threads());
  if (!plan->usable) return false;
  const Scratch working(plan->working_bytes);
  auto names = plan->take();
  {
    const Unlocked unlocked(s.work() >= kUnlockedWork);
    run(*plan, *names, {a.x->data, a.weight->data, a.y->data, bias ? bias->data : nullptr}, working.data());
  }
  plan->idle.push_back(std::move(names));
  return true;
}

// --- weight gradients: see Note [Convolutions by oneDNN]

// Elements [first, first + count) of axis `axis`.
Array part_of(const Array& x, int axis, int64_t first, int64_t count) {
  Dims sizes = x.sizes;
  sizes[axis] = count;
  return x.view(sizes, x.strides, first * x.strides[axis]);
}

struct Part {
  Array x, weight, y;
  Plans plan;
  std::unique_ptr<Names> names;
};

// The sum of all parts' inner results, in the order of the parts, in that of the first.
void add_up(float* const* sums, int64_t parts, int64_t count) {
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    float* const total = sums[0];
    for (int64_t p = 1; p < parts; ++p) {
      const float* const more = sums[p];
      for (int64_t i = begin; i < end; ++i) total[i] += more[i];
    }
  });
}

bool weight_gradient(const ConvShape& s, const Array& x, const Array& grad, const Array& weight_grad) {
  // Parts of the output channels copy them apart; parts of the batch write and read the weights each.
  const bool by_outputs = s.groups == 1 && s.out >= 2 * kLeastOutputs &&
                          (s.batch == 1 || kParts * weight_grad.numel > grad.numel);
  const int64_t all = by_outputs ? s.out : s.batch;
  const int64_t least = by_outputs ? kLeastOutputs : 1;
  const int64_t each = std::max(least, ((all + kParts - 1) / kParts + least - 1) / least * least);
  std::vector<Part> parts;
  size_t working_each = 0;
  for (int64_t first = 0; first < all; first += each) {
    const int64_t count = std::min(each, all - first);
    Part part;
    ConvShape shape = s;
    (by_outputs ? shape.out : shape.batch) = count;
    part.x = by_outputs ? x : part_of(x, 0, first, count);
    part.y = part_of(grad, by_outputs ? 1 : 0, first, count);
    part.weight = by_outputs ? part_of(weight_grad, 0, first, count) : weight_grad;
    part.plan = plan_of(Pass::Weight, shape, {&part.x, &part.weight, &part.y}, 1);
    if (!part.plan->usable) return false;
    part.names = part.plan->take();
    working_each = std::max(working_each, part.plan->working_bytes);
    parts.push_back(std::move(part));
  }
  const auto n = static_cast<int64_t>(parts.size());
  const bool sums = !by_outputs && n > 1;
  const size_t sum_bytes = sums ? padded(parts[0].plan->inner[kFilters].get_size()) : 0;
  // Parts that follow one another on a thread share their working memory.
  const int64_t lanes = std::min<int64_t>(n, num_threads()), stretch = (n + lanes - 1) / lanes;
  const Scratch scratch(working_each * static_cast<size_t>(lanes) + sum_bytes * static_cast<size_t>(n));
  std::vector<float*> inner(static_cast<size_t>(n));
  std::byte* const sums_start = scratch.data() + working_each * static_cast<size_t>(lanes);
  for (size_t p = 0; p < parts.size(); ++p) inner[p] = reinterpret_cast<float*>(sums_start + p * sum_bytes);
  const Plan& first = *parts[0].plan;
  {
    const Unlocked unlocked(s.work() >= kUnlockedWork);
    parallel_for(lanes, 1, [&](int64_t begin, int64_t end) {
      const Team alone(1);
      for (int64_t lane = begin; lane < end; ++lane) {
        std::byte* const working = scratch.data() + working_each * static_cast<size_t>(lane);
        for (int64_t p = lane * stretch; p < std::min(n, (lane + 1) * stretch); ++p) {
          const Part& part = parts[static_cast<size_t>(p)];
          run(*part.plan, *part.names, {part.x.data, part.weight.data, part.y.data, nullptr}, working,
              sums ? inner[static_cast<size_t>(p)] : nullptr);
        }
      }
    });
    if (sums) {
      add_up(inner.data(), n, static_cast<int64_t>(sum_bytes / sizeof(float)));
      if (first.moves[kFilters]) {
        parts[0].names->outer[kFilters].set_data_handle(weight_grad.data);
        move_between(first, *parts[0].names, kFilters, true);
        stream().wait();
      } else {
        std::memcpy(weight_grad.data, inner[0], static_cast<size_t>(weight_grad.bytes()));
      }
    }
  }
  for (Part& part : parts) part.plan->idle.push_back(std::move(part.names));
  return true;
}

}  // namespace

bool convolve(const ConvShape& s, const Array& x, const Array& weight, const Array* bias, const Array& y) {
  const Array from = readable(x), filters = readable(weight);
  const Array shift = bias ? bias->to_contiguous() : Array();
  return run_whole(Pass::Forward, s, {&from, &filters, &y, bias != nullptr}, bias ? &shift : nullptr);
}

bool convolve_input_gradient(const ConvShape& s, const Array& grad, const Array& weight,
                             const Array& x_grad) {
  const Array from = readable(grad), filters = readable(weight);
  return run_whole(Pass::Input, s, {&x_grad, &filters, &from}, nullptr);
}

bool convolve_weight_gradient(const ConvShape& s, const Array& x, const Array& grad,
                              const Array& weight_grad) {
  // A filter of one tap reads the image at its strides and nothing between. oneDNN 3.2 for AVX2 takes other
  // numbers for those of four channels; it is given the places that count, side by side.
  ConvShape shape = s;
  Array seen = x;
  for (size_t d = 0; d < 3 && s.taps() == 1; ++d) {
    ConvAxis& axis = shape.axes[d];
    if (axis.pad != 0 || axis.stride == 1) continue;
    const int at = static_cast<int>(d) + 2;
    seen.sizes[at] = axis.in = axis.out;
    seen.strides[at] *= std::exchange(axis.stride, 1);
  }
  if (seen.sizes != x.sizes) seen = x.view(seen.sizes, seen.strides);
  const Array from = readable(seen), along = readable(grad);
  if (weight_grad.dtype == DType::Float32) return weight_gradient(shape, from, along, weight_grad);
  const Array wide = Array::empty_like_layout(weight_grad, DType::Float32);
  if (!weight_gradient(shape, from, along, wide)) return false;
  copy_into(weight_grad, wide);
  return true;
}

}  // namespace versant::dnnl
