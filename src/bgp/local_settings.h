// local_settings.h: settings of BGP that an operator writes on the host itself, from text (docs/bgp.md). Pure.
//
// In lists, entries are separated by commas. A bad one is left out and said; the others count.
#pragma once

#include <string_view>
#include <vector>

#include "bgp/inputs.h"

namespace bgp {

// "192.0.2.1 as 64512, 192.0.2.2 as 64512 port 1179 password SECRET/KEY"
std::vector<LocalPeer> parse_local_peers(std::string_view text, Diagnostics& out);

// "10.65.0.0/16 Always, 10.66.0.0/16 CrossSubnet"
std::vector<TunnelNetwork> parse_tunnel_networks(std::string_view text, Diagnostics& out);

// What a file of the operator's own with this text may bring; kProtocols when in doubt.
LocalFile kind_of_local_file(std::string_view text);

}  // namespace bgp
