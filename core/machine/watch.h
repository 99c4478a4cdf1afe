// Watchers: tools that are told of every action of the machine, when it is done.
//
// Note [Watching]
// While modes.watching is set on a thread, what runs programs, primitives, products, copies, fills and calls
// reports to `watcher` there where a trace would record it (trace.h): once for each action, after it, with
// the arrays that it read and wrote. What an action does inside is part of it. A replay reports the steps of
// its plan instead. When nobody watches, all of this costs the branch that a trace costs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "machine/looks.h"
#include "machine/node.h"
#include "machine/program.h"

namespace versant::trace {
struct Step;
}  // namespace versant::trace

namespace versant {
struct Run;
}

// A fixed offset from the thread pointer instead of a call.
#define VERSANT_TLS __attribute__((tls_model("initial-exec")))

namespace versant::watch {

struct Event {
  const char* name;
  std::span<const Operand> in;  // arrays without a storage are gone
  std::span<const Array* const> out;
  const Program* program = nullptr;   // of elementwise actions
  const trace::Step* step = nullptr;  // of a replay
  size_t together = 1;                // steps of a replay that ran as one
  bool undoable = false;              // the replay can be taken back
  const Looks* looks = nullptr;       // at results in passing
};

class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void begins() {}
  virtual void ran(const Event& event) = 0;
  // A replay begins; it ends, or is taken back: what it did comes again, from another plan or as it is
  // written. Replays may be nested.
  virtual void replay_begins() {}
  virtual void replay_ends(bool /*taken_back*/) {}
  // Whether replays keep what they change, as far as that is cheap: see Again.
  virtual bool takes_back() const { return false; }
  // Whether elements of results are read. Row chains run step by step then: a chain writes over what its
  // steps gave before.
  virtual bool reads() const { return true; }
  // Whether results are to be looked at in passing.
  virtual bool looks() const { return false; }
  // Results in the place of what an action would compute: into `out`, or as those of a primitive's run.
  virtual bool supplies(const char* /*name*/, std::span<const Array* const> /*out*/) { return false; }
  virtual bool supplies(const char* /*name*/, Run& /*run*/) { return false; }
};

// Thrown by a watcher: the replay is taken back, and whoever asked for it is to run the function instead.
struct Again {};

extern constinit thread_local Watcher* watcher VERSANT_TLS;  // while modes.watching is set
extern constinit thread_local const Node* back
    VERSANT_TLS;  // on a way back: the node whose gradient is being computed
extern constinit thread_local bool runs_again
    VERSANT_TLS;  // who asked for the replay can run the function instead
extern constinit thread_local const trace::Step* host
    VERSANT_TLS;  // the step of a replay that calls the host

// While modes.dry is set nothing is computed but shapes: products, convolutions, attention and elementwise
// actions only make room for their results, whose contents are any numbers, or zeros where they are integers.
// Sets integers and bools to 0.
void clear_integers(std::span<const Array* const> arrays);

// Suspends watching: what runs inside is part of one action.
class Unwatched {
 public:
  Unwatched() : before_(modes.watching) { modes.watching = false; }
  ~Unwatched() { modes.watching = before_; }
  Unwatched(const Unwatched&) = delete;

 private:
  bool before_;
};

// Lives while a replay may be taken back.
class RunsAgain {
 public:
  RunsAgain() : before_(runs_again) { runs_again = true; }
  ~RunsAgain() { runs_again = before_; }
  RunsAgain(const RunsAgain&) = delete;

 private:
  bool before_;
};

// Remembers the node of a way back; passes may be nested.
class WayBack {
 public:
  WayBack() : before_(back) {}
  ~WayBack() { back = before_; }
  WayBack(const WayBack&) = delete;

 private:
  const Node* before_;
};

// Where the action is that runs: the user's line; on a way back the op whose gradient it computes and that
// op's line; the paths of the module that runs and of the module that made that op.
struct Place {
  std::string where, module;
  int back = 0;  // of which order the gradient is, 0 on the way forward
  std::string of_name, of;
};
Place place(const Event& event);

// Calls run() as one action, which may be asked to look at its results: see Note [Looks].
template <typename Run>
void around(const char* name, std::span<const Operand> in, std::span<const Array* const> out, Run run,
            const Program* program = nullptr, bool asks = false) {
  Looks looks;
  {
    const Unwatched quiet;
    Looks* const question = watcher->looks() ? &looks : nullptr;
    const Asked ask(asks ? question : nullptr);
    const Offered offer(&kUpdates, question);
    watcher->begins();
    if (modes.dry) [[unlikely]]
      clear_integers(out);
    else if (!watcher->supplies(name, out))
      run();
  }
  watcher->ran({name, in, out, program, nullptr, 1, false, &looks});
}
inline std::vector<Operand> operands(std::span<const Array* const> arrays) {
  std::vector<Operand> list;
  for (const Array* array : arrays) list.push_back({array, {}});
  return list;
}

}  // namespace versant::watch
