// endpoint.h: etcd's addresses and error texts. No gRPC types, so it is tested without a server.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace store {

struct EtcdEndpoint {
  std::string url;     // as people write it: "https://etcd-1:2379"
  std::string target;  // as gRPC wants it: "dns:///etcd-1:2379", "ipv4:10.0.0.1:2379", "ipv6:[2001:db8::1]:2379"
  bool tls = false;

  bool operator==(const EtcdEndpoint&) const = default;
};

// "https://host:port", "http://host:port"; without a scheme http is meant, without a port 2379.
base::Result<EtcdEndpoint> parse_etcd_endpoint(std::string_view url);

struct EtcdSettings {
  std::vector<EtcdEndpoint> endpoints;                   // not empty
  std::string username = {}, password = {};              // both or none
  std::string ca_pem = {}, cert_pem = {}, key_pem = {};  // for https endpoints
  std::size_t first_endpoint = 0;  // where the first round starts, so that many agents spread over the members
};

// What a person needs to know of gRPC's long-winded reason for a failed connection, with what to do about it.
std::string explain_connect_failure(std::string_view grpc_text, bool tls);

}  // namespace store
