// Results of some ops that a checkpointed function keeps, to be taken as they are when it runs again.
#include <map>
#include <memory>

#include "face.h"
#include "machine/primitive.h"
#include "watch.h"

namespace versant::face {

namespace {

struct Kept {
  std::string name;
  std::vector<Array> results;
  std::vector<uint32_t> versions;

  bool is(const char* op, size_t n) const {
    if (name != op || results.size() != n) return false;
    for (size_t k = 0; k < n; ++k)
      if (results[k].storage->version != versions[k]) return false;  // changed in place since
    return true;
  }
};

// What one call keeps: of the actions whose results are kept, all in their order.
struct Selection {
  explicit Selection(Object chooses) : chooses(std::move(chooses)) {}

  bool chosen(const char* name) {
    const auto [found, is_new] = known.try_emplace(name, false);
    if (is_new) {
      const Object answer(checked(PyObject_CallFunction(chooses.get(), "s", name)));
      const int truth = PyObject_IsTrue(answer.get());
      if (truth < 0) throw HostError{};
      found->second = truth != 0;
    }
    return found->second;
  }

  Object chooses;
  std::map<std::string, bool, std::less<>> known;
  std::vector<Kept> kept;
};

class Keeps final : public watch::Watcher {
 public:
  explicit Keeps(std::shared_ptr<Selection> selection) : selection_(std::move(selection)) {}
  void ran(const watch::Event& event) override {
    if (event.step || !selection_->chosen(event.name)) return;
    Kept& kept = selection_->kept.emplace_back();
    kept.name = event.name;
    for (const Array* array : event.out) {
      kept.results.push_back(*array);
      kept.versions.push_back(array->storage->version);
    }
  }

 private:
  std::shared_ptr<Selection> selection_;
};

class Supplies final : public watch::Watcher {
 public:
  explicit Supplies(std::shared_ptr<Selection> selection) : selection_(std::move(selection)) {}
  void ran(const watch::Event&) override {}
  bool supplies(const char* name, std::span<const Array* const> out) override {
    const Kept* const kept = next(name);
    if (!kept || !kept->is(name, out.size())) return false;
    for (size_t k = 0; k < out.size(); ++k)
      if (kept->results[k].sizes != out[k]->sizes || kept->results[k].dtype != out[k]->dtype) return false;
    for (size_t k = 0; k < out.size(); ++k) copy_into(*out[k], kept->results[k]);
    return true;
  }
  bool supplies(const char* name, Run& run) override {
    const Kept* const kept = next(name);
    if (!kept || run.in_place || !kept->is(name, kept->results.size())) return false;
    run.n_outputs = static_cast<int>(kept->results.size());
    for (size_t k = 0; k < kept->results.size(); ++k) run.out[k] = kept->results[k];
    return true;
  }

 private:
  const Kept* next(const char* name) {
    if (!selection_->chosen(name) || next_ == selection_->kept.size()) return nullptr;
    return &selection_->kept[next_++];
  }

  std::shared_ptr<Selection> selection_;
  size_t next_ = 0;
};

constexpr const char* kSelection = "versant.selection";

PyObject* selection(PyObject*, PyObject* chooses) {
  return guarded([&] {
    auto made =
        std::make_unique<std::shared_ptr<Selection>>(std::make_shared<Selection>(Object::share(chooses)));
    PyObject* const capsule = PyCapsule_New(made.get(), kSelection, [](PyObject* object) {
      delete static_cast<std::shared_ptr<Selection>*>(PyCapsule_GetPointer(object, kSelection));
    });
    if (capsule) made.release();
    return capsule;
  });
}

template <typename Watcher>
PyObject* watch_selection(PyObject*, PyObject* capsule) {
  auto* held = static_cast<std::shared_ptr<Selection>*>(PyCapsule_GetPointer(capsule, kSelection));
  if (!held) return nullptr;
  return guarded([&] { return PyLong_FromLongLong(add_watcher(std::make_unique<Watcher>(*held))); });
}

}  // namespace

PyMethodDef selective_functions[] = {
    {"selection", selection, METH_O, "selection(chooses): what keeps results of the ops that chooses(name)."},
    {"watch_keeping", watch_selection<Keeps>, METH_O, "Keeps results in a selection; the watcher's number."},
    {"watch_supplying", watch_selection<Supplies>, METH_O,
     "Gives the results of a selection in their order; the watcher's number."},
    {},
};

}  // namespace versant::face
