/* Every call of versant.h, right and wrong. The program adds its input to a weight that begins as zeros. It
 * gives twice the weight where the input's sum is positive, else three times its sum. */
#include <stdio.h>
#include <string.h>

#include "versant.h"

#define CHECK(condition)                                                        \
  if (!(condition)) {                                                           \
    printf("line %d: %s (%s)\n", __LINE__, #condition, vs_last_error());        \
    return 1;                                                                   \
  }

static int says(const char* words) { return strstr(vs_last_error(), words) != NULL; }

int main(int argc, char** argv) {
  CHECK(argc == 3);
  CHECK(strlen(vs_version()) > 0);
  CHECK(strcmp(vs_last_error(), "") == 0);
  CHECK(vs_set_threads(0) == -1 && says("at least 1 thread"));
  CHECK(vs_set_threads(2) == 0);
  vs_seed(1);

  CHECK(vs_load(NULL) == NULL && says("NULL"));
  CHECK(vs_load("/") == NULL);
  vs_program* program = vs_load(argv[1]);
  CHECK(program != NULL);
  CHECK(vs_count_entries(NULL) == -1 && says("NULL"));
  CHECK(vs_count_entries(program) == 1);
  CHECK(vs_count_branches(program, 0) == 2);
  CHECK(vs_count_branches(program, 1) == -1 && says("no entry 1 of 1"));
  CHECK(vs_count_inputs(program, 0) == 1);
  CHECK(vs_count_inputs(program, -1) == -1);
  CHECK(vs_count_outputs(program, 0, 0) == 1);
  CHECK(vs_count_outputs(program, 0, 2) == -1 && says("no branch 2 of 2"));

  vs_array array;
  CHECK(vs_describe_input(program, 0, 0, &array) == 0);
  CHECK(strcmp(array.name, "x") == 0 && array.dtype == VS_FLOAT32 && array.rank == 1 && array.sizes[0] == 3);
  CHECK(array.bytes == 12);
  CHECK(vs_describe_input(program, 0, 1, &array) == -1 && says("no input 1 of 1"));
  CHECK(vs_describe_input(program, 0, 0, NULL) == -1);
  CHECK(vs_describe_output(program, 0, 0, 0, &array) == 0 && array.rank == 1 && array.name == NULL);
  CHECK(vs_describe_output(program, 0, 1, 0, &array) == 0 && array.rank == 0 && array.bytes == 4);
  CHECK(vs_describe_output(program, 0, 1, 1, &array) == -1);

  float x[4] = {1, 1, 1, 1}, y[3] = {0, 0, 0};
  vs_buffer in = {x, 12}, out = {y, sizeof y};
  CHECK(vs_run(program, 0, &in, 0, &out, 1) == -1 && says("takes 1 inputs, got 0"));
  CHECK(vs_run(program, 0, NULL, 1, &out, 1) == -1);
  CHECK(vs_run(program, 2, &in, 1, &out, 1) == -1 && says("no entry 2"));
  in.bytes = 16;
  CHECK(vs_run(program, 0, &in, 1, &out, 1) == -1 && says("input 'x' is float32[3], 12 bytes, got 16"));
  in.bytes = 12;
  in.data = (char*)x + 1;
  CHECK(vs_run(program, 0, &in, 1, &out, 1) == -1 && says("multiple of 4"));
  in.data = NULL;
  CHECK(vs_run(program, 0, &in, 1, &out, 1) == -1 && says("NULL"));
  in.data = x;

  const int first = vs_run(program, 0, &in, 1, &out, 1);
  CHECK(first >= 0 && y[0] == 2 && y[2] == 2);
  CHECK(vs_run(program, 0, &in, 1, &out, 1) == first && y[0] == 4);
  x[0] = x[1] = x[2] = -1;
  const int second = vs_run(program, 0, &in, 1, &out, 1);
  CHECK(second >= 0 && second != first && y[0] == 9);
  CHECK(vs_save(program, "/nowhere/program.vsp") == -1);
  CHECK(vs_save(program, argv[2]) == 0);
  vs_program* later = vs_load(argv[2]);
  CHECK(later != NULL);
  CHECK(vs_run(later, 0, &in, 1, &out, 1) == second && y[0] == 0);
  vs_free(later);
  vs_free(program);
  vs_free(NULL);
  puts("ok");
  return 0;
}
