#include "dhcp/dnsmasq.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/core.h>

#include "base/strings.h"

namespace dhcp {

namespace {

// The largest lease count Neutron's driver asks for (its dnsmasq_lease_max).
constexpr double kLeaseMax = 16777216;
// Of the network model; the tap's own MTU is told by an option of each port.
constexpr int kNetworkMtu = 1500;
constexpr int kSlaacLength = 64;
constexpr std::string_view kMtuCode = "26";

std::string netmask(int length) {
  const std::uint32_t bits = length == 0 ? 0 : ~std::uint32_t{0} << (32 - length);
  return base::to_string(base::IpAddress::v4(bits));
}

std::string lease_text(const Options& options) {
  return options.lease_seconds == kInfiniteLease ? "infinite" : fmt::format("{}s", options.lease_seconds);
}

bool is_served(const Subnet& subnet) { return subnet.is_v4() || subnet.cidr.length >= kSlaacLength; }

std::string brackets(const std::string& address) { return "[" + address + "]"; }

bool is_number(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "option:bootfile-name,pxelinux.0"; dnsmasq wants IPv6 addresses in brackets, and IPv4's numbers bare.
std::string option_text(const model::DhcpOption& option) {
  const auto comma = option.name.find(',');  // of "tag:ipxe,67"
  const std::string more_tags = comma == option.name.npos ? "" : option.name.substr(0, comma + 1);
  const std::string name = option.name.substr(more_tags.size());
  std::string text = more_tags + (option.ip_version == 6 ? "option6:" : is_number(name) ? "" : "option:") + name;
  if (option.value.empty()) return text;
  for (const std::string_view part : base::split(option.value, ',')) {
    const auto address = option.ip_version == 6 ? base::parse_address(part) : base::fail(base::Error::invalid("IPv4"));
    text += "," + (address && !address->is_v4() ? brackets(std::string(part)) : std::string(part));
  }
  return text;
}

class Planner {
 public:
  Planner(const Network& network, const Options& options) : network_(network), options_(options) {
    for (const Subnet& subnet : network.subnets) subnets_.emplace(subnet.id, &subnet);
    plan_.network_id = network.id;
    plan_.folder = options.state_path + "/" + network.id;
    plan_.interface = interface_name(network.id);
  }

  ServerPlan run() {
    addresses();
    arguments();
    files();
    return std::move(plan_);
  }

 private:
  void add(std::string argument) { plan_.arguments.push_back(std::move(argument)); }

  void addresses() {
    for (const Subnet& subnet : network_.subnets) {
      if (!is_served(subnet)) {
        plan_.unserved.push_back(
            fmt::format("subnet {} ({}): IPv6 needs a prefix of /64 or longer; make the subnet anew with one",
                        subnet.id, base::to_string(subnet.cidr)));
      } else if (!subnet.gateway) {
        plan_.unserved.push_back(
            fmt::format("subnet {} ({}): without a gateway address there is none to serve it from; "
                        "give it one, or switch DHCP off",
                        subnet.id, base::to_string(subnet.cidr)));
      } else {
        plan_.addresses.push_back({*subnet.gateway, subnet.cidr.length});
      }
    }
  }

  void arguments() {
    const std::string& folder = plan_.folder;
    add("--no-hosts");
    if (!options_.dns_servers.empty() || !options_.local_resolver) add("--no-resolv");
    add("--except-interface=lo");
    add("--pid-file=" + folder + "/pid");
    add("--dhcp-hostsfile=" + folder + "/host");
    add("--addn-hosts=" + folder + "/addn_hosts");
    add("--dhcp-optsfile=" + folder + "/opts");
    add("--dhcp-leasefile=" + folder + "/leases");
    add("--dhcp-match=set:ipxe,175");
    add("--bind-dynamic");
    add("--interface=" + plan_.interface);
    ranges();
    add(fmt::format("--dhcp-option-force=option:mtu,{}", kNetworkMtu));
    add(fmt::format("--dhcp-lease-max={}", lease_max()));
    add("--conf-file=" + options_.config_file);
    for (const std::string& server : options_.dns_servers) add("--server=" + server);
    if (!options_.domain.empty()) add("--domain=" + options_.domain);
    ipv6_ranges();
    add("--enable-ra");
    add("--ra-param=ns-*,mtu:off,0");
    tags();
    taps();
  }

  // IPv6 ranges are off-link: guests send everything to the router, which is the host they are on. That includes those
  // of SLAAC: nobody would answer the question for a neighbour's address, for the neighbour is behind a router.
  void ranges() {
    for (const Subnet& subnet : network_.subnets) {
      const std::string network = base::to_string(subnet.cidr.address);
      if (subnet.is_v4()) {
        add(fmt::format("--dhcp-range=set:subnet-{},{},static,{},{}", subnet.id, network, netmask(subnet.cidr.length),
                        lease_text(options_)));
      } else if (subnet.slaac && is_served(subnet)) {
        add(fmt::format("--dhcp-range=set:subnet-{},{},slaac,ra-only,off-link,{},{}", subnet.id, network,
                        subnet.cidr.length, lease_text(options_)));
      }
    }
  }

  void ipv6_ranges() {
    for (const Subnet& subnet : network_.subnets) {
      if (subnet.is_v4() || subnet.slaac || !is_served(subnet)) continue;
      add(fmt::format("--dhcp-range=set:subnet-{},{},static,off-link,{},{}", subnet.id,
                      base::to_string(subnet.cidr.address), subnet.cidr.length, lease_text(options_)));
    }
  }

  // A port's own options hang on a tag. Neutron's driver sets it in the hosts file; dnsmasq 2.90, as Debian 12 has it,
  // dies of a SIGHUP when that file sets tags, so here an argument sets it.
  void tags() {
    for (const Port& port : network_.ports) {
      add(fmt::format("--dhcp-mac=set:port-{},{}", port.endpoint.port_id, base::to_string(port.endpoint.mac)));
    }
  }

  // What arrives on a tap is treated as if it came in on our interface, whose addresses select the subnet.
  void taps() {
    std::string bridge = "--bridge-interface=" + plan_.interface;
    for (const Port& port : network_.ports) {
      add("--interface=" + port.endpoint.interface);
      bridge += "," + port.endpoint.interface;
    }
    if (!network_.ports.empty()) add(bridge);
  }

  std::int64_t lease_max() const {
    double sum = 0;
    for (const Subnet& subnet : network_.subnets) {
      sum += std::exp2(base::address_bits(subnet.cidr.family()) - subnet.cidr.length);
    }
    return static_cast<std::int64_t>(std::min(sum, kLeaseMax));
  }

  void files() {
    for (const Port& port : network_.ports) {
      for (const PortAddress& at : port.addresses) host(port, at);
    }
    std::vector<std::string> lines;
    for (const Subnet& subnet : network_.subnets) subnet_options(subnet, lines);
    for (const Port& port : network_.ports) {
      port_options(port, lines);
    }
    plan_.options = base::join(lines, "\n");
  }

  // A port's own tag goes before its subnet's, so that these replace what the subnet says.
  void port_options(const Port& port, std::vector<std::string>& lines) const {
    const std::string tag = "tag:port-" + port.endpoint.port_id;
    bool own_mtu = false;
    for (const model::DhcpOption& option : port.endpoint.options) {
      own_mtu =
          own_mtu || (option.ip_version == 4 && (base::to_lower(option.name) == "mtu" || option.name == kMtuCode));
      lines.push_back(tag + "," + option_text(option));
    }
    if (port.mtu && !own_mtu) lines.push_back(fmt::format("{},option:mtu,{}", tag, *port.mtu));
  }

  void host(const Port& port, const PortAddress& at) {
    const auto found = subnets_.find(at.subnet_id);
    if (found == subnets_.end()) return;
    const Subnet& subnet = *found->second;
    if (port.replugged != 0 && !subnet.is_v4()) plan_.replugged.emplace(at.address, port.replugged);
    const std::string address = base::to_string(at.address);
    std::string fqdn = port.endpoint.fqdn;
    if (fqdn.empty()) {
      fqdn = "host-" + base::replace_all(base::replace_all(address, ".", "-"), ":", "-");
      if (!options_.domain.empty()) fqdn += "." + options_.domain;
    }
    const std::string name = fqdn.substr(0, fqdn.find('.'));
    plan_.names += fmt::format("{}\t{} {}\n", address, fqdn, name);
    if (subnet.slaac) return;
    const std::string mac = base::to_string(port.endpoint.mac);
    plan_.hosts += subnet.is_v4() ? fmt::format("{},{},{}\n", mac, fqdn, address)
                                  : fmt::format("{},tag:dhcpv6,{},{}\n", mac, fqdn, brackets(address));
  }

  void subnet_options(const Subnet& subnet, std::vector<std::string>& lines) const {
    if (subnet.is_v4()) {
      const std::string tag = "tag:subnet-" + subnet.id;
      if (!subnet.dns_servers.empty()) {
        const bool none = subnet.dns_servers == std::vector<std::string>{"0.0.0.0"};
        lines.push_back(tag + ",option:dns-server" + (none ? "" : "," + base::join(subnet.dns_servers, ",")));
      }
      ipv4_routes(subnet, tag, lines);
    } else if (!subnet.slaac && is_served(subnet)) {
      const std::string tag = "tag:subnet-" + subnet.id;
      if (!subnet.dns_servers.empty()) {
        const bool none = subnet.dns_servers == std::vector<std::string>{"::"};
        std::string line = tag + ",option6:dns-server";
        for (const std::string& server : subnet.dns_servers) {
          if (!none) line += "," + brackets(server);
        }
        lines.push_back(std::move(line));
      }
      if (!options_.domain.empty()) lines.push_back(tag + ",option6:domain-search," + options_.domain);
    }
  }

  void ipv4_routes(const Subnet& subnet, const std::string& tag, std::vector<std::string>& lines) const {
    std::string gateway = subnet.gateway ? base::to_string(*subnet.gateway) : "";
    std::vector<std::string> routes;
    // The network's other subnets are on the link: the host answers ARP for them.
    for (auto other = network_.subnets.rbegin(); other != network_.subnets.rend(); ++other) {
      if (other->is_v4() && other->id != subnet.id) routes.push_back(base::to_string(other->cidr) + ",0.0.0.0");
    }
    for (const HostRoute& route : subnet.host_routes) {
      if (route.destination != "0.0.0.0/0") {
        routes.push_back(route.destination + "," + route.next_hop);
      } else if (gateway.empty()) {
        gateway = route.next_hop;
      }
    }
    if (!routes.empty()) {
      if (!gateway.empty()) routes.push_back("0.0.0.0/0," + gateway);
      const std::string all = base::join(routes, ",");
      lines.push_back(tag + ",option:classless-static-route," + all);
      lines.push_back(tag + ",249," + all);  // the code that Microsoft's clients ask for
    }
    // An empty option keeps dnsmasq from offering itself.
    lines.push_back(tag + ",option:router" + (gateway.empty() ? "" : "," + gateway));
  }

  const Network& network_;
  const Options& options_;
  std::map<std::string, const Subnet*> subnets_;
  ServerPlan plan_;
};

// Of a line of the lease file, "expiry iaid address name identifier"; nothing where it is another line.
std::optional<base::IpAddress> leased_address6(std::string_view line) {
  const auto fields = base::split(line, ' ');
  if (fields.size() < 5) return std::nullopt;
  const auto address = base::parse_address(fields[2]);
  return address && !address->is_v4() ? std::optional(*address) : std::nullopt;
}

// IPv6 addresses of a file "host" and the MAC addresses they are for.
std::map<base::IpAddress, std::string> holders_of(std::string_view hosts) {
  std::map<base::IpAddress, std::string> holders;
  for (const std::string_view line : base::split(hosts, '\n')) {
    const auto fields = base::split(line, ',');
    for (const std::string_view field : fields) {
      if (field.size() < 2 || field.front() != '[' || field.back() != ']') continue;
      if (const auto address = base::parse_address(field.substr(1, field.size() - 2))) {
        holders[*address] = base::to_lower(fields.front());
      }
    }
  }
  return holders;
}

const Endpoint* port_of(const Network& network, const base::IpAddress& address) {
  for (const Port& port : network.ports) {
    for (const PortAddress& at : port.addresses) {
      if (at.address == address) return &port.endpoint;
    }
  }
  return nullptr;
}

}  // namespace

ServerPlan plan_server(const Network& network, const Options& options) { return Planner(network, options).run(); }

std::string interface_name(std::string_view network_id) { return "ns-" + std::string(network_id.substr(0, 11)); }

bool has_lease(std::string_view leases, const std::set<base::IpAddress>& addresses) {
  const auto lines = base::split(leases, '\n');
  return std::ranges::any_of(lines, [&](std::string_view line) {
    const auto address = leased_address6(line);
    return address && addresses.contains(*address);
  });
}

std::string merge_leases(std::string_view old, std::string_view old_hosts, const Network& network, std::int64_t expiry,
                         const std::set<base::IpAddress>& released) {
  std::map<std::string, std::string> kept;  // "mac ip" -> line
  std::string ipv6;                         // the "duid" line and those that stay of the ones after it
  const auto is_kept = [&, holders = holders_of(old_hosts)](std::string_view line) {
    const auto address = leased_address6(line);
    if (!address) return line.starts_with("duid ");
    const auto port = port_of(network, *address);
    if (!port || released.contains(*address)) return false;
    const auto holder = holders.find(*address);
    return holder == holders.end() || holder->second == base::to_string(port->mac);
  };
  for (std::string_view line : base::split(old, '\n')) {
    if (!ipv6.empty() || line.starts_with("duid ")) {
      if (is_kept(line)) ipv6 += std::string(line) + "\n";
      continue;
    }
    const auto fields = base::split(line, ' ');
    if (fields.size() >= 4) kept[std::string(fields[1]) + " " + std::string(fields[2])] = line;
  }
  std::string text;
  for (const Port& port : network.ports) {
    for (const PortAddress& at : port.addresses) {
      if (!at.address.is_v4()) continue;
      const std::string key = base::to_string(port.endpoint.mac) + " " + base::to_string(at.address);
      const auto found = kept.find(key);
      text += found != kept.end() ? found->second + "\n" : fmt::format("{} {} * *\n", expiry, key);
    }
  }
  return text + ipv6;
}

}  // namespace dhcp
