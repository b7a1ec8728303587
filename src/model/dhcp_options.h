// dhcp_options.h: DHCP options of a single port (Neutron's extra_dhcp_opts), on their way from the bridge to the agents
// in an annotation of the endpoint. Calico has nothing like it; both ends are Percale's. Pure.
//
// What passes here ends up as a line of dnsmasq's options file, so nothing is accepted that could say more than an
// option, and no name that dnsmasq does not know: it would leave the option out with a line in its log.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace model {

inline constexpr std::string_view kDhcpOptionsAnnotation = "openstack.projectcalico.org/dhcp-options";
// A DHCP answer of the size that every client takes has room for fewer.
inline constexpr std::size_t kMostDhcpOptions = 64;

struct DhcpOption {
  int ip_version = 4;
  std::string name;   // dnsmasq's ("bootfile-name") or a number; of IPv4 also behind "tag:ipxe," or "tag:!ipxe,"
  std::string value;  // parts separated by commas; empty: the option without a value

  friend auto operator<=>(const DhcpOption&, const DhcpOption&) = default;
};

// Why the option cannot be served, for whoever asked for it; empty if it can.
std::string dhcp_option_problem(const DhcpOption& option);

// The annotation's text, and back. Refuses what dhcp_option_problem() has a word for.
std::string print_dhcp_options(const std::vector<DhcpOption>& options);
base::Result<std::vector<DhcpOption>> parse_dhcp_options(std::string_view text);

}  // namespace model
