// Kinds of actions: the same op from the same place. What an action was and where it came from is put into
// words once for each kind.
#pragma once

#include <unordered_map>

#include "face.h"
#include "machine/trace.h"
#include "machine/watch.h"
#include "watch.h"

namespace versant::face {

class Kinds {
 public:
  Kinds() = default;
  Kinds(const Kinds&) = delete;
  ~Kinds() {
    for (auto& [key, number] : numbers_)
      for (const void* object : {key.code, key.module, key.of_code})
        Py_XDECREF(static_cast<PyObject*>(const_cast<void*>(object)));
  }

  // The number of the event's kind and whether it is a new one. Two events of one op may be made kinds of
  // their own by `more`.
  std::pair<int, bool> number(const watch::Event& event, size_t more = 0) {
    Location here;
    if (!event.step && location_hooks.here) here = location_hooks.here();
    const bool back = !event.step && watch::back && !watch::back->is_leaf();
    const Key key{event.name,
                  here.code,
                  event.step ? nullptr
                  : back     ? module_of_node(watch::back->number)
                             : current_module(),
                  back ? watch::back->where.code : nullptr,
                  event.step ? event.step : watch::host,
                  more,
                  here.at,
                  back ? watch::back->where.at : 0,
                  back ? watch::back->order + 1 : 0};
    const auto [found, is_new] = numbers_.try_emplace(key, static_cast<int>(numbers_.size()));
    if (is_new) {  // the reference to `here` stays with the key, and so do these
      Py_XINCREF(static_cast<PyObject*>(const_cast<void*>(key.module)));
      Py_XINCREF(static_cast<PyObject*>(const_cast<void*>(key.of_code)));
    } else if (here.code) {
      location_hooks.release(here.code);
    }
    return {found->second, is_new};
  }

 private:
  // What tells one kind from another without a string.
  struct Key {
    const void *name, *code, *module, *of_code, *step;
    size_t more;
    int32_t at, of_at, order;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const {
      size_t mixed = static_cast<size_t>(key.at) * 31 + static_cast<size_t>(key.of_at) + key.more * 1000033 +
                     static_cast<size_t>(key.order) * 131;
      for (const void* part : {key.name, key.code, key.module, key.of_code, key.step})
        mixed = mixed * 1000003 + reinterpret_cast<uintptr_t>(part);
      return mixed;
    }
  };
  std::unordered_map<Key, int, Hash> numbers_;
};

}  // namespace versant::face
