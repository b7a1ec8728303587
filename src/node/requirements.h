// requirements.h: what Calico's requirements page for OpenStack demands of a host, checked, with what to do about each
// miss. Pure apart from what the Prober does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "node/prober.h"

namespace node {

enum class Verdict { kOk, kFail, kWarning, kSkipped };
std::string_view to_string(Verdict verdict);  // "OK", "FAIL", "WARN", "SKIP"

struct Finding {
  std::string section;  // "kernel version"
  std::string name;     // "ip_set"
  Verdict verdict = Verdict::kOk;
  std::string detail;  // how it was found out
  std::string remedy;  // what to do; empty when nothing is
};

struct Peer {
  std::string name;
  base::IpAddress address;
};

// What the datastore says. Absent: not asked, because no datastore is configured here.
struct ClusterView {
  std::string etcd;                          // where it is, for messages; empty for a directory
  base::Result<std::string> server_version;  // of etcd, or why it does not answer
  std::vector<Peer> etcd_hosts = {};         // addresses of its endpoints
  std::vector<Peer> nodes = {};              // the other nodes with BGP addresses
  bool uses_ipip = false;                    // some pool asks for it
};

struct CheckInput {
  std::optional<ClusterView> cluster;
  std::string kernel_config;  // file given by the operator, "" for the usual places
};

std::vector<Finding> check_system(Prober& prober, const CheckInput& input);

// Parts, for tests.
std::vector<Finding> check_kernel(Prober& prober);
std::vector<Finding> check_facilities(Prober& prober, const std::string& kernel_config);
std::vector<Finding> check_distribution(Prober& prober);
std::vector<Finding> check_cluster(Prober& prober, const ClusterView& cluster);
std::vector<Finding> check_openstack(Prober& prober);

// Numbers of "6.1.0-56-amd64" up to the first part that is none: {6, 1, 0}.
std::vector<int> version_numbers(std::string_view text);

}  // namespace node
