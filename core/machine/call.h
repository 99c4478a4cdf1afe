// How records of the op table that are not elementwise reach C++: named functions over plain argument values.
//
// A file that implements an op registers it beside its code:
//
//   const Function kCumsum("cumsum", [](Args& a) { return Result(ops::cumsum(a.tensor(0), a.integer(1))); });
//
// and the op table names it with the signature by which Python callers reach it (docs/adding_an_op.md). The
// Python face parses arguments by that signature into Values; defaults are filled in there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "machine/random.h"
#include "machine/tensor.h"

namespace versant {

struct Value {
  enum class Kind : uint8_t { None, Bool, Int, Float, Tensor, Tensors, Ints, DType, Text, Generator };

  Kind kind = Kind::None;
  DType dtype = DType::Float32;
  Scalar scalar;                   // Bool, Int, Float
  Tensor* tensor = nullptr;        // Tensor; borrowed
  Generator* generator = nullptr;  // Generator; borrowed
  Dims ints;                       // Ints
  std::vector<Tensor*> tensors;    // Tensors; null stands for None
  std::string_view text;           // Text
};

// The arguments of one call, by position in the signature. Wrong kinds raise TypeError.
class Args {
 public:
  Args(const char* name, std::span<Value> values) : name_(name), values_(values) {}

  bool none(int i) const { return at(i).kind == Value::Kind::None; }
  Tensor& tensor(int i) const;
  Tensor* optional_tensor(int i) const;
  std::span<Tensor* const> tensors(int i) const;
  std::span<Tensor* const> optional_tensors(int i) const;  // null stands for None
  // An int, or a sequence of them; None gives an empty list.
  const Dims& ints(int i) const { return at(i).ints; }
  int64_t integer(int i) const;
  std::optional<int64_t> optional_integer(int i) const;
  double number(int i) const;
  Scalar scalar(int i) const { return at(i).scalar; }
  bool flag(int i) const { return at(i).scalar.as_int() != 0; }
  std::optional<DType> dtype(int i) const;
  bool is_dtype(int i) const { return at(i).kind == Value::Kind::DType; }
  std::string_view text(int i) const { return at(i).text; }
  Generator& generator(int i) const;  // None gives the default one
  const char* name() const { return name_; }

 private:
  friend struct Function;
  const Value& at(int i) const;
  const char* name_;
  std::span<Value> values_;
};

// What a call returns to Python: one tensor, a tuple of tensors, or a number.
struct Result {
  std::vector<TensorRef> tensors;
  TensorRef tensor;
  std::optional<Scalar> number;
  bool nothing = false;          // None
  const char* fields = nullptr;  // names of a tuple's fields ("values indices"), for a named tuple

  explicit Result(TensorRef one) : tensor(std::move(one)) {}
  explicit Result(std::vector<TensorRef> many, const char* fields = nullptr)
      : tensors(std::move(many)), fields(fields) {}
  explicit Result(Scalar value) : number(value) {}
  static Result none() {
    Result result{TensorRef()};
    result.nothing = true;
    return result;
  }
};

// A function whose body computes outside of primitives and programs: a trace takes its call as one step.
struct Opaque {
  bool draws = false;  // random numbers
};

struct Function {
  using Body = Result (*)(Args&);
  // The same for calls in which plain tensors stand in at least `least` places and all others are left out.
  using Quick = TensorRef (*)(std::span<Tensor* const>);
  Function(const char* name, Body body, Quick quick = nullptr, int least = 0);
  Function(const char* name, Body body, Opaque how) : Function(name, body) {
    opaque = true;
    draws = how.draws;
  }
  Result call(Args& args) const;
  const char* name;
  Body body;
  Quick quick;
  int least;
  bool opaque = false, draws = false;
};

// A call of a function that is opaque, to be made again with other tensors.
struct CallAgain {
  CallAgain() = default;
  CallAgain(const Function* function, std::vector<Value> values);
  std::vector<TensorRef> operator()(std::span<const TensorRef> tensors) const;
  // How many tensors it takes. They stand in `values` as pointers that are not null and lead nowhere.
  size_t places() const;

  const Function* function = nullptr;
  std::shared_ptr<const std::vector<Value>> values;
  std::shared_ptr<const std::vector<std::string>> texts;  // of `values`
};

const Function* find_function(std::string_view name);

}  // namespace versant
