// What the rest of the face knows of watchers and of the modules that run.
#pragma once

#include <memory>

#include "face.h"
#include "machine/watch.h"

namespace versant::face {

bool init_watch(PyObject* module);
// Adds a watcher of the thread that calls, and gives its number; takes one away.
int64_t add_watcher(std::unique_ptr<watch::Watcher> watcher);
void remove_watcher(int64_t number);
// (where, module, back, of_name, of)
Object place_of(const watch::Event& event);
// A replay was taken back: the compiled function is to be run as it is written.
void set_run_again();
bool is_run_again();

// --- the modules that run (scopes.cc)

bool init_scopes(PyObject* module);
// A module's call begins; `leave_module` ends it. Between them lies what it makes.
void enter_module(PyObject* module);
void leave_module();
// Nobody observes any more.
void forget_modules();
// The innermost module that runs, and that which ran when the node was made; borrowed, null for none.
PyObject* current_module();
PyObject* module_of_node(uint64_t number);

}  // namespace versant::face
