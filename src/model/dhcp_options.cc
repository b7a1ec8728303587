#include "model/dhcp_options.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/strings.h"

namespace model {

namespace json = boost::json;
using base::Error;

namespace {

constexpr std::size_t kLongestValue = 255;  // Neutron's column, and an IPv4 option
constexpr int kLastCode4 = 254;             // 255 ends the list
constexpr int kLastCode6 = 65535;

// `dnsmasq --help dhcp` and `--help dhcp6` of 2.90, less "ipv6-only", which 2.85 does not know (108 it takes).
constexpr std::array<std::string_view, 60> kNames4{"netmask",
                                                   "time-offset",
                                                   "router",
                                                   "dns-server",
                                                   "log-server",
                                                   "lpr-server",
                                                   "boot-file-size",
                                                   "domain-name",
                                                   "swap-server",
                                                   "root-path",
                                                   "extension-path",
                                                   "ip-forward-enable",
                                                   "policy-filter",
                                                   "non-local-source-routing",
                                                   "max-datagram-reassembly",
                                                   "default-ttl",
                                                   "mtu",
                                                   "all-subnets-local",
                                                   "router-discovery",
                                                   "router-solicitation",
                                                   "static-route",
                                                   "trailer-encapsulation",
                                                   "arp-timeout",
                                                   "ethernet-encap",
                                                   "tcp-ttl",
                                                   "tcp-keepalive",
                                                   "nis-domain",
                                                   "nis-server",
                                                   "ntp-server",
                                                   "netbios-ns",
                                                   "netbios-dd",
                                                   "netbios-nodetype",
                                                   "netbios-scope",
                                                   "x-windows-fs",
                                                   "x-windows-dm",
                                                   "t1",
                                                   "t2",
                                                   "vendor-class",
                                                   "nis+-domain",
                                                   "nis+-server",
                                                   "tftp-server",
                                                   "bootfile-name",
                                                   "mobile-ip-home",
                                                   "smtp-server",
                                                   "pop3-server",
                                                   "nntp-server",
                                                   "irc-server",
                                                   "user-class",
                                                   "rapid-commit",
                                                   "client-arch",
                                                   "client-interface-id",
                                                   "client-machine-id",
                                                   "posix-timezone",
                                                   "tzdb-timezone",
                                                   "domain-search",
                                                   "sip-server",
                                                   "classless-static-route",
                                                   "vendor-id-encap",
                                                   "tftp-server-address",
                                                   "server-ip-address"};
constexpr std::array<std::string_view, 15> kNames6{
    "sip-server-domain", "sip-server",    "dns-server",  "domain-search", "nis-server",
    "nis+-server",       "nis-domain",    "nis+-domain", "sntp-server",   "information-refresh-time",
    "posix-timezone",    "tzdb-timezone", "ntp-server",  "bootfile-url",  "bootfile-param"};

bool is_known(std::string_view name, int ip_version) {
  const std::string lower = base::to_lower(name);
  return ip_version == 4 ? std::ranges::find(kNames4, lower) != kNames4.end()
                         : std::ranges::find(kNames6, lower) != kNames6.end();
}

bool is_code(std::string_view name, int ip_version) {
  int code = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), code);
  return error == std::errc() && end == name.data() + name.size() && code >= 1 &&
         code <= (ip_version == 4 ? kLastCode4 : kLastCode6) && name.front() != '0';
}

// Quotes and backslashes have a meaning in dnsmasq's files, and '#' may begin a comment.
bool is_harmless(std::string_view value) {
  return std::ranges::all_of(value, [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\' && c != '#'; });
}

std::string text_of(const json::object& object, json::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

std::string dhcp_option_problem(const DhcpOption& option) {
  if (option.ip_version != 4 && option.ip_version != 6) return "ip_version is neither 4 nor 6";
  std::string_view name = option.name;
  if (option.ip_version == 4) {
    for (const std::string_view tag : {"tag:ipxe,", "tag:!ipxe,"}) {
      if (name.starts_with(tag)) name.remove_prefix(tag.size());
    }
  }
  if (!is_known(name, option.ip_version) && !is_code(name, option.ip_version)) {
    return fmt::format("dnsmasq knows no IPv{} option '{}'; a number works as well", option.ip_version, name);
  }
  if (option.value.size() > kLongestValue) return fmt::format("the value of '{}' is too long", name);
  if (!is_harmless(option.value)) {
    return fmt::format("the value of '{}' has characters other than printable ASCII without quotes, '\\' and '#'",
                       name);
  }
  if (base::trim(option.value) != option.value) return fmt::format("the value of '{}' begins or ends blank", name);
  return {};
}

std::string print_dhcp_options(const std::vector<DhcpOption>& options) {
  json::array list;
  for (const DhcpOption& option : options) {
    list.push_back(json::object{{"name", option.name}, {"value", option.value}, {"ip_version", option.ip_version}});
  }
  return json::serialize(list);
}

base::Result<std::vector<DhcpOption>> parse_dhcp_options(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_array()) return base::fail(Error::invalid("not a JSON list"));
  if (value.get_array().size() > kMostDhcpOptions) return base::fail(Error::invalid("too many options"));
  std::vector<DhcpOption> options;
  for (const json::value& item : value.get_array()) {
    const json::object* object = item.if_object();
    if (object == nullptr) return base::fail(Error::invalid("an entry is not an object"));
    const json::value* version = object->if_contains("ip_version");
    const bool is_number = version != nullptr && version->is_int64();
    DhcpOption option{.ip_version = is_number ? static_cast<int>(version->get_int64()) : 0,
                      .name = text_of(*object, "name"),
                      .value = text_of(*object, "value")};
    if (auto problem = dhcp_option_problem(option); !problem.empty()) return base::fail(Error::invalid(problem));
    options.push_back(std::move(option));
  }
  return options;
}

}  // namespace model
