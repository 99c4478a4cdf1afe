// Replays: the steps of a trace over the memory of now.
#pragma once

#include <memory>

#include "machine/prepared.h"
#include "machine/trace.h"

namespace versant::trace {

// The bytes from the start of its buffer to the end of a window's array.
int64_t extent(const Array& array);
// The elements of a step with totals.
int64_t numel_of(const Step& step);
// Raises unless result k of a step has the geometry that it had in the trace.
void check_geometry(const Step& step, size_t k, const Array& result);

struct ReplayHooks {
  // An object of Step::Kind::Host; throws HostError.
  std::vector<TensorRef> (*call)(void* object) = nullptr;
};
extern ReplayHooks replay_hooks;

// A trace made ready: what replays would compute anew each time is computed once.
class Plan {
 public:
  explicit Plan(Trace trace);

  const Trace& trace() const { return trace_; }
  // Whether arguments and captured tensors are as they were, but for their values; says in words what is not.
  bool fits(std::span<Tensor* const> arguments, std::string* difference = nullptr) const;

 private:
  friend class Branches;
  friend class ReplayNode;
  // Where a value is read: what was seen, and the step that follows.
  struct Reading {
    size_t step;
    Scalar value;
  };

  Trace trace_;
  std::unique_ptr<Prepared> prepared_;
  std::vector<Reading> readings_;
  std::vector<int> restored_;  // buffers that are written before the last reading, and are not fresh
};

// The traces of one function for arguments of one kind, which differ in what Python read on the way.
class Branches {
 public:
  int add(Trace trace);
  const Plan& plan(int index) const { return *plans_[static_cast<size_t>(index)]; }
  size_t size() const { return plans_.size(); }

  // Runs the branch that the values choose and returns its number with its results. -1, and everything as it
  // was, when the values are new.
  int run(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const;

 private:
  // False, and everything as it was, when a value is another one.
  bool run_prepared(const std::shared_ptr<const Plan>& plan, std::span<Tensor* const> arguments,
                    std::vector<TensorRef>& results) const;
  int run_slowly(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const;
  int find(const Plan& like, size_t readings, const Scalar& value, bool truth,
           std::span<Tensor* const> arguments) const;

  mutable size_t latest_ = 0;  // the branch that the last replay took: the next one tries it first
  std::vector<std::shared_ptr<const Plan>> plans_;  // nodes of results keep theirs
};

}  // namespace versant::trace
