#include "dhcp/networks.h"

#include <algorithm>

namespace dhcp {

namespace {

template <typename T>
void set_or_erase(std::map<std::string, T>& map, const std::string& key, std::optional<T> value) {
  if (value) {
    map.insert_or_assign(key, *std::move(value));
  } else {
    map.erase(key);
  }
}

const Subnet* find_in(const std::map<std::string, Subnet>& subnets, const std::string& network_id,
                      const base::IpAddress& address) {
  for (const auto& [id, subnet] : subnets) {
    if (!network_id.empty() && subnet.network_id != network_id) continue;
    if (subnet.cidr.contains(address)) return &subnet;
  }
  return nullptr;
}

}  // namespace

void Networks::set_endpoint(const std::string& port_id, std::optional<Endpoint> endpoint) {
  if (!endpoint) {
    seen_.erase(port_id);
    if (const auto old = endpoints_.find(port_id); old != endpoints_.end()) {
      gone_.erase(old->second.interface);
      replugged_.erase(old->second.interface);
    }
  }
  set_or_erase(endpoints_, port_id, std::move(endpoint));
}

void Networks::set_subnet(SubnetSource source, const std::string& id, std::optional<Subnet> subnet) {
  set_or_erase(source == SubnetSource::kCurrent ? current_ : old_, id, std::move(subnet));
}

void Networks::set_interface(const std::string& name, std::optional<std::uint32_t> mtu) {
  if (mtu) {
    if (gone_.erase(name) != 0) ++replugged_[name];
  } else if (interfaces_.contains(name) && is_endpoints(name)) {
    gone_.insert(name);
  }
  set_or_erase(interfaces_, name, mtu);
}

bool Networks::is_endpoints(const std::string& interface) const {
  return std::any_of(endpoints_.begin(), endpoints_.end(),
                     [&](const auto& item) { return item.second.interface == interface; });
}

void Networks::forget_stored() {
  endpoints_.clear();
  current_.clear();
  old_.clear();
}

const Subnet* Networks::subnet_for(const Endpoint& endpoint, const base::IpAddress& address) const {
  if (const Subnet* found = find_in(current_, endpoint.network_id, address)) return found;
  // The old tree does not always know networks, so its subnets count for every endpoint they contain.
  if (const Subnet* found = find_in(old_, endpoint.network_id, address)) return found;
  return find_in(old_, "calico", address);
}

std::map<std::string, Network> Networks::served() {
  std::map<std::string, Network> networks;
  uncovered_.clear();
  for (const auto& [port_id, endpoint] : endpoints_) {
    const auto interface = interfaces_.find(endpoint.interface);
    if (interface != interfaces_.end()) seen_.insert(port_id);
    Port port{.endpoint = endpoint, .addresses = {}, .mtu = {}};
    std::string network_id;
    for (const base::IpAddress& address : endpoint.addresses) {
      const Subnet* subnet = subnet_for(endpoint, address);
      if (subnet == nullptr) {
        uncovered_.push_back(base::to_string(address) + " of port " + port_id);
        continue;
      }
      if (network_id.empty()) network_id = subnet->network_id;
      if (subnet->network_id == network_id) port.addresses.push_back({address, subnet->id});
    }
    if (network_id.empty() || !seen_.contains(port_id)) continue;
    if (interface != interfaces_.end()) port.mtu = interface->second;
    if (const auto count = replugged_.find(endpoint.interface); count != replugged_.end()) {
      port.replugged = count->second;
    }
    networks[network_id].ports.push_back(std::move(port));
  }
  for (auto& [id, network] : networks) {
    network.id = id;
    std::map<std::string, Subnet> subnets;
    for (const auto* source : {&current_, &old_}) {
      for (const auto& [subnet_id, subnet] : *source) {
        if (subnet.network_id == id) subnets.emplace(subnet_id, subnet);
      }
    }
    for (auto& [subnet_id, subnet] : subnets) network.subnets.push_back(std::move(subnet));
  }
  return networks;
}

}  // namespace dhcp
