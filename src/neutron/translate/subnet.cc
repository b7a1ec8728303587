#include "neutron/translate/subnet.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/ip.h"

namespace neutron {
namespace {

json::array host_routes(const json::object& subnet) {
  std::vector<std::pair<std::string_view, std::string_view>> routes;
  for (const auto& item : list(subnet, "host_routes")) {
    if (const auto* route = item.if_object()) routes.emplace_back(text(*route, "destination"), text(*route, "nexthop"));
  }
  std::ranges::sort(routes);
  json::array result;
  for (const auto& [destination, nexthop] : routes) {
    result.push_back(json::object{{"destination", to_json(destination)}, {"nexthop", to_json(nexthop)}});
  }
  return result;
}

}  // namespace

Translation translate_subnet(const json::object& subnet, const Region& region) {
  Translation result;
  if (!flag(subnet, "enable_dhcp", false)) return result;
  const std::string_view id = text(subnet, "id");
  json::object data;
  data["network_id"] = to_json(text(subnet, "network_id"));
  const auto cidr = base::parse_interface_cidr(text(subnet, "cidr"));
  data["cidr"] = cidr ? base::to_string(*cidr) : std::string(text(subnet, "cidr"));
  data["host_routes"] = host_routes(subnet);
  const std::string_view gateway = text(subnet, "gateway_ip");
  data["gateway_ip"] = gateway.empty() ? json::value(nullptr) : json::value(to_json(gateway));
  if (const json::array& servers = list(subnet, "dns_nameservers"); !servers.empty()) data["dns_servers"] = servers;
  const std::string_view ra_mode = text(subnet, "ipv6_ra_mode");
  const std::string_view address_mode = text(subnet, "ipv6_address_mode");
  if (!ra_mode.empty() && !address_mode.empty()) {
    data["ipv6_ra_mode"] = to_json(ra_mode);
    data["ipv6_address_mode"] = to_json(address_mode);
  }
  Desired desired;
  desired.raw = python_json(data);
  result.keys.emplace(region.subnet_prefix() + std::string(id), std::move(desired));
  return result;
}

}  // namespace neutron
