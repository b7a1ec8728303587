#include "neutron/translate/security_group.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/ip.h"
#include "base/strings.h"

namespace neutron {
namespace {

using base::Error;
using base::fail;

// Neutron's names (spec openstack §2.5).
constexpr std::array<std::pair<std::string_view, int>, 25> kProtocols{
    {{"ah", 51},         {"dccp", 33},       {"egp", 8},        {"esp", 50},      {"gre", 47},
     {"hopopt", 0},      {"icmp", 1},        {"igmp", 2},       {"ip", 0},        {"ipip", 4},
     {"ipv6-encap", 41}, {"ipv6-frag", 44},  {"ipv6-icmp", 58}, {"icmpv6", 58},   {"ipv6-nonxt", 59},
     {"ipv6-opts", 60},  {"ipv6-route", 43}, {"ospf", 89},      {"pgm", 113},     {"rsvp", 46},
     {"sctp", 132},      {"tcp", 6},         {"udp", 17},       {"udplite", 136}, {"vrrp", 112}}};
constexpr int kAnyProtocol = 0;
constexpr int kIcmp = 1;
constexpr int kIcmpV6 = 58;
constexpr std::int64_t kHighestProtocol = 255;
constexpr std::int64_t kHighestIcmpType = 254;  // agents refuse 255
constexpr std::int64_t kHighestIcmpCode = 255;
constexpr std::int64_t kHighestPort = 65535;

struct Protocol {
  int number = kAnyProtocol;  // kAnyProtocol: the rule has none
  json::value written;        // as upstream writes it: number, text of a number, or ICMP's name
};

base::Result<Protocol> protocol_from_text(std::string_view text, bool ipv6) {
  if (text.empty() || text == "any" || text == "-1") return Protocol{};
  const auto named = std::ranges::find(kProtocols, text, &std::pair<std::string_view, int>::first);
  if (named != kProtocols.end()) {
    if (text == "ipv6-icmp") return Protocol{kIcmpV6, "ICMPv6"};
    if (text == "icmp") return ipv6 ? Protocol{kIcmpV6, "ICMPv6"} : Protocol{kIcmp, "ICMP"};
    return Protocol{named->second, named->second};
  }
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > kHighestProtocol) {
    return fail(Error::invalid("protocol is neither a number from 0 to 255 nor a known name", text));
  }
  if (text.size() > 1 && text.front() == '0') {
    return fail(Error::invalid("protocol number must not begin with a zero", text));
  }
  return Protocol{value, to_json(text)};
}

base::Result<Protocol> read_protocol(const json::object& rule, bool ipv6) {
  const json::value* given = member(rule, "protocol");
  if (given == nullptr) return Protocol{};
  if (const auto* text = given->if_string()) return protocol_from_text(view(*text), ipv6);
  const auto* value = given->if_int64();
  if (value == nullptr || *value < -1 || *value > kHighestProtocol) {
    return fail(Error::invalid("protocol must be a number from 0 to 255 or a name"));
  }
  if (*value <= 0) return Protocol{};
  return Protocol{static_cast<int>(*value), *value};
}

// Neutron writes "no restriction" as null or -1.
std::optional<std::int64_t> bound(const json::object& rule, std::string_view name) {
  const auto value = number(rule, name);
  return value == -1 ? std::nullopt : value;
}

base::Result<> add_icmp(const json::object& rule, Protocol& protocol, json::object& out) {
  const auto type = bound(rule, "port_range_min");
  const auto code = bound(rule, "port_range_max");
  if (!type && !code) return {};
  if (!type) return fail(Error::invalid("an ICMP code needs an ICMP type"));
  if (*type < 0 || *type > kHighestIcmpType) {
    return fail(Error::invalid("ICMP type must be from 0 to 254", std::to_string(*type)));
  }
  if (code && (*code < 0 || *code > kHighestIcmpCode)) {
    return fail(Error::invalid("ICMP code must be from 0 to 255", std::to_string(*code)));
  }
  json::object icmp{{"type", *type}};
  if (code) icmp["code"] = *code;
  out["icmp"] = std::move(icmp);
  protocol.written = protocol.number == kIcmpV6 ? "ICMPv6" : "ICMP";  // also where it was given as "1" or "58"
  return {};
}

base::Result<> add_ports(const json::object& rule, const Protocol& protocol, json::object& destination) {
  if (number(rule, "port_range_min") == -1) return {};
  const auto first = number(rule, "port_range_min");
  const auto last = number(rule, "port_range_max");
  if (!first && !last) return {};
  constexpr std::array kWithPorts{6, 17, 132};
  if (std::ranges::find(kWithPorts, protocol.number) == kWithPorts.end()) {
    return fail(Error::invalid("ports can be matched with tcp, udp and sctp only"));
  }
  if (!first || !last || *first < 0 || *last > kHighestPort || *first > *last) {
    return fail(Error::invalid("port range is not from 0 to 65535 in ascending order"));
  }
  json::array ports;
  if (*first == *last)
    ports.emplace_back(*first);
  else
    ports.emplace_back(fmt::format("{}:{}", *first, *last));
  destination["ports"] = std::move(ports);
  return {};
}

base::Result<> add_peer(const json::object& rule, json::object& peer) {
  const auto group = text(rule, "remote_group_id");
  const auto addresses = text(rule, "remote_address_group_id");
  const auto prefix = text(rule, "remote_ip_prefix");
  if (int{!group.empty()} + int{!addresses.empty()} + int{!prefix.empty()} > 1) {
    return fail(Error::invalid("a rule has one kind of remote"));
  }
  if (!group.empty()) peer["selector"] = fmt::format("has({}{})", kGroupLabel, group);
  if (!addresses.empty()) peer["selector"] = fmt::format("has({}{})", kAddressGroupLabel, addresses);
  if (!prefix.empty()) {
    if (!base::parse_cidr_or_address(prefix)) return fail(Error::invalid("remote_ip_prefix is no prefix", prefix));
    peer["nets"] = json::array{to_json(prefix)};
  }
  return {};
}

}  // namespace

base::Result<TranslatedRule> translate_rule(const json::object& rule) {
  const auto direction = text(rule, "direction");
  if (direction != "ingress" && direction != "egress") {
    return fail(Error::invalid("direction is neither ingress nor egress", direction));
  }
  TranslatedRule result{.ingress = direction == "ingress", .rule = {{"action", "Allow"}}};
  const auto ethertype = text(rule, "ethertype");
  if (ethertype != "IPv4" && ethertype != "IPv6") {
    return fail(Error::invalid("ethertype is neither IPv4 nor IPv6", ethertype));
  }
  const bool ipv6 = ethertype == "IPv6";
  result.rule["ipVersion"] = ipv6 ? 6 : 4;
  auto protocol = read_protocol(rule, ipv6);
  if (!protocol) return fail(std::move(protocol).error());

  json::object source;
  json::object destination;
  const bool icmp = protocol->number == kIcmp || protocol->number == kIcmpV6;
  auto done = icmp ? add_icmp(rule, *protocol, result.rule) : add_ports(rule, *protocol, destination);
  if (done) done = add_peer(rule, result.ingress ? source : destination);
  if (!done) return fail(std::move(done).error());
  if (protocol->number != kAnyProtocol) result.rule["protocol"] = protocol->written;
  if (!source.empty()) result.rule["source"] = std::move(source);
  if (!destination.empty()) result.rule["destination"] = std::move(destination);
  return result;
}

Translation translate_security_group(const json::object& group, const Region& region) {
  const std::string_view id = text(group, "id");
  Translation result;
  json::array ingress;
  json::array egress;
  for (const auto& item : list(group, "security_group_rules")) {
    const auto* rule = item.if_object();
    if (rule == nullptr) continue;
    if (const auto remote = text(*rule, "remote_group_id"); !remote.empty() && remote != id) {
      result.refers_to.push_back({Kind::kSecurityGroup, std::string(remote)});
    }
    auto translated = translate_rule(*rule);
    if (translated) {
      (translated->ingress ? ingress : egress).push_back(std::move(translated->rule));
    } else {
      result.notes.push_back(
          fmt::format("security group {}: rule {} is left out: {}", id, text(*rule, "id"), translated.error().text()));
    }
  }
  std::ranges::sort(result.refers_to);
  result.refers_to.erase(std::ranges::unique(result.refers_to).begin(), result.refers_to.end());
  Desired desired{.kind = "NetworkPolicy", .name = Region::policy_name(id), .ns = region.ns()};
  desired.generation = result.generation = number(group, "revision_number").value_or(0);
  desired.spec = {{"ingress", std::move(ingress)},
                  {"egress", std::move(egress)},
                  {"selector", fmt::format("has({}{})", kGroupLabel, id)}};
  result.keys.emplace(region.policy_key(id), std::move(desired));
  return result;
}

Translation translate_address_group(const json::object& group, const Region& region) {
  const std::string_view id = text(group, "id");
  Translation result;
  json::array nets;
  std::vector<std::string_view> addresses;
  for (const auto& item : list(group, "addresses")) {
    if (const auto* address = item.if_string()) addresses.push_back(view(*address));
  }
  std::ranges::sort(addresses);
  for (const std::string_view address : addresses) {
    if (const auto prefix = base::parse_cidr_or_address(address)) {
      nets.emplace_back(base::to_string(*prefix));
    } else {
      result.notes.push_back(fmt::format("address group {}: '{}' is no prefix and is left out", id, address));
    }
  }
  Desired desired{.kind = "NetworkSet", .name = Region::network_set_name(id), .ns = region.ns()};
  desired.generation = result.generation = number(group, "revision_number").value_or(0);
  desired.labels[std::string(kAddressGroupLabel) + std::string(id)] = sanitised(text(group, "name"), kLabelValueLimit);
  desired.spec = {{"nets", std::move(nets)}};
  result.keys.emplace(region.network_set_key(id), std::move(desired));
  return result;
}

}  // namespace neutron
