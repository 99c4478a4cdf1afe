/* Runs saved programs without Python. C99; libversant is all that it needs.
 *
 *     vs_program* program = vs_load("digits.vsp");
 *     if (!program) return fail(vs_last_error());
 *     vs_buffer in = {image, sizeof image}, out = {scores, sizeof scores};
 *     if (vs_run(program, 0, &in, 1, &out, 1) < 0) return fail(vs_last_error());
 *     vs_free(program);
 *
 * A program has one entry for each kind of arguments that its function was saved with, and an entry has one
 * branch for each way that values made it go; most programs have one of each. Entries, branches, inputs and
 * outputs count from 0. An entry may assume something of the program's state, such as that a gradient is
 * there: a run where that does not hold is an error, and another entry may take it.
 *
 * Functions that can fail return NULL or -1, and vs_last_error says why. They may be called from any thread,
 * and wait for one another. Arrays are row-major, in the byte order of the machine. */
#ifndef VERSANT_H
#define VERSANT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define VS_API __attribute__((visibility("default")))
#else
#define VS_API
#endif

typedef struct vs_program vs_program;

typedef enum vs_dtype {
  VS_BOOL, /* a byte, 0 or 1 */
  VS_UINT8,
  VS_INT8,
  VS_INT16,
  VS_INT32,
  VS_INT64,
  VS_FLOAT16,  /* IEEE 754 binary16 */
  VS_BFLOAT16, /* the upper half of a float32 */
  VS_FLOAT32,
  VS_FLOAT64,
  VS_COMPLEX64, /* real part, imaginary part */
  VS_COMPLEX128
} vs_dtype;

/* What a program takes or gives at one place. Name and sizes are the program's, and live as long. */
typedef struct vs_array {
  const char* name; /* of an input: the parameter, such as "x" or "batch['mask']"; NULL of outputs */
  vs_dtype dtype;
  int rank;
  const int64_t* sizes;
  size_t bytes; /* of all elements */
} vs_array;

/* Memory of the caller. */
typedef struct vs_buffer {
  void* data;
  size_t bytes;
} vs_buffer;

/* Reads a program. Files that are damaged or hostile are refused, not run. */
VS_API vs_program* vs_load(const char* path);
/* Writes a program with its state of now: runs of a program that trains change it. */
VS_API int vs_save(const vs_program* program, const char* path);
VS_API void vs_free(vs_program* program);

VS_API int vs_count_entries(const vs_program* program);
VS_API int vs_count_branches(const vs_program* program, int entry);
VS_API int vs_count_inputs(const vs_program* program, int entry);
VS_API int vs_count_outputs(const vs_program* program, int entry, int branch);
VS_API int vs_describe_input(const vs_program* program, int entry, int index, vs_array* description);
VS_API int vs_describe_output(const vs_program* program, int entry, int branch, int index,
                              vs_array* description);

/* Runs an entry. Inputs are read where they lie and have exactly the bytes of their descriptions; outputs are
 * written, and have at least those of the branch that the values choose. Returns that branch. Arguments that
 * do not fit are found before anything runs, but for outputs of an entry with several branches. */
VS_API int vs_run(vs_program* program, int entry, const vs_buffer* inputs, int input_count,
                  const vs_buffer* outputs, int output_count);

/* How many threads a run may use; at first as many as the machine has processors. */
VS_API int vs_set_threads(int count);
/* Where the random numbers of programs begin. */
VS_API void vs_seed(uint64_t seed);

/* Why the last call of this thread failed; "" before any did. Lives until the next call of this thread fails.
 */
VS_API const char* vs_last_error(void);
VS_API const char* vs_version(void);

#ifdef __cplusplus
}
#endif

#endif
