// versant.h over the machine. Nothing is thrown beyond this file.
#include "c/versant.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "machine/parallel.h"
#include "machine/random.h"
#include "machine/saved/program.h"
#include "machine/version.h"

struct vs_program {
  versant::saved::Program program;
};

namespace {

using versant::Array;
using versant::ErrorKind;
using versant::fail;
using versant::Ref;
using versant::Storage;
using versant::Tensor;
using versant::TensorRef;

static_assert(VS_COMPLEX128 == static_cast<int>(versant::DType::Complex128), "dtypes count alike");

// The machine is used from one thread at a time: see Note [One lock for bookkeeping].
std::mutex lock;

std::string& last_error() {
  thread_local std::string text;
  return text;
}

// What `body` returns, or `failure` with the reason kept.
template <typename Result, typename Body>
Result guarded(Result failure, Body&& body) noexcept {
  try {
    const std::lock_guard<std::mutex> held(lock);
    return body();
  } catch (const std::bad_alloc&) {
    last_error() = "out of memory";
  } catch (const std::exception& error) {
    last_error() = error.what();
  } catch (...) {
    last_error() = "an unknown error";
  }
  return failure;
}

class File {
 public:
  File(const char* path, const char* mode) : path_(path), file_(std::fopen(path, mode)) {
    if (!file_) refuse();
  }
  ~File() {
    if (file_) std::fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::string read() {
    std::string bytes;
    char part[65536];
    size_t count = 0;
    while ((count = std::fread(part, 1, sizeof part, file_)) > 0) bytes.append(part, count);
    if (std::ferror(file_)) refuse();
    return bytes;
  }
  void write(const std::string& bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size() || std::fflush(file_) != 0 ||
        fsync(fileno(file_)) != 0)
      refuse();
  }

 private:
  [[noreturn]] void refuse() const { fail(ErrorKind::Value, path_, ": ", std::strerror(errno)); }
  const char* path_;
  std::FILE* file_;
};

const versant::saved::Program& program_of(const vs_program* program) {
  if (!program) fail(ErrorKind::Value, "the program is NULL");
  return program->program;
}

size_t checked(int index, size_t count, const char* what) {
  if (index < 0 || static_cast<size_t>(index) >= count)
    fail(ErrorKind::Index, "there is no ", what, " ", index, " of ", count);
  return static_cast<size_t>(index);
}

size_t entry_of(const vs_program* program, int entry) {
  return checked(entry, program_of(program).size(), "entry");
}

size_t branch_of(const vs_program* program, size_t entry, int branch) {
  return checked(branch, program->program.entry(entry).results.size(), "branch");
}

int describe(const Array& array, const char* name, vs_array* description) {
  if (!description) fail(ErrorKind::Value, "the description is NULL");
  description->name = name;
  description->dtype = static_cast<vs_dtype>(array.dtype);
  description->rank = array.rank();
  description->sizes = array.sizes.begin();
  description->bytes = static_cast<size_t>(array.bytes());
  return 0;
}

// A row-major array over memory of the caller.
Array array_over(const vs_buffer& buffer, const Array& like) {
  Array array;
  array.storage = Storage::wrap(buffer.data, buffer.bytes, nullptr, nullptr);
  array.data = buffer.data;
  array.numel = like.numel;
  array.dtype = like.dtype;
  array.sizes = like.sizes;
  array.strides = versant::contiguous_strides(like.sizes);
  return array;
}

bool is_aligned(const vs_buffer& buffer, versant::DType dtype) {
  return reinterpret_cast<uintptr_t>(buffer.data) % versant::alignment(dtype) == 0;
}

TensorRef input_of(const versant::saved::Program& program, size_t entry, size_t i, const vs_buffer& buffer) {
  const Array& like = program.inputs(entry)[i];
  const std::string& name = program.entry(entry).names[i];
  const auto bytes = static_cast<size_t>(like.bytes());
  if (buffer.bytes != bytes || (!buffer.data && bytes))
    fail(ErrorKind::Value, "input '", name, "' is ", versant::describe(like), ", ", bytes, " bytes, got ",
         buffer.data ? versant::text(buffer.bytes, " bytes") : "NULL");
  if (!is_aligned(buffer, like.dtype))
    fail(ErrorKind::Value, "input '", name, "' has to lie at a multiple of ", versant::alignment(like.dtype));
  const Array given = array_over(buffer, like);
  // What a run would change is copied, and what the program wants to lie otherwise.
  const bool as_it_is = like.contiguous && !like.data && !program.writes(entry, i);
  return Tensor::make(as_it_is ? given : program.laid_out(entry, i, given));
}

int run(const vs_program* handle, int entry_number, const vs_buffer* inputs, int input_count,
        const vs_buffer* outputs, int output_count) {
  const size_t entry = entry_of(handle, entry_number);
  const versant::saved::Program& program = handle->program;
  const size_t wanted = program.inputs(entry).size();
  if (input_count < 0 || static_cast<size_t>(input_count) != wanted || (!inputs && wanted))
    fail(ErrorKind::Value, "the program takes ", wanted, " inputs, got ", inputs ? input_count : 0);
  std::vector<TensorRef> held;
  std::vector<Tensor*> arguments;
  for (size_t i = 0; i < wanted; ++i) {
    held.push_back(input_of(program, entry, i, inputs[i]));
    arguments.push_back(held.back().get());
  }
  // What does not fit is said before anything runs; with several branches, when the values have chosen.
  const auto check = [&](size_t branch) {
    const auto& results = program.trace(entry, branch).results;
    if (output_count < 0 || static_cast<size_t>(output_count) != results.size() || (!outputs && output_count))
      fail(ErrorKind::Value, "the program gives ", results.size(), " outputs, got room for ",
           outputs ? output_count : 0);
    for (size_t k = 0; k < results.size(); ++k) {
      const Array& like = results[k].array;
      const auto bytes = static_cast<size_t>(like.bytes());
      if (outputs[k].bytes < bytes || (!outputs[k].data && bytes))
        fail(ErrorKind::Value, "output ", k, " is ", versant::describe(like), ", ", bytes,
             " bytes, got room for ", outputs[k].data ? outputs[k].bytes : 0);
      if (!is_aligned(outputs[k], like.dtype))
        fail(ErrorKind::Value, "output ", k, " has to lie at a multiple of ", versant::alignment(like.dtype));
    }
  };
  if (program.entry(entry).results.size() == 1) check(0);
  std::vector<TensorRef> results;
  const int branch = program.run(entry, arguments, results);
  check(static_cast<size_t>(branch));
  for (size_t k = 0; k < results.size(); ++k)
    versant::copy_into(array_over(outputs[k], *results[k]), *results[k]);
  return branch;
}

}  // namespace

vs_program* vs_load(const char* path) {
  return guarded<vs_program*>(nullptr, [&] {
    if (!path) fail(ErrorKind::Value, "the path is NULL");
    const std::string bytes = File(path, "rb").read();
    return new vs_program{versant::saved::Program(versant::saved::read(bytes))};
  });
}

int vs_save(const vs_program* program, const char* path) {
  return guarded(-1, [&] {
    if (!path) fail(ErrorKind::Value, "the path is NULL");
    const std::string bytes = program_of(program).bytes(), draft = std::string(path) + ".new";
    try {
      File(draft.c_str(), "wb").write(bytes);
    } catch (...) {
      std::remove(draft.c_str());
      throw;
    }
    if (std::rename(draft.c_str(), path) != 0) fail(ErrorKind::Value, path, ": ", std::strerror(errno));
    return 0;
  });
}

void vs_free(vs_program* program) {
  guarded(0, [&] {
    delete program;
    return 0;
  });
}

int vs_count_entries(const vs_program* program) {
  return guarded(-1, [&] { return static_cast<int>(program_of(program).size()); });
}

int vs_count_branches(const vs_program* program, int entry) {
  return guarded(-1, [&] {
    return static_cast<int>(program_of(program).entry(entry_of(program, entry)).results.size());
  });
}

int vs_count_inputs(const vs_program* program, int entry) {
  return guarded(
      -1, [&] { return static_cast<int>(program_of(program).inputs(entry_of(program, entry)).size()); });
}

int vs_count_outputs(const vs_program* program, int entry, int branch) {
  return guarded(-1, [&] {
    const size_t e = entry_of(program, entry);
    return static_cast<int>(program->program.trace(e, branch_of(program, e, branch)).results.size());
  });
}

int vs_describe_input(const vs_program* program, int entry, int index, vs_array* description) {
  return guarded(-1, [&] {
    const size_t e = entry_of(program, entry);
    const size_t i = checked(index, program->program.inputs(e).size(), "input");
    return describe(program->program.inputs(e)[i], program->program.entry(e).names[i].c_str(), description);
  });
}

int vs_describe_output(const vs_program* program, int entry, int branch, int index, vs_array* description) {
  return guarded(-1, [&] {
    const size_t e = entry_of(program, entry);
    const auto& results = program->program.trace(e, branch_of(program, e, branch)).results;
    return describe(results[checked(index, results.size(), "output")].array, nullptr, description);
  });
}

int vs_run(vs_program* program, int entry, const vs_buffer* inputs, int input_count, const vs_buffer* outputs,
           int output_count) {
  return guarded(-1, [&] { return run(program, entry, inputs, input_count, outputs, output_count); });
}

int vs_set_threads(int count) {
  return guarded(-1, [&] {
    if (count < 1) fail(ErrorKind::Value, "expected at least 1 thread, got ", count);
    versant::set_num_threads(count);
    return 0;
  });
}

void vs_seed(uint64_t seed) {
  guarded(0, [&] {
    versant::default_generator() = {seed, 0};
    return 0;
  });
}

const char* vs_last_error(void) { return last_error().c_str(); }

const char* vs_version(void) { return versant::version(); }
