# Target `onednn`: the oneDNN of the PyPI packages onednn-cpu-gomp and onednn-devel-cpu-gomp, found through Python's own record of
# installed files, which is right in virtual environments and in pip's isolated build environments alike.
#
# Headers and one stripped copy of the library are kept in the build folder: an isolated environment has a new path in every build,
# and paths that stay let Ninja and compiler caches reuse objects.

execute_process(
  COMMAND "${Python_EXECUTABLE}" -c [[
from importlib.metadata import files
located = [str(f.locate().resolve()) for name in ("onednn-cpu-gomp", "onednn-devel-cpu-gomp") for f in files(name) or ()]
headers = [f for f in located if f.endswith((".h", ".hpp"))]
print(next(f for f in located if f.endswith("/libdnnl.so.3")), *headers, sep=";", end="")
]]
  OUTPUT_VARIABLE onednn_files ERROR_VARIABLE onednn_error RESULT_VARIABLE onednn_result)
if(NOT onednn_result EQUAL 0)
  message(FATAL_ERROR "oneDNN is missing for ${Python_EXECUTABLE}; repair it with\n"
    "  ${Python_EXECUTABLE} -m pip install onednn-cpu-gomp==2023.2.0 onednn-devel-cpu-gomp==2023.2.0\n${onednn_error}")
endif()
list(POP_FRONT onednn_files onednn_library)

set(onednn_folder "${CMAKE_BINARY_DIR}/onednn")
foreach(header IN LISTS onednn_files)
  string(REGEX REPLACE ".*/include/" "" relative "${header}")
  get_filename_component(folder "${onednn_folder}/include/${relative}" DIRECTORY)
  file(MAKE_DIRECTORY "${folder}")
  file(COPY_FILE "${header}" "${onednn_folder}/include/${relative}" ONLY_IF_DIFFERENT)
endforeach()

set(ONEDNN_STRIPPED "${onednn_folder}/lib/libdnnl.so.3")
if(NOT EXISTS "${ONEDNN_STRIPPED}")
  file(MAKE_DIRECTORY "${onednn_folder}/lib")
  execute_process(COMMAND "${CMAKE_STRIP}" -o "${ONEDNN_STRIPPED}.part" "${onednn_library}" COMMAND_ERROR_IS_FATAL ANY)
  file(RENAME "${ONEDNN_STRIPPED}.part" "${ONEDNN_STRIPPED}")
endif()

add_library(onednn SHARED IMPORTED GLOBAL)
set_target_properties(onednn PROPERTIES
  IMPORTED_LOCATION "${ONEDNN_STRIPPED}"
  IMPORTED_SONAME libdnnl.so.3
  INTERFACE_INCLUDE_DIRECTORIES "${onednn_folder}/include")
