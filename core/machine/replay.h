// Replays: the steps of a trace over the memory of now.
#pragma once

#include <memory>

#include "machine/prepared.h"
#include "machine/trace.h"

namespace versant::trace {

// A trace made ready: what replays would compute anew each time is computed once.
class Plan {
 public:
  explicit Plan(Trace trace);

  const Trace& trace() const { return trace_; }
  const Prepared& prepared() const { return *prepared_; }
  // Whether arguments and captured tensors are as they were, but for their values; says in words what is not.
  // `names` of arguments, if they have some.
  bool fits(std::span<Tensor* const> arguments, std::string* difference = nullptr,
            std::span<const std::string> names = {}) const;

 private:
  friend class Branches;
  friend class ReplayNode;
  // Where a value is read: the plain step, and what was seen.
  struct Reading {
    size_t step;
    Scalar value;
    size_t buffers;  // that were numbered until then: plans that part here share them
  };

  void find_beyond();
  size_t find_undoable(const std::vector<Step>& steps, size_t count);
  const std::vector<Step>& plain() const { return readings_.empty() ? trace_.steps : trace_.plain; }

  Trace trace_;
  std::unique_ptr<Prepared> prepared_;
  std::vector<Reading> readings_;
  // What is written before the last reading: buffers that are not fresh, and captured tensors whose data,
  // gradients or flags are set.
  std::vector<int> restored_, changed_;
  // Note [Taking a replay back]
  // A watcher may want the function to run once more as it is written, from where the replay began. For that
  // small buffers that are not fresh are copied before they are written; large ones are not, and from the
  // first step that writes such a one (or calls the host) on a replay cannot be taken back. In a training
  // step that is the optimizer's, which comes behind all that usually goes wrong.
  std::vector<int> undone_, unset_;  // buffers; captured tensors whose data, gradients or flags are set
  size_t undoable_ = 0, undoable_plain_ = 0;  // steps, and steps of plain()
  // Buffers whose windows end behind the array that stands for them, and the bytes that they need.
  std::vector<std::pair<size_t, int64_t>> beyond_;
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
  int64_t runs() const { return runs_; }  // that ended well
  // Where the last run met a value that no plan knows, and the one that a plan has there.
  struct Parting {
    std::string where;
    bool truth = false;  // whether the truth of the values is meant
    Scalar known, now;
  };
  const Parting& parting() const { return parting_; }

 private:
  // False, and everything as it was, when a value is another one.
  bool run_prepared(const std::shared_ptr<const Plan>& plan, std::span<Tensor* const> arguments,
                    std::vector<TensorRef>& results) const;
  int run_one(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const;
  int run_slowly(std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const;
  int find(const Plan& like, size_t readings, const Scalar& value, const std::vector<bool>& fit) const;

  mutable int64_t runs_ = 0;
  mutable Parting parting_;
  mutable size_t latest_ = 0;  // the branch that the last replay took: the next one tries it first
  std::vector<std::shared_ptr<const Plan>> plans_;  // nodes of results keep theirs
};

}  // namespace versant::trace
