# Compiler settings, as targets: percale_options carries them to every module.
option(PERCALE_WERROR "Treat warnings as errors" OFF)
option(PERCALE_STATIC "Link programs fully static" OFF)
option(PERCALE_ETCD "Build the etcd client (off for sanitizers: gRPC is not instrumented)" ON)
option(PERCALE_FUZZ "Build libFuzzer targets (clang only)" OFF)
set(PERCALE_SANITIZE "" CACHE STRING "Sanitizers to compile with, e.g. address,undefined or thread")

add_library(percale_options INTERFACE)
target_compile_features(percale_options INTERFACE cxx_std_20)
target_include_directories(percale_options INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_options(percale_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Wswitch-enum
  # g++ 12 reports uses of uninitialised or out-of-range memory inside inlined std::variant and std::string that are not there.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow>
  $<$<BOOL:${PERCALE_WERROR}>:-Werror>)
if(PERCALE_SANITIZE)
  target_compile_options(percale_options INTERFACE -fsanitize=${PERCALE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(percale_options INTERFACE -fsanitize=${PERCALE_SANITIZE})
  # Unoptimised and instrumented, a step takes some forty times as long; sanitizers look for other faults than wrong results.
  set(PERCALE_FEWER 20)
  # The layer's name in ./dev test, and how its tests run. addr2line comes with every compiler, llvm-symbolizer does not.
  set(symbolizer "external_symbolizer_path=/usr/bin/addr2line")
  if(PERCALE_SANITIZE MATCHES "thread")
    set(PERCALE_SANITIZER tsan)
    set(PERCALE_SANITIZER_ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:${symbolizer}")
  else()
    set(PERCALE_SANITIZER asan)
    set(PERCALE_SANITIZER_ENVIRONMENT
      "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_init_order=1:${symbolizer}"
      "UBSAN_OPTIONS=print_stacktrace=1:${symbolizer}")
  endif()
  list(APPEND PERCALE_SANITIZER_ENVIRONMENT "PERCALE_FEWER=${PERCALE_FEWER}")
endif()

# percale_fewer(VARIABLE): the number of sequences of a random test, cut down in sanitizer builds.
macro(percale_fewer variable)
  if(PERCALE_SANITIZE)
    math(EXPR ${variable} "${${variable}} / ${PERCALE_FEWER}")
  endif()
endmacro()
