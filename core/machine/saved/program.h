// Saved programs: traces with their constants and tensors, apart from the Python that made them.
//
// A file is a header, a table of sections and the sections: docs/deploy.md has its grammar. Reading one
// trusts nothing (Note [Untrusted runs] in verify.cc).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "machine/replay.h"
#include "machine/saved/update.h"

namespace versant::saved {

struct NamedTensor {
  std::string name;
  TensorRef tensor;
};

// What the traces of a program refer to.
struct Tables {
  std::vector<Ref<Storage>> storages;
  std::vector<NamedTensor> tensors;
  // Of streams of random numbers; the default one, which is the process's, stands first.
  std::vector<std::shared_ptr<Generator>> generators;
};

// The traces for arguments of one structure. Structures are texts that the machine keeps for its host.
struct Entry {
  std::string structure;
  std::vector<std::string> names;    // of inputs
  std::vector<std::string> results;  // structures, by branch
  std::vector<trace::Trace> traces;  // the branches
};

struct Contents {
  Tables tables;
  std::vector<Entry> entries;
};

// Steps of optimizers that stand for calls of Python, by the number of the object that is called.
using Updates = std::map<int, std::vector<UpdateAgain>>;
// A trace as it can be saved: without the way back and what gradients of results need. Raises for steps that
// call Python otherwise, with the user's line.
trace::Trace savable(const trace::Trace& trace, const Updates& updates = {});
// The bytes of a file. Tensors and storages that traces refer to are added to the tables, under the names in
// `known` where they stand there.
std::string write(Contents& contents, const std::vector<NamedTensor>& known = {});
// Raises Error(Program) for bytes that are not a whole program of this version.
Contents read(std::string_view bytes);

// Raises Error(Program) unless every step stays inside of its buffers; see Note [Untrusted runs].
void verify(Entry& entry);

// A program that is loaded, and the state that its runs change.
class Program {
 public:
  explicit Program(Contents contents);

  size_t size() const { return contents_.entries.size(); }
  const Entry& entry(size_t index) const { return contents_.entries[index]; }
  const trace::Trace& trace(size_t entry, size_t branch) const {
    return branches_[entry].plan(static_cast<int>(branch)).trace();
  }
  // The geometry of the arguments of an entry, and whether runs change them in place.
  const std::vector<Array>& inputs(size_t entry) const { return trace(entry, 0).arguments; }
  bool writes(size_t entry, size_t input) const { return written_[entry][input]; }
  const std::vector<NamedTensor>& tensors() const { return contents_.tables.tensors; }
  // A copy of an array that lies in memory as an input has to. Throws for other sizes and dtypes.
  Array laid_out(size_t entry, size_t input, const Array& array) const;
  // In words why an entry does not take arguments; "" if it does.
  std::string difference(size_t entry, std::span<Tensor* const> arguments) const;
  // Runs an entry and returns the branch that the values chose. Raises when the arguments do not fit, or when
  // the program reads a value for which no branch was recorded.
  int run(size_t entry, std::span<Tensor* const> arguments, std::vector<TensorRef>& results) const;
  // The bytes of a file with the state of now.
  std::string bytes() const;

 private:
  Contents contents_;  // its traces have moved into branches_
  std::vector<trace::Branches> branches_;
  std::vector<std::vector<bool>> written_;
};

}  // namespace versant::saved
