// The recorder's watcher: what the results of actions are like, as rows that Python fetches step by step.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "face.h"
#include "kinds.h"
#include "machine/magnitude.h"
#include "watch.h"

namespace versant::face {

namespace {

constexpr int kBins = 16;

// As it stands in files, little-endian: see src/versant/debug/recording.py.
struct Row {
  uint32_t kind, order;  // order: how many results of that kind the step had before
  int64_t n, nan, inf, zeros;
  double min, max, mean, std;
  uint16_t bins[kBins];  // of a sample between min and max
};
static_assert(sizeof(Row) == 8 + 4 * 8 + 4 * 8 + 2 * kBins);

class StepRecorder final : public watch::Watcher {
 public:
  // wants(name, output, type, place, sources): of the kinds from which it was computed; 0 for results of a
  // kind that are not recorded, 1 for their health, 2 for their values too, of which keep(kind, order,
  // tensor) is told; drop(n) takes the last n of those back.
  StepRecorder(Object wants, Object keep, Object drop)
      : wants_(std::move(wants)), keep_(std::move(keep)), drop_(std::move(drop)) {}

  void ran(const watch::Event& event) override {
    for (size_t k = 0; k < event.out.size(); ++k) {
      const Array& out = *event.out[k];
      size_t more = k + 1;
      for (const int64_t size : out.sizes) more = more * 1000003 + static_cast<size_t>(size);
      const auto [kind, is_new] = kinds_.number(event, more * 31 + static_cast<size_t>(out.dtype));
      if (is_new) ask(event, k);
      made_by_[out.data] = kind;
      const auto number = static_cast<size_t>(kind);
      if (choice_[number] == 0) continue;
      rows_.push_back(row_of(out, static_cast<uint32_t>(kind), counts_[number]++));
      if (choice_[number] == 2) {
        const watch::Unwatched quiet;
        ++kept_;
        checked(PyObject_CallFunction(keep_.get(), "iIN", kind, rows_.back().order,
                                      wrap(Tensor::make(Array(out)))));
      }
    }
  }

  void replay_begins() override { begun_.push_back({rows_.size(), kept_}); }
  void replay_ends(bool taken_back) override {
    if (begun_.empty()) return;  // it began before the recording
    const auto [rows, kept] = begun_.back();
    begun_.pop_back();
    if (!taken_back) return;
    for (; rows_.size() > rows; rows_.pop_back()) --counts_[rows_.back().kind];
    if (kept_ > kept) checked(PyObject_CallFunction(drop_.get(), "n", static_cast<Py_ssize_t>(kept_ - kept)));
    kept_ = std::min(kept_, kept);
  }

  Object take() {
    Object bytes(checked(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(rows_.data()),
                                                   static_cast<Py_ssize_t>(rows_.size() * sizeof(Row)))));
    rows_.clear();
    kept_ = 0;
    for (Begun& begun : begun_) begun = {};
    std::fill(counts_.begin(), counts_.end(), 0);
    return bytes;
  }

 private:
  static Row row_of(const Array& out, uint32_t kind, uint32_t order) {
    const Health h = health(out);
    Row row{};
    row.kind = kind;
    row.order = order;
    row.n = h.n;
    row.nan = h.nan;
    row.inf = h.inf;
    row.zeros = h.zeros;
    const int64_t finite = h.n - h.nan - h.inf;
    if (finite == 0) return row;
    row.min = h.min;
    row.max = h.max;
    row.mean = h.sum / static_cast<double>(finite);
    row.std = std::sqrt(std::max(0.0, h.squares / static_cast<double>(finite) - row.mean * row.mean));
    const std::vector<int64_t> counts = histogram(out, h.min, h.max, kBins, 256);
    for (int b = 0; b < kBins; ++b)
      row.bins[b] = static_cast<uint16_t>(std::min<int64_t>(counts[static_cast<size_t>(b)], 65535));
    return row;
  }

  void ask(const watch::Event& event, size_t k) {
    const Array& out = *event.out[k];
    Object place = place_of(event);
    const char* name = event.name;
    size_t output = k;
    if (event.step && k < event.step->makers.size() &&
        event.step->makers[k].part < event.step->parts.size()) {  // of a fused step: what made the result
      const trace::Step::Part& part = event.step->parts[event.step->makers[k].part];
      output = event.step->makers[k].output;
      name = part.name.c_str();
      place = checked(Py_BuildValue("ssiss", part.where.c_str(), part.module.c_str(), part.back,
                                    part.of_name.c_str(), part.of.c_str()));
    }
    Object sources(checked(PyList_New(0)));
    for (const versant::Operand& operand : event.in) {
      if (!operand.array) continue;
      const auto found = made_by_.find(operand.array->data);
      if (found == made_by_.end()) continue;
      const Object number(checked(PyLong_FromLong(found->second)));
      if (PyList_Append(sources.get(), number.get()) < 0) throw HostError{};
    }
    const Object answer(checked(PyObject_CallFunction(wants_.get(), "sisOO", name, static_cast<int>(output),
                                                      describe(out).c_str(), place.get(), sources.get())));
    const long choice = PyLong_AsLong(answer.get());
    if (choice == -1 && PyErr_Occurred()) throw HostError{};
    choice_.push_back(static_cast<int>(choice));
    counts_.push_back(0);
  }

  // What there was when a replay began.
  struct Begun {
    size_t rows = 0, kept = 0;
  };

  Object wants_, keep_, drop_;
  Kinds kinds_;
  std::vector<int> choice_;
  std::vector<uint32_t> counts_;
  std::vector<Row> rows_;
  size_t kept_ = 0;  // tensors that `keep` was told of
  std::vector<Begun> begun_;
  std::unordered_map<const void*, int> made_by_;  // by where a result begins: the kind that lies there
};

constexpr const char* kCapsule = "versant.recorder";

PyObject* record_begin(PyObject*, PyObject* args) {
  PyObject *wants, *keep, *drop;
  if (!PyArg_ParseTuple(args, "OOO", &wants, &keep, &drop)) return nullptr;
  return guarded([&]() -> PyObject* {
    auto recorder =
        std::make_unique<StepRecorder>(Object::share(wants), Object::share(keep), Object::share(drop));
    const Object capsule(checked(PyCapsule_New(recorder.get(), kCapsule, nullptr)));
    return Py_BuildValue("LO", static_cast<long long>(add_watcher(std::move(recorder))), capsule.get());
  });
}

PyObject* record_take(PyObject*, PyObject* capsule) {
  auto* recorder = static_cast<StepRecorder*>(PyCapsule_GetPointer(capsule, kCapsule));
  if (!recorder) return nullptr;
  return guarded([&] { return recorder->take().release(); });
}

}  // namespace

PyMethodDef recorder_functions[] = {
    {"record_begin", record_begin, METH_VARARGS,
     "record_begin(wants, keep, drop): the watcher's number and the recorder, which lives as long as it "
     "watches."},
    {"record_take", record_take, METH_O, "The rows of the recorder since the last call, as bytes."},
    {},
};

}  // namespace versant::face
