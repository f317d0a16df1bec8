# Libraries from outside. Found here once, since CMake's imported targets belong to a folder.

find_package(fmt REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_library(SLEEF_LIBRARY sleef REQUIRED)
find_library(LIBXSMM_LIBRARY NAMES libxsmm.a REQUIRED)
find_library(LIBXSMM_NOBLAS_LIBRARY NAMES libxsmmnoblas.a REQUIRED)
find_path(XBYAK_INCLUDE_DIR xbyak/xbyak.h REQUIRED)

if(NOT NPU_WITH_TORCH)
  return()
endif()

if(NOT Python3_EXECUTABLE AND EXISTS ${PROJECT_SOURCE_DIR}/.venv/bin/python)
  set(Python3_EXECUTABLE ${PROJECT_SOURCE_DIR}/.venv/bin/python)
endif()
find_package(Python3 REQUIRED COMPONENTS Interpreter Development.Module)
execute_process(
  COMMAND ${Python3_EXECUTABLE} -c
          "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
  OUTPUT_VARIABLE torch_dir
  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
set(CMAKE_MESSAGE_LOG_LEVEL ERROR)  # it warns about a static libkineto, which wheels do not carry
find_package(Torch 2.13 REQUIRED PATHS ${torch_dir} NO_DEFAULT_PATH)
unset(CMAKE_MESSAGE_LOG_LEVEL)
find_library(TORCH_PYTHON_LIBRARY torch_python PATHS ${torch_dir}/lib NO_DEFAULT_PATH REQUIRED)

# What a translation unit that includes PyTorch headers needs. The wheel carries the headers of
# fmt 12, which come before the system's; header-only keeps them from needing its library.
add_library(npu_torch_headers INTERFACE)
target_link_libraries(npu_torch_headers INTERFACE ${TORCH_LIBRARIES})
target_include_directories(npu_torch_headers SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS}
                                                              ${torch_dir}/include/kineto)
target_compile_definitions(npu_torch_headers INTERFACE FMT_HEADER_ONLY=1 USE_KINETO)
separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(npu_torch_headers INTERFACE ${torch_flags})

# libtorch_cpu.so exports a SLEEF of its own, of another version. Whatever loads the machine
# together with PyTorch names the system's first, so that the machine's numbers do not depend on
# whether PyTorch is there.
add_library(npu_sleef_first INTERFACE)
target_link_options(npu_sleef_first INTERFACE "LINKER:--no-as-needed" "${SLEEF_LIBRARY}")
