// networks.h: which networks this host serves, with which subnets and guests. Fed with endpoints, subnets and
// interfaces in any order; says which networks have changed.
//
// Rules (spec openstack §5.2): an address belongs to the subnet that contains it, of the endpoint's own network where
// that is known, current subnets before those of a driver without regions. An endpoint is served once its interface has
// been seen, and stays served when the interface goes (its MTU is then unknown) until the endpoint itself does. A port
// is in one network: that of the first subnet found. A tap that goes and comes back, as when Nova rebuilds a machine,
// is counted: another system may be behind it, with another DHCP identifier. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dhcp/objects.h"

namespace dhcp {

struct PortAddress {
  base::IpAddress address;
  std::string subnet_id;
};

struct Port {
  Endpoint endpoint;
  std::vector<PortAddress> addresses;
  std::optional<std::uint32_t> mtu;  // of the tap
  unsigned replugged = 0;            // how often the tap has come back: the guest may be another one since
};

struct Network {
  std::string id;
  std::vector<Subnet> subnets;  // ascending ids
  std::vector<Port> ports;      // ascending port ids; never empty
};

enum class SubnetSource { kCurrent, kOld };  // with and without region

class Networks {
 public:
  // A missing value removes.
  void set_endpoint(const std::string& port_id, std::optional<Endpoint> endpoint);
  void set_subnet(SubnetSource source, const std::string& id, std::optional<Subnet> subnet);
  void set_interface(const std::string& name, std::optional<std::uint32_t> mtu);
  // A snapshot begins: endpoints and subnets are unknown again; interfaces are not.
  void forget_stored();

  // What is to be served now. Guests without a subnet or without an interface are left out.
  std::map<std::string, Network> served();
  // Guests' addresses that no subnet covers, as "address of port …": for a warning. Of the last served().
  const std::vector<std::string>& uncovered() const { return uncovered_; }

 private:
  bool is_endpoints(const std::string& interface) const;
  const Subnet* subnet_for(const Endpoint& endpoint, const base::IpAddress& address) const;

  std::map<std::string, Endpoint> endpoints_;
  std::map<std::string, Subnet> current_;
  std::map<std::string, Subnet> old_;
  std::map<std::string, std::uint32_t> interfaces_;
  std::set<std::string> seen_;                 // ports whose interface has been there
  std::set<std::string> gone_;                 // interfaces of endpoints that have been there and are not
  std::map<std::string, unsigned> replugged_;  // interfaces that came back, and how often
  std::vector<std::string> uncovered_;
};

}  // namespace dhcp
