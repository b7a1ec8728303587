#include "lab/plan.h"

#include <algorithm>
#include <cctype>

#include <fmt/core.h>

#include "base/check.h"
#include "base/digest.h"
#include "base/strings.h"

namespace lab {
namespace {

base::IpAddress address(std::string_view text) {
  auto parsed = base::parse_address(text);
  CHECK(parsed.has_value());
  return *parsed;
}

base::Prefix interface_cidr(const std::string& text) {
  auto parsed = base::parse_interface_cidr(text);
  CHECK(parsed.has_value());
  return *parsed;
}

// Looks like a random UUID and is the same for the same name, so that runs can be compared.
std::string uuid_of(std::string_view text) {
  const base::Sha256 hash = base::sha256(text);
  std::string hex;
  for (std::size_t i = 0; i < 16; ++i) hex += fmt::format("{:02x}", hash[i]);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20));
}

Host make_host(std::string name, std::string segment, int subnet, int n, int management) {
  return {.name = std::move(name),
          .segment = std::move(segment),
          .v4 = interface_cidr(fmt::format("192.168.{}.{}/24", subnet, n)),
          .v6 = interface_cidr(fmt::format("fd00:{}::{}/64", subnet, n)),
          .router_v4 = address(fmt::format("192.168.{}.1", subnet)),
          .router_v6 = address(fmt::format("fd00:{}::1", subnet)),
          .management = address(fmt::format("172.31.255.{}", management))};
}

}  // namespace

Guest make_guest(std::string name, std::string host, std::string role, int network, int n) {
  Guest guest;
  guest.name = std::move(name);
  guest.host = std::move(host);
  guest.role = std::move(role);
  guest.network = fmt::format("net-{}", network);
  guest.v4 = interface_cidr(fmt::format("10.{}.0.{}/24", network, n));
  guest.v6 = address(fmt::format("fd00:{}::{}", network, n));
  guest.gateway_v4 = address(fmt::format("10.{}.0.1", network));
  guest.port_id = uuid_of("port " + guest.name);
  guest.device_id = uuid_of("device " + guest.name);
  guest.tap = "tap" + guest.port_id.substr(0, 11);
  guest.mac = fmt::format("fa:16:3e:00:{:02x}:{:02x}", network, n);
  guest.tap_mac = fmt::format("fe:16:3e:00:{:02x}:{:02x}", network, n);
  return guest;
}

Plan standard_plan() {
  Plan plan;
  plan.etcd = address("172.31.255.1");
  plan.hosts = {make_host("host-a", "ab", 10, 11, 11), make_host("host-b", "ab", 10, 12, 12),
                make_host("host-c", "c", 20, 11, 13)};
  plan.guests = {make_guest("web1", "host-a", "web", 65, 11), make_guest("db1", "host-a", "db", 66, 11),
                 make_guest("web2", "host-b", "web", 65, 12), make_guest("db2", "host-b", "db", 66, 12),
                 make_guest("web3", "host-c", "web", 65, 13), make_guest("cache1", "host-c", "cache", 66, 13)};
  return plan;
}

const Host* Plan::host(std::string_view name) const {
  const std::string wanted = base::to_lower(name);
  const auto found =
      std::ranges::find_if(hosts, [&](const Host& h) { return h.name == wanted || h.name == "host-" + wanted; });
  return found == hosts.end() ? nullptr : &*found;
}

const Guest* Plan::guest(std::string_view name) const {
  const auto found = std::ranges::find(guests, name, &Guest::name);
  return found == guests.end() ? nullptr : &*found;
}

const base::IpAddress& router_id() {
  static const base::IpAddress kAddress = address("192.168.10.1");
  return kAddress;
}

const base::IpAddress& router_id_v6() {
  static const base::IpAddress kAddress = address("fd00:10::1");
  return kAddress;
}

base::IpAddress link_local(const base::MacAddress& mac) {
  const auto& m = mac.bytes;
  const std::array<std::uint8_t, 16> bytes = {
      0xFE, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xFF, 0xFE, m[3], m[4], m[5]};
  return base::IpAddress::from_bytes(base::Family::kIpv6, bytes.data());
}

bool is_lab_name(std::string_view text) {
  return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace lab
