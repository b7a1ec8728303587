#include "node/autodetect.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "config/pattern.h"

namespace node {

using base::Error;

namespace {

// Upstream's, anchored at the start; `lo` is matched whole, which upstream does not. The last line is what OpenStack
// makes.
const std::vector<std::string>& exclusions() {
  static const std::vector<std::string> kNames = {"^docker.*",
                                                  "^cbr.*",
                                                  "^dummy.*",
                                                  "^podman.*",
                                                  "^virbr.*",
                                                  "^lxcbr.*",
                                                  "^veth.*",
                                                  "^lo$",
                                                  "^br-.*",
                                                  "^cali.*",
                                                  "^tunl.*",
                                                  "^flannel.*",
                                                  "^kube-ipvs.*",
                                                  "^cni.*",
                                                  "^vxlan\\.calico.*",
                                                  "^vxlan-v6\\.calico.*",
                                                  "^wireguard\\.cali.*",
                                                  "^wg-v6\\.cali.*",
                                                  "^nodelocaldns.*",
                                                  "^tap.*",
                                                  "^qbr.*",
                                                  "^qvo.*",
                                                  "^qvb.*",
                                                  "^qg-.*",
                                                  "^qr-.*",
                                                  "^ns-.*",
                                                  "^ovs-.*"};
  return kNames;
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> items;
  for (const std::string_view item : base::split(text, ',')) {
    if (const auto trimmed = base::trim(item); !trimmed.empty()) items.emplace_back(trimmed);
  }
  return items;
}

bool usable(const base::Prefix& address, base::Family family) {
  return address.family() == family && is_global_unicast(address.address);
}

template <typename Wanted>
base::Result<Detected> first(const std::vector<Interface>& interfaces, base::Family family, Wanted wanted) {
  std::vector<const Interface*> ordered;
  for (const Interface& interface : interfaces) {
    if (interface.up) ordered.push_back(&interface);
  }
  std::ranges::sort(ordered, std::ranges::greater{}, [](const Interface* interface) { return interface->index; });
  for (const Interface* interface : ordered) {
    for (const base::Prefix& address : interface->addresses) {
      if (usable(address, family) && wanted(*interface, address)) return Detected{interface->name, address};
    }
  }
  return base::fail(Error::not_found(std::string("no IPv") + (family == base::Family::kIpv4 ? "4" : "6") +
                                     " address found on the interfaces of this host"));
}

base::Result<Detected> reaching(const std::string& host, const std::vector<Interface>& interfaces, base::Family family,
                                const FindLocal& find_local) {
  const auto local = find_local(host, family);
  if (!local) return base::fail(local.error().in("can-reach=" + host));
  for (const Interface& interface : interfaces) {
    for (const base::Prefix& address : interface.addresses) {
      if (address.address == *local) return Detected{interface.name, address};
    }
  }
  return base::fail(Error::not_found("can-reach=" + host + ": " + base::to_string(*local) + " is on no interface"));
}

}  // namespace

bool is_excluded(std::string_view interface) {
  static const config::Pattern kPattern(exclusions());
  return kPattern.matches(interface);
}

bool is_global_unicast(const base::IpAddress& address) {
  const auto in = [&](std::string_view range) { return base::parse_cidr(range)->contains(address); };
  if (address.is_v4()) {
    return !in("127.0.0.0/8") && !in("169.254.0.0/16") && !in("224.0.0.0/4") && !in("0.0.0.0/32") &&
           !in("255.255.255.255/32");
  }
  return !in("::1/128") && !in("::/128") && !in("fe80::/10") && !in("ff00::/8");
}

base::Result<Detected> autodetect(std::string_view method, const std::vector<Interface>& interfaces,
                                  base::Family family, const FindLocal& find_local) {
  const auto argument = [&](std::string_view name) -> std::optional<std::string_view> {
    return method.starts_with(name) ? std::optional(method.substr(name.size())) : std::nullopt;
  };
  if (method.empty() || method == "first-found") {
    return first(interfaces, family, [](const Interface& i, const base::Prefix&) { return !is_excluded(i.name); });
  }
  if (const auto host = argument("can-reach="))
    return reaching(std::string(base::trim(*host)), interfaces, family, find_local);
  if (const auto names = argument("interface=")) {
    const config::Pattern wanted(list_of(*names));
    return first(interfaces, family, [&](const Interface& i, const base::Prefix&) { return wanted.matches(i.name); });
  }
  if (const auto names = argument("skip-interface=")) {
    const config::Pattern skipped(list_of(*names));
    return first(interfaces, family, [&](const Interface& i, const base::Prefix&) {
      return !is_excluded(i.name) && !skipped.matches(i.name);
    });
  }
  if (const auto ranges = argument("cidr=")) {
    std::vector<base::Prefix> wanted;
    for (const std::string& text : list_of(*ranges)) {
      const auto range = base::parse_cidr(text);
      if (!range) return base::fail(range.error().in("cidr=" + text));
      wanted.push_back(*range);
    }
    return first(interfaces, family, [&](const Interface&, const base::Prefix& address) {
      return std::ranges::any_of(wanted, [&](const base::Prefix& range) { return range.contains(address.address); });
    });
  }
  return base::fail(Error(base::ErrorKind::kInvalid, "Invalid IP autodetection method: " + std::string(method)));
}

base::Result<base::Prefix> address_from_text(std::string_view text, base::Family family,
                                             const std::vector<Interface>& interfaces) {
  const bool v4 = family == base::Family::kIpv4;
  const auto wrong = [&] { return Error::invalid(v4 ? "not an IPv4 address" : "not an IPv6 address", text); };
  if (text.find('/') != text.npos) {
    const auto cidr = base::parse_interface_cidr(text);
    if (!cidr || cidr->family() != family) return base::fail(wrong());
    return *cidr;
  }
  const auto address = base::parse_address(text);
  if (!address || address->family() != family) return base::fail(wrong());
  if (v4) {
    for (const Interface& interface : interfaces) {
      for (const base::Prefix& local : interface.addresses) {
        if (local.address == *address) return local;
      }
    }
  }
  return base::Prefix::host(*address);
}

}  // namespace node
