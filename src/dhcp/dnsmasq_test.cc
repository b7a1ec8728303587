#include "dhcp/dnsmasq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dhcp {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Subnet subnet(const std::string& text) { return *decode_subnet(text.substr(0, 2), text.substr(2)); }

Port port(const std::string& id, std::vector<std::pair<std::string, std::string>> addresses,
          std::optional<std::uint32_t> mtu) {
  Port p{.endpoint = {.port_id = id,
                      .interface = "tap" + id,
                      .mac = *base::parse_mac("fa:16:3e:00:00:0" + id.substr(1)),
                      .addresses = {},
                      .network_id = "n",
                      .fqdn = {}},
         .addresses = {},
         .mtu = mtu};
  for (const auto& [address, subnet_id] : addresses) p.addresses.push_back({*base::parse_address(address), subnet_id});
  return p;
}

// Two IPv4 subnets, one stateful and one SLAAC IPv6 subnet.
Network network() {
  return {
      .id = "0123456789abcdef",
      .subnets =
          {subnet(
               R"(s1{"network_id":"n","cidr":"10.28.0.0/24","gateway_ip":"10.28.0.1","dns_servers":["8.8.8.8","8.8.4.4"],
                               "host_routes":[{"destination":"10.9.0.0/16","nexthop":"10.28.0.9"}]})"),
           subnet(R"(s2{"network_id":"n","cidr":"10.29.0.0/25","gateway_ip":"10.29.0.1","host_routes":[]})"),
           subnet(R"(s3{"network_id":"n","cidr":"fd00:1::/64","gateway_ip":"fd00:1::1","dns_servers":["fd00::53"]})"),
           subnet(R"(s4{"network_id":"n","cidr":"fd00:2::/64","gateway_ip":"fd00:2::1","ipv6_ra_mode":"slaac",
                               "ipv6_address_mode":"slaac"})")},
      .ports = {port("p1", {{"10.28.0.2", "s1"}, {"fd00:1::2", "s3"}}, 1480),
                port("p2", {{"10.29.0.2", "s2"}, {"fd00:2::f816:3eff:fe00:2", "s4"}}, std::nullopt)}};
}

// Spec openstack §5.4, in its order.
TEST(PlanServer, ArgumentsAreThoseOfNeutronsDriver) {
  Options options;
  options.state_path = "/state";
  options.dns_servers = {"9.9.9.9"};
  EXPECT_THAT(
      plan_server(network(), options).arguments,
      ElementsAre(
          "--no-hosts", "--no-resolv", "--except-interface=lo", "--pid-file=/state/0123456789abcdef/pid",
          "--dhcp-hostsfile=/state/0123456789abcdef/host", "--addn-hosts=/state/0123456789abcdef/addn_hosts",
          "--dhcp-optsfile=/state/0123456789abcdef/opts", "--dhcp-leasefile=/state/0123456789abcdef/leases",
          "--dhcp-match=set:ipxe,175", "--bind-dynamic", "--interface=ns-0123456789a",
          "--dhcp-range=set:subnet-s1,10.28.0.0,static,255.255.255.0,86400s",
          "--dhcp-range=set:subnet-s2,10.29.0.0,static,255.255.255.128,86400s",
          "--dhcp-range=set:subnet-s4,fd00:2::,slaac,ra-only,off-link,64,86400s", "--dhcp-option-force=option:mtu,1500",
          "--dhcp-lease-max=16777216", "--conf-file=", "--server=9.9.9.9", "--domain=openstacklocal",
          "--dhcp-range=set:subnet-s3,fd00:1::,static,off-link,64,86400s", "--enable-ra", "--ra-param=ns-*,mtu:off,0",
          "--dhcp-mac=set:port-p1,fa:16:3e:00:00:01", "--dhcp-mac=set:port-p2,fa:16:3e:00:00:02", "--interface=tapp1",
          "--interface=tapp2", "--bridge-interface=ns-0123456789a,tapp1,tapp2"));
}

TEST(PlanServer, LeasesWithoutEndAndTheHostsResolver) {
  Options options;
  options.lease_seconds = kInfiniteLease;
  options.local_resolver = true;
  const auto arguments = plan_server(network(), options).arguments;
  EXPECT_THAT(arguments, Contains("--dhcp-range=set:subnet-s1,10.28.0.0,static,255.255.255.0,infinite"));
  EXPECT_THAT(arguments, Not(Contains("--no-resolv")));
}

TEST(PlanServer, TheInterfaceHoldsEverySubnetsGateway) {
  const ServerPlan plan = plan_server(network(), {});
  std::vector<std::string> addresses;
  for (const base::Prefix& prefix : plan.addresses) addresses.push_back(base::to_string(prefix));
  EXPECT_THAT(addresses, ElementsAre("10.28.0.1/24", "10.29.0.1/25", "fd00:1::1/64", "fd00:2::1/64"));
}

// Spec openstack §5.5.
TEST(PlanServer, Files) {
  const ServerPlan plan = plan_server(network(), {});
  EXPECT_EQ(plan.hosts,
            "fa:16:3e:00:00:01,host-10-28-0-2.openstacklocal,10.28.0.2\n"
            "fa:16:3e:00:00:01,tag:dhcpv6,host-fd00-1--2.openstacklocal,[fd00:1::2]\n"
            "fa:16:3e:00:00:02,host-10-29-0-2.openstacklocal,10.29.0.2\n");
  EXPECT_EQ(plan.names,
            "10.28.0.2\thost-10-28-0-2.openstacklocal host-10-28-0-2\n"
            "fd00:1::2\thost-fd00-1--2.openstacklocal host-fd00-1--2\n"
            "10.29.0.2\thost-10-29-0-2.openstacklocal host-10-29-0-2\n"
            "fd00:2::f816:3eff:fe00:2\thost-fd00-2--f816-3eff-fe00-2.openstacklocal host-fd00-2--f816-3eff-fe00-2\n");
  EXPECT_EQ(
      plan.options,
      "tag:subnet-s1,option:dns-server,8.8.8.8,8.8.4.4\n"
      "tag:subnet-s1,option:classless-static-route,10.29.0.0/25,0.0.0.0,10.9.0.0/16,10.28.0.9,0.0.0.0/0,10.28.0.1\n"
      "tag:subnet-s1,249,10.29.0.0/25,0.0.0.0,10.9.0.0/16,10.28.0.9,0.0.0.0/0,10.28.0.1\n"
      "tag:subnet-s1,option:router,10.28.0.1\n"
      "tag:subnet-s2,option:classless-static-route,10.28.0.0/24,0.0.0.0,0.0.0.0/0,10.29.0.1\n"
      "tag:subnet-s2,249,10.28.0.0/24,0.0.0.0,0.0.0.0/0,10.29.0.1\n"
      "tag:subnet-s2,option:router,10.29.0.1\n"
      "tag:subnet-s3,option6:dns-server,[fd00::53]\n"
      "tag:subnet-s3,option6:domain-search,openstacklocal\n"
      "tag:port-p1,option:mtu,1480");
}

TEST(PlanServer, ASingleZeroAddressMeansNoNameServer) {
  Network n = network();
  n.subnets = {subnet(R"(s1{"network_id":"n","cidr":"10.28.0.0/24","gateway_ip":null,"dns_servers":["0.0.0.0"],
                        "host_routes":[{"destination":"0.0.0.0/0","nexthop":"10.28.0.7"}]})")};
  const ServerPlan plan = plan_server(n, {});
  EXPECT_THAT(plan.options, HasSubstr("tag:subnet-s1,option:dns-server\n"));
  // A default route among the host routes stands in for the gateway that there is none of.
  EXPECT_THAT(plan.options, HasSubstr("tag:subnet-s1,option:router,10.28.0.7"));
  ASSERT_EQ(plan.unserved.size(), 1u);
  EXPECT_THAT(plan.unserved[0], HasSubstr("gateway"));
}

TEST(MergeLeases, KeepsKnownLeasesAndAddsThoseOfGuestsThatCameFromElsewhere) {
  const std::string old =
      "1700000000 fa:16:3e:00:00:01 10.28.0.2 vm1 01:fa:16:3e:00:00:01\n"
      "1700000000 fa:16:3e:00:00:09 10.28.0.9 * *\n"
      "duid 00:01\n"
      "1700000000 123 fd00:1::2 vm1 00:02\n";
  EXPECT_EQ(merge_leases(old, plan_server(network(), {}).hosts, network(), 1800000000),
            "1700000000 fa:16:3e:00:00:01 10.28.0.2 vm1 01:fa:16:3e:00:00:01\n"
            "1800000000 fa:16:3e:00:00:02 10.29.0.2 * *\n"
            "duid 00:01\n"
            "1700000000 123 fd00:1::2 vm1 00:02\n");
}

// An identifier made up by a system that has gone would keep the address from the one that has come.
TEST(MergeLeases, AnIPv6LeaseGoesWithThePortOrTheSystemItWasGivenTo) {
  const std::string duid = "duid 00:01\n";
  const std::string lease = "1700000000 123 fd00:1::2 vm1 00:02\n";
  const std::string same = "FA:16:3E:00:00:01,tag:dhcpv6,x,[fd00:1::2],set:port-p1\n";  // as Calico's agent writes it
  const base::IpAddress address = *base::parse_address("fd00:1::2");
  const struct {
    const char* name;
    std::string hosts, lease;
    std::set<base::IpAddress> released;
    bool kept;
  } cases[] = {
      {"the same port", same, lease, {}, true},
      {"nobody knows whose it was", "", lease, {}, true},
      {"another port had the address", "fa:16:3e:00:00:07,tag:dhcpv6,x,[fd00:1::2]\n", lease, {}, false},
      {"no port has the address", same, "1700000000 123 fd00:1::9 vm1 00:02\n", {}, false},
      {"the tap came back", same, lease, {address}, false},
      {"another tap came back", same, lease, {*base::parse_address("fd00:1::3")}, true},
  };
  Network n = network();
  n.ports.resize(1);
  for (const auto& c : cases) {
    const std::string merged = merge_leases(duid + c.lease, c.hosts, n, 1800000000, c.released);
    EXPECT_EQ(merged, "1800000000 fa:16:3e:00:00:01 10.28.0.2 * *\n" + duid + (c.kept ? c.lease : "")) << c.name;
    EXPECT_EQ(has_lease(duid + c.lease, c.released), c.released.contains(address)) << c.name;
  }
}

TEST(PlanServer, APortsOwnOptionsFollowItsTag) {
  Network n = network();
  n.ports.resize(1);
  n.ports[0].endpoint.options = {{4, "bootfile-name", "pxelinux.0"},           {4, "66", "192.0.2.1"},
                                 {4, "tag:!ipxe,67", "undionly.kpxe"},         {4, "router", ""},
                                 {6, "dns-server", "2001:db8::1,2001:db8::2"}, {6, "59", "http://[2001:db8::1]/x"}};
  EXPECT_THAT(plan_server(n, {}).options,
              testing::EndsWith("\ntag:port-p1,option:bootfile-name,pxelinux.0\n"
                                "tag:port-p1,66,192.0.2.1\n"
                                "tag:port-p1,tag:!ipxe,67,undionly.kpxe\n"
                                "tag:port-p1,option:router\n"
                                "tag:port-p1,option6:dns-server,[2001:db8::1],[2001:db8::2]\n"
                                "tag:port-p1,option6:59,http://[2001:db8::1]/x\n"
                                "tag:port-p1,option:mtu,1480"));
  n.ports[0].endpoint.options = {{4, "MTU", "1400"}};
  EXPECT_THAT(plan_server(n, {}).options, testing::EndsWith("\ntag:port-p1,option:MTU,1400"));
}

}  // namespace
}  // namespace dhcp
