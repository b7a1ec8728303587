#include "node/autodetect.h"

#include <gtest/gtest.h>

namespace node {
namespace {

base::Prefix at(std::string_view text) { return *base::parse_interface_cidr(text); }

const std::vector<Interface> kHost = {
    {1, "lo", true, {at("127.0.0.1/8"), at("::1/128")}},
    {2, "eth0", true, {at("192.0.2.11/24"), at("fe80::1/64"), at("2001:db8::11/64")}},
    {3, "eth1", true, {at("198.51.100.11/24")}},
    {4, "bond0", false, {at("203.0.113.1/24")}},
    {9, "tapa1b2c3", true, {at("169.254.1.1/32"), at("10.9.9.9/32")}},
    {10, "br-ex", true, {at("172.24.4.1/24")}},
    {11, "local0", true, {at("169.254.9.9/16")}},
};

TEST(Autodetect, Methods) {
  const FindLocal towards = [](const std::string& host, base::Family) -> base::Result<base::IpAddress> {
    if (host == "far") return *base::parse_address("192.0.2.11");
    return base::fail(base::Error::not_found("cannot look up " + host));
  };
  struct Case {
    std::string_view method;
    base::Family family;
    std::string_view result;  // address, or the beginning of the error
  };
  using base::Family;
  const Case cases[] = {
      {"", Family::kIpv4, "198.51.100.11/24"},  // highest index that is neither excluded nor down
      {"first-found", Family::kIpv6, "2001:db8::11/64"},
      {"can-reach=far", Family::kIpv4, "192.0.2.11/24"},
      {"can-reach=nowhere", Family::kIpv4, "can-reach=nowhere: cannot look up"},
      {"interface=eth0", Family::kIpv4, "192.0.2.11/24"},
      {"interface=eth.*, br-ex", Family::kIpv4, "172.24.4.1/24"},  // exclusions do not hold here
      {"interface=wlan0", Family::kIpv4, "no IPv4 address found"},
      {"skip-interface=eth1", Family::kIpv4, "192.0.2.11/24"},
      {"cidr=192.0.2.0/24, 198.51.0.0/16", Family::kIpv4, "198.51.100.11/24"},
      {"cidr=10.9.0.0/16", Family::kIpv4, "10.9.9.9/32"},
      {"cidr=nonsense", Family::kIpv4, "cidr=nonsense"},
      {"kubernetes-internal-ip", Family::kIpv4, "Invalid IP autodetection method: kubernetes-internal-ip"},
  };
  for (const Case& c : cases) {
    const auto found = autodetect(c.method, kHost, c.family, towards);
    const std::string text = found ? base::to_string(found->address) : found.error().text();
    EXPECT_TRUE(text.starts_with(c.result)) << c.method << ": " << text;
  }
}

TEST(Autodetect, GivenAddresses) {
  using base::Family;
  const auto text = [](std::string_view given, Family family) {
    const auto address = address_from_text(given, family, kHost);
    return address ? base::to_string(*address) : "error";
  };
  EXPECT_EQ(text("192.0.2.11", Family::kIpv4), "192.0.2.11/24");
  EXPECT_EQ(text("192.0.2.99", Family::kIpv4), "192.0.2.99/32");
  EXPECT_EQ(text("192.0.2.99/25", Family::kIpv4), "192.0.2.99/25");
  EXPECT_EQ(text("2001:db8::11", Family::kIpv6), "2001:db8::11/128");
  EXPECT_EQ(text("2001:db8::11", Family::kIpv4), "error");
  EXPECT_EQ(text("x", Family::kIpv4), "error");
}

TEST(Autodetect, Exclusions) {
  for (const char* name :
       {"lo", "docker0", "br-int", "cali12", "tapab", "qvoab", "ovs-system", "vxlan.calico", "tunl0"})
    EXPECT_TRUE(is_excluded(name)) << name;
  for (const char* name : {"eth0", "ens3", "bond0", "local0", "vlan10", "brbond"})
    EXPECT_FALSE(is_excluded(name)) << name;
}

}  // namespace
}  // namespace node
