// Updates of optimizers: one call changes all parameters of a group in place. Nothing is recorded.
#include <cmath>

#include "machine/call.h"
#include "machine/kernels.h"
#include "machine/parameter_update.h"

namespace versant {

namespace {

// params, grads, momenta, lr, momentum, dampening, weight_decay, nesterov, maximize, first_step
Result sgd_step(Args& a) {
  SgdStep step;
  step.lr = a.number(3);
  step.momentum = a.number(4);
  step.dampening = a.number(5);
  step.weight_decay = a.number(6);
  step.nesterov = a.flag(7);
  step.gradient = a.flag(8) ? -1 : 1;
  step.first = a.flag(9);
  const Gradients gradients(a.optional_tensors(0));
  const std::span<Tensor* const> lists[] = {
      a.optional_tensors(0), a.none(1) ? gradients.tensors : a.optional_tensors(1), a.optional_tensors(2)};
  if (step.momentum != 0 && lists[2].size() != lists[0].size())
    fail(ErrorKind::Value, "[sgd_step] momentum needs a buffer for each parameter");
  perform_update("sgd_step", lists, [step](Lists lists) {
    Update("sgd_step", lists).run([&] {
      return [&](const Item& item, int64_t from, int64_t count) {
        const SgdKernel kernel = item.wide ? kernels->sgd_f64 : kernels->sgd_f32;
        kernel(step, item.at(0, from), item.at(1, from), item.at(2, from), count);
      };
    });
  });
  return Result::none();
}

// params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, lr, beta1, beta2, eps, weight_decay,
// decoupled, maximize
Result adam_step(Args& a) {
  const auto t = static_cast<double>(a.integer(5));
  const double lr = a.number(6), weight_decay = a.number(10);
  if (t < 1) fail(ErrorKind::Value, "[adam_step] steps count from 1, got ", a.integer(5));
  AdamStep step;
  step.beta1 = a.number(7);
  step.beta2 = a.number(8);
  step.eps = a.number(9);
  step.step_size = lr / (1 - std::pow(step.beta1, t));
  step.correction = std::sqrt(1 - std::pow(step.beta2, t));
  if (a.flag(11))
    step.shrink = 1 - lr * weight_decay;
  else
    step.weight_decay = weight_decay;
  step.gradient = a.flag(12) ? -1 : 1;
  const Gradients gradients(a.optional_tensors(0));
  const std::span<Tensor* const> lists[] = {
      a.optional_tensors(0), a.none(1) ? gradients.tensors : a.optional_tensors(1), a.optional_tensors(2),
      a.optional_tensors(3), a.optional_tensors(4)};
  if (lists[2].size() != lists[0].size() || lists[3].size() != lists[0].size())
    fail(ErrorKind::Value, "[adam_step] expected exp_avg and exp_avg_sq for each parameter");
  perform_update("adam_step", lists, [step](Lists lists) {
    Update("adam_step", lists).run([&] {
      return [&](const Item& item, int64_t from, int64_t count) {
        const AdamKernel kernel = item.wide ? kernels->adam_f64 : kernels->adam_f32;
        kernel(step, item.at(0, from), item.at(1, from), item.at(2, from), item.at(3, from), item.at(4, from),
               count);
      };
    });
  });
  return Result::none();
}

const Function kSgdStep("sgd_step", sgd_step);
const Function kAdamStep("adam_step", adam_step);

}  // namespace

}  // namespace versant
