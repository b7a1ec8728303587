#include "lab/router.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/check.h"
#include "base/strings.h"

namespace lab {
namespace {

std::string identifier(const base::IpAddress& address) {
  return base::replace_all(base::replace_all(base::to_string(address), ".", "_"), ":", "_");
}

std::string client(const base::IpAddress& self, const base::IpAddress& host, int family) {
  return fmt::format(
      "protocol bgp calico_{} from calico_host {{\n"
      "  local {} as {};\n"
      "  neighbor {} as {};\n"
      "  ipv{} {{ gateway recursive; add paths on; import all; export where source = RTS_BGP; }};\n"
      "}}\n",
      identifier(host), base::to_string(self), kAs, base::to_string(host), kAs, family);
}

std::string preamble(const base::IpAddress& id, std::string_view exported) {
  std::string text = fmt::format(
      "log stderr all;\n"
      "router id {};\n"
      "timeformat protocol iso short;\n"
      "timeformat route iso short;\n"
      "protocol device {{ scan time 2; }}\n"
      "protocol direct {{ ipv4; ipv6; }}\n",
      base::to_string(id));
  for (int family : {4, 6}) {
    text += fmt::format(
        "protocol kernel kernel{0} {{ scan time 2; merge paths on; metric 32; ipv{0} {{ import none; export where {1}; "
        "}}; "
        "}}\n",
        family, exported);
  }
  return text;
}

std::string reflector(const Plan& plan) {
  std::string text = preamble(router_id(), "source = RTS_BGP");
  text +=
      "protocol bfd { multihop { interval 300 ms; multiplier 3; }; }\n"
      "template bgp calico_host {\n"
      "  multihop;\n"
      "  bfd on;\n"  // a host that does not speak it is not missed
      "  rr client; rr cluster id 203.0.113.1;\n"
      "  graceful restart;\n"
      "  passive on;\n"
      "}\n";
  for (const Host& host : plan.hosts) {
    text += client(router_id(), host.v4.address, 4);
    text += client(router_id_v6(), host.v6.address, 6);
  }
  return text;
}

struct Session {
  std::string name;
  base::IpAddress self;
  base::IpAddress peer;
  bgp::AsNumber as = 0;
};

std::string neighbour(const Segment& own, const Session& session) {
  return fmt::format(
      "protocol bgp {} {{\n"
      "  local {} as {};\n"
      "  neighbor {} as {};\n"
      "  graceful restart;\n"
      "  connect retry time 2; error wait time 1, 5;\n"
      "  ipv{} {{ import all; export where source ~ [RTS_BGP, RTS_DEVICE]; }};\n"
      "}}\n",
      session.name, base::to_string(session.self), own.router_as, base::to_string(session.peer), session.as,
      session.peer.is_v4() ? 4 : 6);
}

std::string top_of_rack(const Plan& plan, const Segment& own) {
  std::string text = preamble(own.v4.address, "source = RTS_BGP");
  for (const Host& host : plan.hosts) {
    if (host.segment != own.name) continue;
    for (const auto& [self, peer] :
         {std::pair(own.v4.address, host.v4.address), std::pair(own.v6.address, host.v6.address)}) {
      text += neighbour(own, {"host_" + identifier(peer), self, peer, own.host_as});
    }
  }
  for (const Segment& other : plan.segments) {
    if (other.name == own.name) continue;
    for (base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
      const base::IpAddress peer = spine_address(plan, other, family);
      text += neighbour(own, {"spine_" + identifier(peer), spine_address(plan, own, family), peer, other.router_as});
    }
  }
  return text;
}

}  // namespace

base::IpAddress spine_address(const Plan& plan, const Segment& segment, base::Family family) {
  const auto index = static_cast<std::size_t>(&segment - plan.segments.data()) + 1;
  auto parsed = base::parse_address(family == base::Family::kIpv4 ? fmt::format("192.168.250.{}", index)
                                                                  : fmt::format("fd00:250::{}", index));
  CHECK(parsed.has_value());
  return *parsed;
}

std::string router_configuration(const Plan& plan, std::string_view router) {
  if (plan.topology.fabric == Fabric::kReflector) return reflector(plan);
  const auto own = std::ranges::find(plan.segments, router, &Segment::router);
  CHECK(own != plan.segments.end());
  return top_of_rack(plan, *own);
}

}  // namespace lab
