// Gradient tapes in TensorFlow's manner: which part of the recorded graph a program may ask for gradients.
//
// Note [Tapes]
// There is one graph, that of node.h, however many tapes record. A tape is a set of intervals of node
// numbers: the nodes made while it recorded. A gradient asked of it goes through these nodes only, and ends
// at what the tape watches: tensors told to it, and leaves that ops read while it recorded.
//
// What is recorded while some tape of the thread records is marked (Tensor::taped), and so are the leaves
// that exist for tapes (a tf.Variable, a watched tensor). Marked tensors need gradients only while a tape
// records: outside of tapes nothing is added to their history, and no memory is held by it.
//
// A watched tensor that had no history gets a leaf of its own for as long as some tape that watches it
// records; the tape keeps the leaf, because its nodes lead there.
#pragma once

#include <span>
#include <vector>

#include "machine/node.h"

namespace versant {

// Numbers of nodes, from `first` up to but not `last`.
struct NodeInterval {
  uint64_t first, last;
};

class Tape {
 public:
  bool persistent = false;
  bool watches_accessed = true;  // leaves that require gradients are watched once an op reads them

  Tape() = default;
  Tape(const Tape&) = delete;
  ~Tape();

  bool recording() const { return recording_; }
  bool used() const { return used_; }
  void start();  // raises Value when it records already
  void stop();
  // Forgets what was recorded and watched; a tape that records goes on.
  void reset();
  // Raises Value when the tape does not record.
  void watch(Tensor& tensor);
  // The leaves read or watched so far, in that order, of which the tensor is alive.
  std::vector<TensorRef> watched() const;

  // Gradients of the sum of `targets`, weighted by `weights` (an empty one means ones), by `sources`; empty
  // where no recorded way leads from a target to the source. A tape that is not persistent stops, and is used
  // up. The gradient is recorded when another tape records.
  std::vector<TensorRef> gradients(std::span<Tensor* const> targets, std::span<const TensorRef> weights,
                                   std::span<Tensor* const> sources);

  // Stops; no gradients may be asked any more.
  void use_up();

  // Whether a node was made while this tape recorded.
  bool holds(const Node& node) const;
  // A leaf is read that was last noted then.
  void note(LeafNode& leaf, uint64_t before);
  // What was watched in one tensor is watched in another one from now on.
  void follow(Tensor& from, Tensor& to);

 private:
  struct Watched {
    TensorRef tensor;
    Edge edge;
    bool ours = false;  // the leaf exists for tapes
  };

  Edge way_to(Tensor& tensor) const;
  // Of tensors that stand for nothing more; keep: the graph is needed again.
  std::vector<TensorRef> plain_gradients(std::span<Tensor* const> targets, std::span<const TensorRef> weights,
                                         std::span<Tensor* const> sources, bool keep);
  bool overlaps(const Tape& other) const;
  bool overlaps(NodeInterval interval) const;
  // Whether the sources are all leaves that were read or are watched, and nothing else.
  bool are_all_leaves(std::span<const Edge> sources) const;
  void attach();
  void detach();
  // Frees what only this tape's gradients needed, or leaves it to a tape that may need it too.
  void finish();

  NodeInterval current_{0, 0};  // the last one, which is open while the tape records
  std::vector<NodeInterval> earlier_;
  std::vector<Watched> watched_;
  std::vector<Ref<LeafNode>> read_;
  std::vector<Ref<Node>> roots_;  // of gradients that left saved values in place
  uint64_t started_ = 0;
  bool recording_ = false;
  bool used_ = false;
  bool listed_ = false;
  bool grad_before_ = true;
};

namespace tape {

// Tells the tapes of this thread which leaves a new node reads.
void note(Node& node);
// A tensor that stood for more is plain again, and what tapes watched inside of it is watched in itself.
void follow(Tensor& from, Tensor& to);

}  // namespace tape

}  // namespace versant
