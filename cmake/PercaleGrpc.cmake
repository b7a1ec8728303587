# gRPC with etcd's interface compiled from proto/: target percale_etcd_proto. Static archives throughout.
#
# Debian's gRPCConfig.cmake names libraries it does not ship, so the link line comes from pkg-config. Its --static line is right
# but names every abseil archive many times over, and in an order only a group forgives.
find_program(PERCALE_PROTOC protoc REQUIRED)
find_program(PERCALE_GRPC_PLUGIN grpc_cpp_plugin REQUIRED)
pkg_check_modules(PERCALE_GRPC REQUIRED grpc++)
find_library(PERCALE_PROTOBUF_LITE NAMES libprotobuf-lite.a REQUIRED)

set(percale_grpc_archives "")
foreach(name ${PERCALE_GRPC_STATIC_LIBRARIES})
  if(name MATCHES "^(dl|pthread|rt|m|atomic|ssl|crypto)$")
    continue()
  endif()
  find_library(PERCALE_ARCHIVE_${name} NAMES lib${name}.a REQUIRED)
  list(APPEND percale_grpc_archives ${PERCALE_ARCHIVE_${name}})
endforeach()
list(REMOVE_DUPLICATES percale_grpc_archives)

set(percale_proto_dir "${CMAKE_BINARY_DIR}/proto")
file(MAKE_DIRECTORY "${percale_proto_dir}")
set(percale_proto_sources "")
foreach(name mvcc etcd)
  set(outputs "${percale_proto_dir}/${name}.pb.cc" "${percale_proto_dir}/${name}.pb.h")
  set(grpc_flags "")
  if(name STREQUAL "etcd")
    list(APPEND outputs "${percale_proto_dir}/${name}.grpc.pb.cc" "${percale_proto_dir}/${name}.grpc.pb.h")
    set(grpc_flags "--grpc_out=${percale_proto_dir}" "--plugin=protoc-gen-grpc=${PERCALE_GRPC_PLUGIN}")
  endif()
  add_custom_command(
    OUTPUT ${outputs}
    COMMAND "${PERCALE_PROTOC}" "--proto_path=${CMAKE_SOURCE_DIR}/proto" "--cpp_out=${percale_proto_dir}" ${grpc_flags}
            "${name}.proto"
    DEPENDS "${CMAKE_SOURCE_DIR}/proto/etcd.proto" "${CMAKE_SOURCE_DIR}/proto/mvcc.proto"
    VERBATIM)
  list(APPEND percale_proto_sources ${outputs})
endforeach()

add_library(percale_etcd_proto STATIC ${percale_proto_sources})
target_compile_features(percale_etcd_proto PUBLIC cxx_std_20)
target_include_directories(percale_etcd_proto SYSTEM PUBLIC "${percale_proto_dir}" ${PERCALE_GRPC_INCLUDE_DIRS})
target_link_libraries(percale_etcd_proto PUBLIC
  -Wl,--start-group ${percale_grpc_archives} -Wl,--end-group ${PERCALE_PROTOBUF_LITE} OpenSSL::SSL OpenSSL::Crypto
  Threads::Threads atomic)
