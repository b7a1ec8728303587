#include "dhcp/objects.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/strings.h"

namespace dhcp {

namespace json = boost::json;
using base::Error;

namespace {

base::Result<json::object> parse_object(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) return base::fail(Error::invalid("not valid JSON"));
  if (!value.is_object()) return base::fail(Error::invalid("not a JSON object"));
  return std::move(value.get_object());
}

// Empty when the member is missing, null, or no text.
std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

const json::object* object_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* array_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr ? nullptr : value->if_array();
}

// These texts end up in dnsmasq's arguments and files, where a comma or a line break would begin something else.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

base::Result<std::vector<HostRoute>> host_routes(const json::object& subnet) {
  std::vector<HostRoute> routes;
  const json::array* list = array_of(subnet, "host_routes");
  if (list == nullptr) return routes;
  for (const json::value& item : *list) {
    const json::object* route = item.if_object();
    if (route == nullptr) return base::fail(Error::invalid("an entry is not an object").in("host_routes"));
    HostRoute found{text_of(*route, "destination"), text_of(*route, "nexthop")};
    if (!base::parse_cidr(found.destination)) {
      return base::fail(Error::invalid("not a network", found.destination).in("host_routes: destination"));
    }
    if (!base::parse_address(found.next_hop)) {
      return base::fail(Error::invalid("not an address", found.next_hop).in("host_routes: nexthop"));
    }
    routes.push_back(std::move(found));
  }
  return routes;
}

base::Result<std::vector<std::string>> dns_servers(const json::object& subnet) {
  std::vector<std::string> servers;
  const json::array* list = array_of(subnet, "dns_servers");
  if (list == nullptr) return servers;
  for (const json::value& item : *list) {
    const auto address =
        item.is_string() ? base::parse_address(item.get_string()) : base::fail(Error::invalid("not a text"));
    if (!address) return base::fail(address.error().in("dns_servers"));
    servers.push_back(base::to_string(*address));
  }
  return servers;
}

base::Result<std::vector<base::IpAddress>> networks_of(const json::object& spec, std::string_view name) {
  std::vector<base::IpAddress> addresses;
  const json::array* list = array_of(spec, name);
  if (list == nullptr) return addresses;
  for (const json::value& item : *list) {
    const auto prefix =
        item.is_string() ? base::parse_cidr_or_address(item.get_string()) : base::fail(Error::invalid("not a text"));
    if (!prefix) return base::fail(prefix.error().in(name));
    if (prefix->is_host()) addresses.push_back(prefix->address);
  }
  return addresses;
}

}  // namespace

base::Result<Subnet> decode_subnet(std::string_view id, std::string_view value) {
  auto object = parse_object(value);
  if (!object) return base::fail(std::move(object).error());
  Subnet subnet;
  subnet.id = id;
  subnet.network_id = text_of(*object, "network_id");
  // Written before networks were: everything was in one.
  if (subnet.network_id.empty()) subnet.network_id = "calico";
  if (!is_plain(subnet.id)) return base::fail(Error::invalid("not a subnet's id", id));
  if (!is_plain(subnet.network_id)) {
    return base::fail(Error::invalid("not a network's id", subnet.network_id).in("network_id"));
  }
  auto cidr = base::parse_cidr(text_of(*object, "cidr"));
  if (!cidr) return base::fail(std::move(cidr).error().in("cidr"));
  subnet.cidr = *cidr;
  const json::value* gateway = object->if_contains("gateway_ip");
  if (gateway == nullptr)
    return base::fail(Error::invalid("is missing (null says that there is none)").in("gateway_ip"));
  if (!gateway->is_null()) {
    auto address = base::parse_address(text_of(*object, "gateway_ip"));
    if (!address) return base::fail(std::move(address).error().in("gateway_ip"));
    if (address->family() != subnet.cidr.family()) {
      return base::fail(Error::invalid("not of the subnet's family", base::to_string(*address)).in("gateway_ip"));
    }
    subnet.gateway = *address;
  }
  auto routes = host_routes(*object);
  if (!routes) return base::fail(std::move(routes).error());
  subnet.host_routes = *std::move(routes);
  auto servers = dns_servers(*object);
  if (!servers) return base::fail(std::move(servers).error());
  subnet.dns_servers = *std::move(servers);
  subnet.slaac = text_of(*object, "ipv6_ra_mode") == "slaac" && text_of(*object, "ipv6_address_mode") == "slaac";
  return subnet;
}

std::optional<std::string> port_of_name(std::string_view name, std::string_view host) {
  // Components have their dashes doubled; single dashes join them (spec openstack §2.4).
  const std::string start = base::replace_all(host, "-", "--") + "-openstack-";
  if (!name.starts_with(start)) return std::nullopt;
  const std::string rest = base::replace_all(name.substr(start.size()), "--", std::string(1, '\0'));
  const auto parts = base::split(rest, '-');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) return std::nullopt;
  return base::replace_all(parts[1], std::string(1, '\0'), "-");
}

base::Result<std::optional<Endpoint>> decode_endpoint(std::string_view port_id, std::string_view value) {
  if (!is_plain(port_id)) return base::fail(Error::invalid("not a port's id", port_id));
  auto object = parse_object(value);
  if (!object) return base::fail(std::move(object).error());
  const json::object* spec = object_of(*object, "spec");
  if (spec == nullptr) return base::fail(Error::invalid("is missing").in("spec"));
  Endpoint endpoint;
  endpoint.port_id = port_id;
  endpoint.interface = text_of(*spec, "interfaceName");
  const std::string mac = text_of(*spec, "mac");
  auto networks = networks_of(*spec, "ipNetworks");
  if (!networks) return base::fail(std::move(networks).error());
  auto pairs = networks_of(*spec, "allowedIps");
  if (!pairs) return base::fail(std::move(pairs).error());
  for (const base::IpAddress& address : *networks) {
    if (std::find(pairs->begin(), pairs->end(), address) == pairs->end()) endpoint.addresses.push_back(address);
  }
  if (endpoint.interface.empty() || mac.empty() || endpoint.addresses.empty()) return std::optional<Endpoint>();
  if (!is_plain(endpoint.interface) || endpoint.interface.size() > 15) {
    return base::fail(Error::invalid("not an interface's name", endpoint.interface).in("spec.interfaceName"));
  }
  auto parsed_mac = base::parse_mac(mac);
  if (!parsed_mac) return base::fail(std::move(parsed_mac).error().in("spec.mac"));
  endpoint.mac = *parsed_mac;
  if (const json::object* metadata = object_of(*object, "metadata")) {
    if (const json::object* annotations = object_of(*metadata, "annotations")) {
      endpoint.network_id = text_of(*annotations, "openstack.projectcalico.org/network-id");
      endpoint.fqdn = text_of(*annotations, "openstack.projectcalico.org/fqdn");
      const std::string options = text_of(*annotations, model::kDhcpOptionsAnnotation);
      if (!options.empty()) {
        auto parsed = model::parse_dhcp_options(options);
        if (!parsed)
          return base::fail(std::move(parsed).error().in("annotation openstack.projectcalico.org/dhcp-options"));
        endpoint.options = *std::move(parsed);
      }
    }
  }
  if (!is_plain(endpoint.fqdn)) {
    return base::fail(
        Error::invalid("not a domain name", endpoint.fqdn).in("annotation openstack.projectcalico.org/fqdn"));
  }
  return std::optional<Endpoint>(std::move(endpoint));
}

}  // namespace dhcp
