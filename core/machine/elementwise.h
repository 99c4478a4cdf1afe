// Elementwise ops: a tile program for the value, and for each input a tile program for the gradient.
//
// The op table (Python) owns the definitions. A record reaches the machine as an ElementwiseOp whose programs
// are built by the host when they are first wanted; the machine then runs and differentiates without the
// host.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "machine/node.h"
#include "machine/program.h"

namespace versant {

// How the result's dtype follows from the inputs'.
enum class DTypeRule : uint8_t {
  Promote,   // the promoted dtype
  Float,     // the promoted dtype; integers and bool become the default float
  Bool,      // computed in the promoted dtype, stored as bool
  Integral,  // promoted; floating-point inputs are an error
  First,     // the dtype of the first input
  Number,    // promoted; bool becomes int64
  // Of complex forms, which compute on pairs of real and imaginary parts:
  Complex,  // the promoted dtype, complex
  Real,     // the dtype of its parts
  Truth,    // bool
};

// What an op does not take.
enum Refusal : uint8_t {
  kRefusesBool = 1,      // a tensor of bool
  kRefusesFraction = 2,  // among integers, a parameter of Python's float
  kRefusesNegative = 4,  // among integers, a negative number as the second input
  kRefusesOverflow = 8,  // a number that the integer dtype of the tensors cannot hold (it would wrap around)
  kRefusesNumbers = 16,  // among inputs that take no part in promotion, other than bool: they are conditions
  kRefusesNumberFirst = 32,   // a Python number as the first input
  kRefusesNumberSecond = 64,  // a Python number as the second input
  kRefusesFalling = 128,      // a parameter less than the one before it; less than 0, if it is alone
};

struct ElementwiseOp;

// The gradient of an elementwise op for one of its inputs. Its sources are, in order: the gradient of the
// output, the inputs, the parameters, the output.
struct Derivative {
  enum class Kind : uint8_t { Unknown, None, Zero, Identity, Program };
  Kind kind = Kind::Unknown;
  uint32_t uses = 0;             // bit s: source s is read
  ElementwiseOp* op = nullptr;   // the same as an op of its own (for gradients of gradients) ...
  std::vector<uint8_t> sources;  // ... applied to these sources
};

struct ElementwiseOp {
  std::string name;
  int n_inputs = 1;      // tensors (or numbers in their place)
  int n_parameters = 0;  // numbers that follow them
  DTypeRule rule = DTypeRule::Promote;
  uint32_t promotes = ~0u;  // bit i: input i takes part in promotion (the condition of `where` does not)
  uint8_t refuses = 0;      // of Refusal
  void* host = nullptr;     // the record

  bool ready = false;
  Program forward;
  std::vector<Derivative> derivatives;                                  // one per input
  std::vector<std::pair<uint32_t, std::unique_ptr<Program>>> backward;  // by mask of wanted inputs
  // The same with results added to further inputs, by both masks (those added in the upper half).
  std::vector<std::pair<uint64_t, std::unique_ptr<Program>>> backward_adding;
  // Cheaper ops for certain numbers in the place of the second input: x ** 2 is square(x).
  std::vector<std::pair<double, ElementwiseOp*>> specials;
  ElementwiseOp* on_bool = nullptr;  // the op to use where the inputs promote to bool
  // The op to use where they promote to complex; null when there is none, or while it is not known.
  ElementwiseOp* complex = nullptr;
  bool complex_known = false;

  // Note [Complex forms]
  // The complex form of an op has the same inputs. Its programs see each source as two, the real part and the
  // imaginary part, and give the parts of each complex result, so all that runs is real arithmetic on real
  // arrays (complex.h). The derivative is the real one by both parts: as a complex number it is PyTorch's
  // gradient (conjugate Wirtinger). Where an input is real, the engine takes the real part.
  bool pairs() const { return rule >= DTypeRule::Complex; }
};

// run_program where each source stands for two inputs, its parts, and each complex output for two outputs.
void run_pairs(const Program& program, DType common, std::span<const Operand> sources,
               std::span<const Array* const> outputs, const Dims& sizes, const char* op);

struct ElementwiseHooks {
  void (*open)(const char* name) = nullptr;  // has the host register the record of that name, if it knows one
  void (*build_forward)(ElementwiseOp&) = nullptr;
  void (*build_complex)(ElementwiseOp&) = nullptr;                // sets `complex`
  void (*build_derivative)(ElementwiseOp&, int input) = nullptr;  // sets derivatives[input]
  void (*build_backward)(ElementwiseOp&, uint32_t mask) =
      nullptr;  // adds backward[mask]: one output per wanted Program input
};
extern ElementwiseHooks elementwise_hooks;

// An input of an op: a tensor or a number.
struct Input {
  Tensor* tensor = nullptr;
  Scalar scalar;

  Input() = default;
  Input(Tensor& tensor) : tensor(&tensor) {}
  Input(const TensorRef& tensor) : tensor(tensor.get()) {}
  Input(Scalar scalar) : scalar(scalar) {}
};

// The derivative of `op` by an input.
const Derivative& derivative_of(ElementwiseOp& op, int input);

// Applies `op`; inputs are followed by the parameters.
TensorRef apply(ElementwiseOp& op, std::span<const Input> inputs);
// Writes the result into `out`, which is input 0 itself (x.add_(y)) unless `fresh` (add(x, y, out=out)).
void apply_in_place(ElementwiseOp& op, std::span<const Input> inputs, Tensor& out, bool fresh = false);
// The dtype that `op` gives for these inputs, and the one it computes in.
DType result_dtype(const ElementwiseOp& op, std::span<const Input> inputs, DType* common);

// A handle on a record of the table by name, for rules written in C++; resolved when the host registers it.
class NamedOp {
 public:
  explicit NamedOp(const char* name);
  ElementwiseOp& operator*() const;

 private:
  const char* name_;
  mutable ElementwiseOp* op_ = nullptr;
};
void register_elementwise(ElementwiseOp* op);
ElementwiseOp* find_elementwise(const std::string& name);

}  // namespace versant
