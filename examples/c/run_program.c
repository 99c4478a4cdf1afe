/* Runs a saved program: reads each input from a file of raw bytes, writes each output to one.
 *
 *     cc -std=c99 run_program.c -I../../core/c -L../../build/dev -lversant -o run_program
 *     LD_LIBRARY_PATH=../../build/dev ./run_program program.vsp image.raw -o scores.raw
 *
 * Without input files it only says what the program takes and gives. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "versant.h"

enum { MOST = 64 };

static const char* const dtypes[] = {"bool",    "uint8",    "int8",    "int16",   "int32",     "int64",
                                     "float16", "bfloat16", "float32", "float64", "complex64", "complex128"};

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, vs_last_error());
  return 1;
}

static void print_array(const char* what, int index, const vs_array* array) {
  printf("%s %d%s%s: %s[", what, index, array->name ? " " : "", array->name ? array->name : "",
         dtypes[array->dtype]);
  for (int d = 0; d < array->rank; ++d) printf(d ? ", %lld" : "%lld", (long long)array->sizes[d]);
  printf("], %zu bytes\n", array->bytes);
}

static int read_file(const char* path, vs_buffer* buffer) {
  FILE* file = fopen(path, "rb");
  if (!file) return -1;
  const size_t count = fread(buffer->data, 1, buffer->bytes, file);
  const int longer = fgetc(file) != EOF;
  fclose(file);
  return count == buffer->bytes && !longer ? 0 : -1;
}

static int write_file(const char* path, const vs_buffer* buffer) {
  FILE* file = fopen(path, "wb");
  if (!file) return -1;
  const size_t count = fwrite(buffer->data, 1, buffer->bytes, file);
  return fclose(file) == 0 && count == buffer->bytes ? 0 : -1;
}

int main(int argc, char** argv) {
  const char* in_paths[MOST];
  const char* out_paths[MOST];
  int in_count = 0, out_count = 0;
  if (argc < 2) {
    fprintf(stderr, "usage: run_program PROGRAM [INPUT ...] [-o OUTPUT ...]\n");
    return 2;
  }
  for (int i = 2, writes = 0; i < argc; ++i) {
    if (strcmp(argv[i], "-o") == 0)
      writes = 1;
    else if (writes && out_count < MOST)
      out_paths[out_count++] = argv[i];
    else if (in_count < MOST)
      in_paths[in_count++] = argv[i];
  }

  vs_program* program = vs_load(argv[1]);
  if (!program) return fail(argv[1]);
  const int takes = vs_count_inputs(program, 0), gives = vs_count_outputs(program, 0, 0);
  if (takes > MOST || gives > MOST) {
    fprintf(stderr, "%s: more than %d inputs or outputs\n", argv[1], MOST);
    return 1;
  }
  vs_buffer inputs[MOST], outputs[MOST];
  for (int i = 0; i < takes; ++i) {
    vs_array array;
    if (vs_describe_input(program, 0, i, &array) != 0) return fail(argv[1]);
    print_array("input", i, &array);
    inputs[i].bytes = array.bytes;
    inputs[i].data = malloc(array.bytes ? array.bytes : 1);
  }
  for (int k = 0; k < gives; ++k) {
    vs_array array;
    if (vs_describe_output(program, 0, 0, k, &array) != 0) return fail(argv[1]);
    print_array("output", k, &array);
    outputs[k].bytes = array.bytes;
    outputs[k].data = malloc(array.bytes ? array.bytes : 1);
  }

  if (in_count > 0 || out_count > 0) {
    if (in_count != takes || out_count != gives) {
      fprintf(stderr, "expected %d input files and %d output files\n", takes, gives);
      return 2;
    }
    for (int i = 0; i < takes; ++i)
      if (read_file(in_paths[i], &inputs[i]) != 0) {
        fprintf(stderr, "%s: expected %zu bytes\n", in_paths[i], inputs[i].bytes);
        return 1;
      }
    if (vs_run(program, 0, inputs, takes, outputs, gives) < 0) return fail(argv[1]);
    for (int k = 0; k < gives; ++k)
      if (write_file(out_paths[k], &outputs[k]) != 0) {
        perror(out_paths[k]);
        return 1;
      }
  }

  for (int i = 0; i < takes; ++i) free(inputs[i].data);
  for (int k = 0; k < gives; ++k) free(outputs[k].data);
  vs_free(program);
  return 0;
}
