#include "kernel/mtu.h"

#include <gtest/gtest.h>

namespace kernel {
namespace {

Link link(std::string name, std::uint32_t mtu, bool running = true) {
  return {.name = std::move(name), .index = 1, .admin_up = true, .running = running, .mtu = mtu};
}

TEST(Mtu, TheSmallestRunningHostInterfaceCounts) {
  const auto pattern = compile_mtu_pattern(std::string(kDefaultMtuPattern));
  ASSERT_TRUE(pattern);
  EXPECT_EQ(host_mtu({}, *pattern), 1460u);
  const std::vector links{link("eth0", 9000), link("ens3", 1500), link("enp1s0", 1400, false), link("tap1", 1200),
                          link("docker0", 1300)};
  EXPECT_EQ(host_mtu(links, *pattern), 1500u);
  EXPECT_FALSE(compile_mtu_pattern("("));
  // Found in the lab: an agent that starts within a second of its uplink's coming up built tunnels for 1460 bytes.
  EXPECT_EQ(host_mtu(std::vector{link("eth0", 9000, false), link("tap1", 1200)}, *pattern), 9000u);
  Link down = link("eth0", 9000, false);
  down.admin_up = false;
  EXPECT_EQ(host_mtu(std::vector{down}, *pattern), kUnknownHostMtu);
}

TEST(Mtu, TunnelsAreSmallerByTheirHeaders) {
  Mtus mtus = tunnel_mtus(1500, {});
  EXPECT_EQ(mtus.ipip, 1480u);
  EXPECT_EQ(mtus.vxlan, 1450u);
  EXPECT_EQ(mtus.vxlan_v6, 1430u);
  EXPECT_EQ(mtus.wireguard, 1440u);
  EXPECT_EQ(mtus.wireguard_v6, 1420u);
  EXPECT_EQ(mtus.workload, 1500u);
  mtus = tunnel_mtus(1500, {.ipip = true, .vxlan = true});
  EXPECT_EQ(mtus.workload, 1450u);
  mtus = tunnel_mtus(1500, {.ipip = true, .ipip_mtu = 8980});
  EXPECT_EQ(mtus.ipip, 8980u);
  EXPECT_EQ(mtus.workload, 8980u);
}

}  // namespace
}  // namespace kernel
