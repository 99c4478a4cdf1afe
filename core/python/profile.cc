// The profiler's watcher: when each action began and ended, and who held what memory when.
//
// An action costs two readings of the clock and one look into a table: what it was and where it came from is
// put into words the first time only.
#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "face.h"
#include "kinds.h"
#include "machine/memory.h"
#include "machine/memory_log.h"
#include "watch.h"

namespace versant::face {

namespace {

double now() {
  using namespace std::chrono;
  return duration<double, std::micro>(steady_clock::now().time_since_epoch()).count();
}

class Profile final : public watch::Watcher {
 public:
  Profile() : start_(now()), live_(memory::stats().live_bytes), first_live_(live_) {}
  bool reads() const override { return false; }
  void begins() override {
    began_ = now();
    share_ = 0;
  }
  void ran(const watch::Event& event) override {
    const double ended = now();
    // Steps that ran as one share their time.
    if (event.together > 1) {
      if (share_ == 0) share_ = (ended - began_) / static_cast<double>(event.together);
    } else {
      share_ = ended - began_;
    }
    const int kind = kind_of(event);
    if (rows_.size() < kMostRows) rows_.push_back({kind, began_ - start_, share_, live_});
    began_ += share_;
    for (const size_t block : pending_) blocks_[block].kind = kind;
    pending_.clear();
  }

  void logged(const void* block, int64_t bytes) {
    live_ += bytes;
    if (blocks_.size() >= kMostRows) return;
    if (bytes > 0) {
      held_[block] = blocks_.size();
      pending_.push_back(blocks_.size());
      blocks_.push_back({-1, bytes, now() - start_, -1});
    } else if (const auto found = held_.find(block); found != held_.end()) {
      blocks_[found->second].freed = now() - start_;
      held_.erase(found);
    }
  }

  // (kinds, rows, blocks, bytes held at first): kinds are (name, place), rows (kind, begin, duration, bytes
  // held), blocks (kind or -1, bytes, from, until or -1); microseconds.
  Object result() const {
    Object rows(checked(PyList_New(static_cast<Py_ssize_t>(rows_.size()))));
    for (size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      PyList_SET_ITEM(
          rows.get(), static_cast<Py_ssize_t>(i),
          checked(Py_BuildValue("iddL", row.kind, row.began, row.lasted, static_cast<long long>(row.live)))
              .release());
    }
    Object blocks(checked(PyList_New(static_cast<Py_ssize_t>(blocks_.size()))));
    for (size_t i = 0; i < blocks_.size(); ++i) {
      const Block& block = blocks_[i];
      PyList_SET_ITEM(blocks.get(), static_cast<Py_ssize_t>(i),
                      checked(Py_BuildValue("iLdd", block.kind, static_cast<long long>(block.bytes),
                                            block.made, block.freed))
                          .release());
    }
    return checked(
        Py_BuildValue("OOOL", words_.get(), rows.get(), blocks.get(), static_cast<long long>(first_live_)));
  }

 private:
  static constexpr size_t kMostRows = 1 << 22;
  struct Row {
    int kind;
    double began, lasted;
    int64_t live;
  };
  struct Block {
    int kind;  // of the action that asked for it
    int64_t bytes;
    double made, freed;
  };

  int kind_of(const watch::Event& event) {
    const auto [number, is_new] = kinds_.number(event);
    if (!is_new) return number;
    const Object kind = checked(Py_BuildValue("sN", event.name, place_of(event).release()));
    if (PyList_Append(words_.get(), kind.get()) < 0) throw HostError{};
    return number;
  }

  double start_, began_ = 0, share_ = 0;
  int64_t live_, first_live_;
  Object words_ = checked(PyList_New(0));
  Kinds kinds_;
  std::vector<Row> rows_;
  std::vector<Block> blocks_;
  std::vector<size_t> pending_;  // blocks that were asked for since the last action
  std::unordered_map<const void*, size_t> held_;
};

Profile* logging = nullptr;  // one profile at a time sees the allocator

void log(const void* block, int64_t bytes) { logging->logged(block, bytes); }

PyObject* profile_begin(PyObject*, PyObject*) {
  return guarded([]() -> PyObject* {
    if (logging) fail(ErrorKind::Runtime, "[profile] a profile is being taken already");
    auto profile = std::make_unique<Profile>();
    logging = profile.get();
    memory::log = log;
    return PyLong_FromLongLong(add_watcher(std::move(profile)));
  });
}

PyObject* profile_end(PyObject*, PyObject* number) {
  const long long n = PyLong_AsLongLong(number);
  if (n == -1 && PyErr_Occurred()) return nullptr;
  return guarded([&]() -> PyObject* {
    if (!logging) fail(ErrorKind::Runtime, "[profile] no profile is being taken");
    memory::log = nullptr;
    Object result = std::exchange(logging, nullptr)->result();
    remove_watcher(n);
    return result.release();
  });
}

}  // namespace

PyMethodDef profile_functions[] = {
    {"profile_begin", profile_begin, METH_NOARGS, "Begins a profile of this thread; its number."},
    {"profile_end", profile_end, METH_O,
     "Ends a profile: (kinds, rows, blocks, bytes held at first); times in microseconds."},
    {},
};

}  // namespace versant::face
