# Compiler, linker and output settings shared by every target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header is cacheable only when ccache may overlook its time stamps.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(
  -Wall
  -Wextra
  -Werror=return-type
  -Werror=uninitialized
  -Werror=format
  -Werror=switch
  -fdiagnostics-color=auto)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()

if(NPU_SANITIZE)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined)
  add_compile_options(${sanitizers} -fno-omit-frame-pointer)
  add_link_options(${sanitizers})
  add_compile_definitions(NPU_SANITIZE=1)
endif()

# The Python package loads its libraries from its own folder, in place as well as installed.
if(NPU_WITH_TORCH)
  set(NPU_LIBRARY_DIR ${PROJECT_SOURCE_DIR}/python/npu_torch/lib)
else()
  set(NPU_LIBRARY_DIR ${PROJECT_BINARY_DIR}/lib)
endif()

# npu_glob(VAR PATTERN...): the files below this folder that match, found anew at every build.
macro(npu_glob variable)
  file(GLOB_RECURSE ${variable} CONFIGURE_DEPENDS ${ARGN})
endmacro()

# npu_rpath(TARGET PATHS...): where a library of the package looks for others, in place as installed.
function(npu_rpath target)
  set_target_properties(${target} PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "${ARGN}")
endfunction()

# npu_shared_library(NAME SOURCES): a library in the package's lib folder.
function(npu_shared_library name)
  add_library(${name} SHARED ${ARGN})
  set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${NPU_LIBRARY_DIR})
  npu_rpath(${name} "$ORIGIN")
  target_link_options(${name} PRIVATE "LINKER:-z,defs")
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()
