#include "lab/router.h"

#include <fmt/core.h>

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

}  // namespace

std::string router_configuration(const Plan& plan) {
  std::string text = fmt::format(
      "log stderr all;\n"
      "router id {};\n"
      "timeformat protocol iso short;\n"
      "timeformat route iso short;\n"
      "protocol device {{ scan time 2; }}\n"
      "protocol direct {{ ipv4; ipv6; }}\n"
      "protocol kernel kernel4 {{ scan time 2; merge paths on; metric 32; ipv4 {{ import none; export where source = "
      "RTS_BGP; }}; }}\n"
      "protocol kernel kernel6 {{ scan time 2; merge paths on; metric 32; ipv6 {{ import none; export where source = "
      "RTS_BGP; }}; }}\n"
      "template bgp calico_host {{\n"
      "  multihop;\n"
      "  rr client; rr cluster id 203.0.113.1;\n"
      "  graceful restart;\n"
      "  passive on;\n"
      "}}\n",
      base::to_string(router_id()));
  for (const Host& host : plan.hosts) {
    text += client(router_id(), host.v4.address, 4);
    text += client(router_id_v6(), host.v6.address, 6);
  }
  return text;
}

}  // namespace lab
