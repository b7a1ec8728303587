// The lab's networks: the management network to etcd, and the underlay with its routers. A host's uplink is eth0; its
// other end, a port of its segment's bridge, is p-HOST in the network of the segment's router.
#include <fmt/core.h>

#include "base/strings.h"
#include "lab/lab.h"
#include "lab/router.h"
#include "os/files.h"

namespace lab {

using base::fail;
using base::Result;

namespace {

std::string underlay_port(const Host& host) { return "p-" + host.name; }

const std::vector<std::pair<std::string, std::string>>& forwarding() {
  static const std::vector<std::pair<std::string, std::string>> kOn = {{"net/ipv4/ip_forward", "1"},
                                                                       {"net/ipv6/conf/all/forwarding", "1"}};
  return kOn;
}

}  // namespace

std::string management_port(const Host& host) { return "m-" + host.name; }

Result<> Lab::start_nodes() {
  std::vector<std::pair<std::string, NodeKind>> wanted = {{std::string(kEtcdNode), NodeKind::kPlain}};
  for (const std::string& router : plan_.routers()) wanted.emplace_back(router, NodeKind::kPlain);
  if (plan_.topology.fabric == Fabric::kRacks) wanted.emplace_back(kSpineNode, NodeKind::kPlain);
  for (const Host& host : plan_.hosts) wanted.emplace_back(host.name, NodeKind::kHost);
  for (const auto& [name, kind] : wanted) {
    auto node = start_node(paths_, name, kind);
    if (!node) return fail(std::move(node).error());
    nodes_[name] = *node;
  }
  return {};
}

Result<> Lab::wire_management() {
  std::string lines = fmt::format("link add mgmt type bridge\nlink set mgmt up\naddr add {}/24 dev mgmt\n",
                                  base::to_string(plan_.etcd));
  for (const Host& host : plan_.hosts) {
    lines += fmt::format("link add {0} type veth peer name mgmt0 netns {1}\nlink set {0} master mgmt up\n",
                         management_port(host), node(host.name).holder);
  }
  if (auto done = ip_batch(node(kEtcdNode), lines); !done) return done;
  for (const Host& host : plan_.hosts) {
    auto done = ip_batch(node(host.name), fmt::format("addr add {}/24 dev mgmt0\nlink set mgmt0 up\n",
                                                      base::to_string(host.management)));
    if (!done) return done;
  }
  return {};
}

Result<> Lab::wire_underlay() {
  for (const std::string& router : plan_.routers()) {
    if (auto done = wire_segments(router); !done) return done;
    if (auto done = write_sysctls(node(router), forwarding()); !done) return done;
  }
  if (plan_.topology.fabric == Fabric::kRacks) {
    if (auto done = wire_spine(); !done) return done;
  }
  for (const Host& host : plan_.hosts) {
    if (auto done = wire_host(host); !done) return done;
  }
  return {};
}

Result<> Lab::wire_segments(const std::string& router) {
  std::string lines;
  for (const Segment& segment : plan_.segments) {
    if (segment.router != router) continue;
    lines +=
        fmt::format("link add {0} type bridge\nlink set {0} up\naddr add {1} dev {0}\naddr add {2} dev {0} nodad\n",
                    segment.name, base::to_string(segment.v4), base::to_string(segment.v6));
    for (const Host& host : plan_.hosts) {
      if (host.segment != segment.name) continue;
      lines += fmt::format("link add {0} type veth peer name eth0 netns {1}\nlink set {0} master {2} up\n",
                           underlay_port(host), node(host.name).holder, segment.name);
    }
  }
  return ip_batch(node(router), lines);
}

Result<> Lab::wire_spine() {
  std::string lines = "link add spine type bridge\nlink set spine up\n";
  for (const Segment& rack : plan_.segments) {
    lines += fmt::format("link add {0} type veth peer name spine0 netns {1}\nlink set {0} master spine up\n",
                         rack.router, node(rack.router).holder);
  }
  if (auto done = ip_batch(node(kSpineNode), lines); !done) return done;
  for (const Segment& rack : plan_.segments) {
    auto done = ip_batch(node(rack.router),
                         fmt::format("addr add {}/24 dev spine0\naddr add {}/64 dev spine0 nodad\nlink set spine0 up\n",
                                     base::to_string(spine_address(plan_, rack, base::Family::kIpv4)),
                                     base::to_string(spine_address(plan_, rack, base::Family::kIpv6))));
    if (!done) return done;
  }
  return {};
}

Result<> Lab::wire_host(const Host& host) {
  auto done =
      ip_batch(node(host.name), fmt::format("addr add {} dev eth0\naddr add {} dev eth0 nodad\nlink set eth0 up\n"
                                            "route add default via {}\nroute add ::/0 via {}\n",
                                            base::to_string(host.v4), base::to_string(host.v6),
                                            base::to_string(host.router_v4), base::to_string(host.router_v6)));
  if (!done) return done;
  // As on a compute node of a cloud; an agent finds them set or sets them.
  return write_sysctls(node(host.name), forwarding());
}

Result<> Lab::cut_from_underlay(const Host& host, bool cut) {
  return ip_batch(node(plan_.segment_of(host).router),
                  fmt::format("link set {} {}\n", underlay_port(host), cut ? "nomaster" : "master " + host.segment));
}

Result<> Lab::start_routers() {
  for (const std::string& router : plan_.speakers()) {
    const std::string file = paths_.node(router) + "/bird.conf";
    if (auto written = os::write_file_atomic(file, router_configuration(plan_, router)); !written) return written;
    auto pid = start_in(node(router), {.arguments = {"bird", "-f", "-c", file, "-s", bird_socket(router)}},
                        paths_.log(router, "bird"));
    if (!pid) return fail(std::move(pid).error());
  }
  return {};
}

std::string Lab::bird_socket(std::string_view name) const {
  return paths_.node(name) + (plan_.host(name) == nullptr ? "/bird.ctl" : "/run/bird/bird.ctl");
}

}  // namespace lab
