#include "dhcp/networks.h"

#include <gtest/gtest.h>

namespace dhcp {
namespace {

Subnet subnet(const std::string& id, const std::string& network, const std::string& cidr, const std::string& gateway) {
  return *decode_subnet(id, R"({"network_id":")" + network + R"(","cidr":")" + cidr + R"(","gateway_ip":")" + gateway +
                                R"(","host_routes":[]})");
}

Endpoint endpoint(const std::string& port, const std::string& network, std::vector<std::string> addresses) {
  Endpoint e{.port_id = port,
             .interface = "tap" + port,
             .mac = *base::parse_mac("fa:16:3e:00:00:01"),
             .addresses = {},
             .network_id = network,
             .fqdn = {}};
  for (const std::string& text : addresses) e.addresses.push_back(*base::parse_address(text));
  return e;
}

class NetworksTest : public testing::Test {
 protected:
  Networks networks_;
};

TEST_F(NetworksTest, ServesAnEndpointOnceItsSubnetAndItsInterfaceAreThere) {
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  EXPECT_TRUE(networks_.served().empty());
  EXPECT_EQ(networks_.uncovered(), std::vector<std::string>{"10.0.0.2 of port p1"});
  networks_.set_subnet(SubnetSource::kCurrent, "s1", subnet("s1", "n1", "10.0.0.0/24", "10.0.0.1"));
  EXPECT_TRUE(networks_.served().empty());
  networks_.set_interface("tapp1", 1480);
  const auto served = networks_.served();
  ASSERT_EQ(served.size(), 1u);
  EXPECT_EQ(served.at("n1").ports.at(0).mtu, 1480u);
  EXPECT_EQ(served.at("n1").ports.at(0).addresses.at(0).subnet_id, "s1");
}

TEST_F(NetworksTest, AGuestStaysServedWhenItsInterfaceGoesButItsMtuIsForgotten) {
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  networks_.set_subnet(SubnetSource::kCurrent, "s1", subnet("s1", "n1", "10.0.0.0/24", "10.0.0.1"));
  networks_.set_interface("tapp1", 1480);
  (void)networks_.served();
  networks_.set_interface("tapp1", std::nullopt);
  ASSERT_EQ(networks_.served().size(), 1u);
  EXPECT_EQ(networks_.served().at("n1").ports.at(0).mtu, std::nullopt);
  networks_.set_endpoint("p1", std::nullopt);
  EXPECT_TRUE(networks_.served().empty());
}

TEST_F(NetworksTest, ATapThatComesBackIsCountedUntilItsEndpointGoes) {
  const auto replugged = [this] { return networks_.served().at("n1").ports.at(0).replugged; };
  networks_.set_subnet(SubnetSource::kCurrent, "s1", subnet("s1", "n1", "10.0.0.0/24", "10.0.0.1"));
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  networks_.set_interface("tapp1", 1480);
  networks_.set_interface("tapp1", 1400);
  EXPECT_EQ(replugged(), 0u);
  networks_.set_interface("tapp1", std::nullopt);
  EXPECT_EQ(replugged(), 0u);
  networks_.set_interface("tapp1", 1480);
  EXPECT_EQ(replugged(), 1u);
  networks_.set_interface("tapp1", std::nullopt);
  networks_.set_interface("tapp1", 1480);
  EXPECT_EQ(replugged(), 2u);
  networks_.set_endpoint("p1", std::nullopt);
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  EXPECT_EQ(replugged(), 0u);
}

// The same range may be used again in another network: the endpoint's own network decides.
TEST_F(NetworksTest, AddressesAreLookedForInTheEndpointsOwnNetwork) {
  networks_.set_subnet(SubnetSource::kCurrent, "a", subnet("a", "old", "10.0.0.0/24", "10.0.0.1"));
  networks_.set_subnet(SubnetSource::kCurrent, "b", subnet("b", "new", "10.0.0.0/24", "10.0.0.254"));
  networks_.set_endpoint("p1", endpoint("p1", "new", {"10.0.0.2"}));
  networks_.set_interface("tapp1", 1500);
  const auto served = networks_.served();
  ASSERT_EQ(served.size(), 1u);
  EXPECT_TRUE(served.contains("new"));
  ASSERT_EQ(served.at("new").subnets.size(), 1u);
  EXPECT_EQ(served.at("new").subnets[0].id, "b");
}

TEST_F(NetworksTest, OldSubnetsCountWhereThereIsNoCurrentOne) {
  Subnet old = subnet("o", "calico", "10.0.0.0/24", "10.0.0.1");
  networks_.set_subnet(SubnetSource::kOld, "o", old);
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  networks_.set_interface("tapp1", 1500);
  EXPECT_TRUE(networks_.served().contains("calico"));
  networks_.set_subnet(SubnetSource::kCurrent, "s", subnet("s", "n1", "10.0.0.0/24", "10.0.0.1"));
  EXPECT_TRUE(networks_.served().contains("n1"));
  EXPECT_FALSE(networks_.served().contains("calico"));
}

TEST_F(NetworksTest, ASnapshotForgetsWhatIsStoredAndKeepsInterfaces) {
  networks_.set_subnet(SubnetSource::kCurrent, "s", subnet("s", "n1", "10.0.0.0/24", "10.0.0.1"));
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  networks_.set_interface("tapp1", 1500);
  networks_.forget_stored();
  EXPECT_TRUE(networks_.served().empty());
  networks_.set_subnet(SubnetSource::kCurrent, "s", subnet("s", "n1", "10.0.0.0/24", "10.0.0.1"));
  networks_.set_endpoint("p1", endpoint("p1", "n1", {"10.0.0.2"}));
  EXPECT_EQ(networks_.served().size(), 1u);
}

}  // namespace
}  // namespace dhcp
