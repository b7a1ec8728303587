# Everything from Debian bookworm; versions and verdicts are in ARCHITECTURE.md. All headers of dependencies are system headers.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)

# Static archives where they exist, in every build: one way of linking, and tests run what ships.
set(OPENSSL_USE_STATIC_LIBS ON)
find_package(OpenSSL REQUIRED)
set(Boost_USE_STATIC_LIBS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json)

find_library(PERCALE_YAML_CPP NAMES libyaml-cpp.a yaml-cpp REQUIRED)
add_library(percale_yaml INTERFACE)
target_link_libraries(percale_yaml INTERFACE ${PERCALE_YAML_CPP})

find_path(PERCALE_EXPECTED_INCLUDE tl/expected.hpp REQUIRED)

add_library(percale_fmt INTERFACE)
target_compile_definitions(percale_fmt INTERFACE FMT_HEADER_ONLY=1)

# Calico's configuration is written in RE2's syntax. gRPC brings the library anyway.
find_library(PERCALE_RE2 NAMES libre2.a re2 REQUIRED)
add_library(percale_re2 INTERFACE)
target_link_libraries(percale_re2 INTERFACE ${PERCALE_RE2} Threads::Threads)
