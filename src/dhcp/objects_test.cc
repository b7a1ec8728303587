#include "dhcp/objects.h"

#include <gtest/gtest.h>

namespace dhcp {
namespace {

TEST(PortOfName, ReadsTheLastComponentOfAnOpenStackEndpointOfThisHost) {
  EXPECT_EQ(port_of_name("cmp--1-openstack-b6d8a3c4--9674-9a7e--0868", "cmp-1"), "9a7e-0868");
  // A host may be called like the separator.
  EXPECT_EQ(port_of_name("openstack-openstack-vm-port", "openstack"), "port");
}

TEST(PortOfName, IsNothingForEverythingElse) {
  for (const char* name : {"", "cmp--1", "cmp--2-openstack-vm-port", "cmp--1-k8s-vm-port", "cmp--1-openstack-vm",
                           "cmp--1-openstack-vm-port-more", "cmp--1-openstack--port", "cmp--1-openstack-vm-"}) {
    EXPECT_EQ(port_of_name(name, "cmp-1"), std::nullopt) << name;
  }
}

constexpr const char* kEndpoint = R"({"kind":"WorkloadEndpoint","metadata":{"annotations":{
  "openstack.projectcalico.org/network-id":"net-1","openstack.projectcalico.org/fqdn":"vm1.example.org."}},
  "spec":{"interfaceName":"tap9a7e0868-11","mac":"FA:16:3e:00:00:01",
  "ipNetworks":["10.65.0.2/32","fd00::2/128","23.23.23.2/32"],"allowedIps":["23.23.23.2/32"]}})";

TEST(DecodeEndpoint, KeepsFixedAddressesAndLeavesAllowedPairsOut) {
  const auto endpoint = decode_endpoint("9a7e0868-11", kEndpoint);
  ASSERT_TRUE(endpoint && *endpoint) << (endpoint ? "" : endpoint.error().text());
  EXPECT_EQ((*endpoint)->interface, "tap9a7e0868-11");
  EXPECT_EQ(base::to_string((*endpoint)->mac), "fa:16:3e:00:00:01");
  ASSERT_EQ((*endpoint)->addresses.size(), 2u);
  EXPECT_EQ(base::to_string((*endpoint)->addresses[0]), "10.65.0.2");
  EXPECT_EQ((*endpoint)->network_id, "net-1");
  EXPECT_EQ((*endpoint)->fqdn, "vm1.example.org.");
}

TEST(DecodeEndpoint, HasThePortsOwnOptions) {
  const auto endpoint = decode_endpoint("p", R"({"metadata":{"annotations":{
    "openstack.projectcalico.org/dhcp-options":"[{\"name\":\"67\",\"value\":\"x\",\"ip_version\":4}]"}},
    "spec":{"interfaceName":"tap1","mac":"fa:16:3e:00:00:01","ipNetworks":["10.0.0.1/32"]}})");
  ASSERT_TRUE(endpoint && *endpoint) << (endpoint ? "" : endpoint.error().text());
  EXPECT_EQ((*endpoint)->options, (std::vector<model::DhcpOption>{{4, "67", "x"}}));
}

TEST(DecodeEndpoint, WithoutAddressesIsNotServed) {
  const auto endpoint =
      decode_endpoint("p", R"({"spec":{"interfaceName":"tap1","mac":"fa:16:3e:00:00:01","ipNetworks":[]}})");
  ASSERT_TRUE(endpoint);
  EXPECT_FALSE(*endpoint);
}

// What ends up on dnsmasq's command line must not be able to say more than a name.
TEST(DecodeEndpoint, RefusesTextThatWouldSayMore) {
  const struct {
    const char* value;
    const char* named;
  } cases[] = {
      {R"([])", "JSON object"},
      {R"({"spec":)", "JSON"},
      {R"({"metadata":{}})", "spec"},
      {R"({"spec":{"interfaceName":"tap1,eth0","mac":"fa:16:3e:00:00:01","ipNetworks":["10.0.0.1/32"]}})",
       "interfaceName"},
      {R"({"spec":{"interfaceName":"a-name-of-16-char","mac":"fa:16:3e:00:00:01","ipNetworks":["10.0.0.1/32"]}})",
       "interfaceName"},
      {R"({"spec":{"interfaceName":"tap1","mac":"x","ipNetworks":["10.0.0.1/32"]}})", "mac"},
      {R"({"spec":{"interfaceName":"tap1","mac":"fa:16:3e:00:00:01","ipNetworks":["10.0.0.256/32"]}})", "ipNetworks"},
      {R"({"metadata":{"annotations":{"openstack.projectcalico.org/fqdn":"a,b\nc"}},
          "spec":{"interfaceName":"tap1","mac":"fa:16:3e:00:00:01","ipNetworks":["10.0.0.1/32"]}})",
       "fqdn"},
      {R"({"metadata":{"annotations":{"openstack.projectcalico.org/dhcp-options":"[{\"name\":\"67\",\"value\":\"x\\ny\",\"ip_version\":4}]"}},
          "spec":{"interfaceName":"tap1","mac":"fa:16:3e:00:00:01","ipNetworks":["10.0.0.1/32"]}})",
       "dhcp-options"},
  };
  for (const auto& c : cases) {
    const auto endpoint = decode_endpoint("p", c.value);
    ASSERT_FALSE(endpoint) << c.value;
    EXPECT_NE(endpoint.error().text().find(c.named), std::string::npos) << endpoint.error().text();
  }
}

TEST(DecodeSubnet, ReadsWhatTheDriverWrites) {
  const auto subnet = decode_subnet("s1", R"({"network_id": "n1", "cidr": "10.65.0.0/24", "gateway_ip": "10.65.0.1",
    "host_routes": [{"destination": "10.1.0.0/16", "nexthop": "10.65.0.5"}], "dns_servers": ["8.8.8.8"]})");
  ASSERT_TRUE(subnet) << subnet.error().text();
  EXPECT_EQ(base::to_string(subnet->cidr), "10.65.0.0/24");
  EXPECT_EQ(base::to_string(*subnet->gateway), "10.65.0.1");
  EXPECT_EQ(subnet->dns_servers, std::vector<std::string>{"8.8.8.8"});
  EXPECT_EQ(subnet->host_routes, (std::vector<HostRoute>{{"10.1.0.0/16", "10.65.0.5"}}));
  EXPECT_FALSE(subnet->slaac);
}

TEST(DecodeSubnet, IsSlaacOnlyWhenBothModesSaySo) {
  const auto with = [](const char* ra, const char* address) {
    return decode_subnet(
               "s", std::string(R"({"network_id":"n","cidr":"fd00::/64","gateway_ip":"fd00::1","host_routes":[],)") +
                        R"("ipv6_ra_mode":")" + ra + R"(","ipv6_address_mode":")" + address + R"("})")
        ->slaac;
  };
  EXPECT_TRUE(with("slaac", "slaac"));
  EXPECT_FALSE(with("dhcpv6-stateless", "dhcpv6-stateless"));
  EXPECT_FALSE(with("slaac", "dhcpv6-stateful"));
}

TEST(DecodeSubnet, SaysWhichMemberIsWrong) {
  const struct {
    const char* value;
    const char* named;
  } cases[] = {
      {R"({"gateway_ip":null})", "cidr"},
      {R"({"cidr":"10.0.0.0/24"})", "gateway_ip"},
      {R"({"cidr":"10.0.0.0/24","gateway_ip":"fd00::1"})", "gateway_ip"},
      {R"({"cidr":"10.0.0.0/24","gateway_ip":null,"dns_servers":["8.8.8.8\n--x"]})", "dns_servers"},
      {R"({"cidr":"10.0.0.0/24","gateway_ip":null,"host_routes":[{"destination":"x","nexthop":"10.0.0.1"}]})",
       "host_routes"},
      {R"({"cidr":"10.0.0.0/24","gateway_ip":null,"network_id":"a/../b"})", "network_id"},
  };
  for (const auto& c : cases) {
    const auto subnet = decode_subnet("s", c.value);
    ASSERT_FALSE(subnet) << c.value;
    EXPECT_NE(subnet.error().text().find(c.named), std::string::npos) << subnet.error().text();
  }
  EXPECT_FALSE(decode_subnet("a,b", R"({"cidr":"10.0.0.0/24","gateway_ip":null})"));
}

TEST(DecodeSubnet, WithoutNetworkBelongsToTheOneThereWas) {
  EXPECT_EQ(decode_subnet("s", R"({"cidr":"10.0.0.0/24","gateway_ip":null})")->network_id, "calico");
}

}  // namespace
}  // namespace dhcp
