#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/commands_fixture.h"

namespace cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class NodeCommands : public Commands {
 protected:
  NodeCommands() {
    const auto at = [](std::string_view text) { return *base::parse_interface_cidr(text); };
    environment_.machine.interfaces_ = {{1, "lo", true, {at("127.0.0.1/8")}},
                                        {2, "eth0", true, {at("192.0.2.11/24"), at("2001:db8::11/64")}}};
  }
};

TEST_F(NodeCommands, InitWritesTheNodeOnceAndTwice) {
  EXPECT_EQ(run_command({"node", "init"}),
            "Node test-host: created\n  IPv4 address 192.0.2.11/24 (found on eth0)\n  AS number of the cluster\n"
            "Node name written to /var/lib/calico/nodename\n");
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(stored("nodes/test-host"), HasSubstr(R"("spec":{"bgp":{"ipv4Address":"192.0.2.11/24"}})"));
  const std::string before = stored("nodes/test-host");
  EXPECT_EQ(run_command({"node", "init"}),
            "Node test-host: unchanged\n  IPv4 address 192.0.2.11/24 (as stored)\n  AS number of the cluster\n");
  EXPECT_EQ(stored("nodes/test-host"), before);
  EXPECT_EQ(stored("ippools/default-ipv4-ippool"), "") << "no pool unless asked for";
  EXPECT_EQ(stored("felixconfigurations/default"), "");
}

TEST_F(NodeCommands, InitForOpenStackWithAPool) {
  const std::string first = run_command({"node", "init", "--openstack", "--pool", "10.65.0.0/16", "--as", "64513"});
  EXPECT_THAT(first, HasSubstr("Cluster: marked as openstack\n"
                               "IP pool default-ipv4-ippool: created, 10.65.0.0/16, ipipMode Always, vxlanMode Never, "
                               "natOutgoing false\nIPIP tunnel address 10.65."));
  EXPECT_THAT(stored("ippools/default-ipv4-ippool"), HasSubstr(R"("ipipMode":"Always")"));
  EXPECT_THAT(stored("nodes/test-host"), AllOf(HasSubstr(R"("asNumber":64513)"), HasSubstr("ipv4IPIPTunnelAddr")));
  EXPECT_THAT(stored("clusterinformations/default"), HasSubstr(R"("clusterType":"openstack")"));
  const std::string second = run_command({"node", "init", "--openstack", "--pool", "10.66.0.0/16"});
  EXPECT_THAT(second, HasSubstr("IP pool 10.66.0.0/16: not created, the cluster has IPv4 pools already "
                                "(default-ipv4-ippool)\n"));
  EXPECT_THAT(second, Not(HasSubstr("tunnel")));
  EXPECT_THAT(second, HasSubstr("AS number 64513"));
}

TEST_F(NodeCommands, InitGivesTunnelsAPoolOfTheirOwn) {
  const std::vector<std::string> command = {"node",         "init",          "--openstack", "--pool",
                                            "10.65.0.0/16", "--tunnel-pool", "10.99.0.0/20"};
  const std::string first = run_command(command);
  EXPECT_THAT(first, HasSubstr("IP pool default-ipv4-tunnels: created, 10.99.0.0/20, for tunnel addresses alone\n"
                               "IP pool default-ipv4-ippool: created, 10.65.0.0/16, ipipMode Always"));
  EXPECT_THAT(first, HasSubstr("IPIP tunnel address 10.99."));
  EXPECT_THAT(stored("ippools/default-ipv4-ippool"), HasSubstr(R"("allowedUses":["Workload"])"));
  EXPECT_THAT(stored("ippools/default-ipv4-tunnels"),
              AllOf(HasSubstr(R"("allowedUses":["Tunnel"])"), HasSubstr(R"("ipipMode":"Always")"),
                    HasSubstr(R"("cidr":"10.99.0.0/20")")));
  const std::string before = stored("ippools/default-ipv4-tunnels");
  EXPECT_THAT(run_command(command), HasSubstr("not created, the cluster has IPv4 pools already (default-ipv4-ippool)"));
  EXPECT_EQ(stored("ippools/default-ipv4-tunnels"), before);
}

// Between the two pools the first run was killed.
TEST_F(NodeCommands, InitFinishesWhatWasCutShort) {
  put_raw("ippools/default-ipv4-tunnels",
          R"({"metadata":{"name":"default-ipv4-tunnels"},"spec":{"cidr":"10.99.0.0/20","ipipMode":"Always",)"
          R"("allowedUses":["Tunnel"]}})");
  run_command({"node", "init", "--openstack", "--pool", "10.65.0.0/16", "--tunnel-pool", "10.99.0.0/20"});
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(stored("ippools/default-ipv4-ippool"), HasSubstr(R"("allowedUses":["Workload"])"));
}

TEST_F(NodeCommands, InitNeverChangesAnExistingCluster) {
  const std::string pool = R"({"metadata":{"name":"p"},"spec":{"cidr":"10.1.0.0/16","ipipMode":"CrossSubnet"}})";
  const std::string information =
      R"({"metadata":{"name":"default"},"spec":{"clusterGUID":"0123","clusterType":"k8s","datastoreReady":false}})";
  put_raw("ippools/p", pool);
  put_raw("clusterinformations/default", information);
  run_command({"node", "init", "--openstack", "--pool", "10.65.0.0/16", "--tunnel-pool", "10.99.0.0/20"});
  EXPECT_EQ(status_, 0);
  EXPECT_EQ(stored("ippools/p"), pool);
  EXPECT_EQ(stored("ippools/default-ipv4-ippool"), "");
  EXPECT_EQ(stored("ippools/default-ipv4-tunnels"), "");
  EXPECT_EQ(stored("clusterinformations/default"), information);
}

TEST_F(NodeCommands, InitTakesCalicosVariables) {
  environment_.variables.insert({{"NODENAME", "cmp07"},
                                 {"IP", "192.0.2.11"},
                                 {"IP6", "autodetect"},
                                 {"AS", "1.10"},
                                 {"CALICO_IPV4POOL_CIDR", "10.65.0.0/16"},
                                 {"CALICO_IPV4POOL_VXLAN", "cross-subnet"},
                                 {"CALICO_IPV4POOL_BLOCK_SIZE", "28"},
                                 {"CALICO_IPV6POOL_CIDR", "fd00:65::/64"}});
  const std::string output = run_command({"node", "init"});
  EXPECT_THAT(output, HasSubstr("  IPv4 address 192.0.2.11/24 (as given)\n  IPv6 address 2001:db8::11/64 (found on "
                                "eth0)\n  AS number 65546\n"));
  EXPECT_THAT(output, HasSubstr("vxlanMode CrossSubnet, natOutgoing true\n"));
  EXPECT_THAT(stored("nodes/cmp07"),
              HasSubstr(R"("interfaces":[{"name":"eth0","addresses":["192.0.2.11","2001:db8::11"]}])"));
  EXPECT_THAT(stored("ippools/default-ipv4-ippool"), HasSubstr(R"("blockSize":28)"));
  EXPECT_THAT(stored("ippools/default-ipv6-ippool"), HasSubstr("fd00:65::/64"));
}

TEST_F(NodeCommands, InitRefuses) {
  struct Case {
    std::vector<std::string> options;
    std::string_view output;
  };
  put_raw("nodes/other", R"({"metadata":{"name":"other"},"spec":{"bgp":{"ipv4Address":"192.0.2.50/24"}}})");
  const Case cases[] = {
      {{"--ip", "192.0.2.50"}, "IPv4 address conflict: node other has 192.0.2.50 already\n"},
      {{"--ip", "nonsense"}, "not an IPv4 address: 'nonsense'\n"},
      {{"--ip", "none"}, "no IPv4 or IPv6 addresses configured or detected, required for Calico networking\n"},
      {{"--as", "x"}, "Error executing command: invalid AS Number specified: x\n"},
      {{"--ip-autodetection-method", "magic"}, "Invalid IP autodetection method: magic\n"},
      {{"--ip-autodetection-method", "interface=wlan0"}, "cannot find the IPv4 address: no IPv4 address found"},
  };
  for (const Case& c : cases) {
    std::vector<std::string> words = {"node", "init"};
    words.insert(words.end(), c.options.begin(), c.options.end());
    EXPECT_THAT(run_command(words), StartsWith(c.output));
    EXPECT_EQ(status_, 1);
    EXPECT_EQ(stored("nodes/test-host"), "");
  }
  EXPECT_THAT(run_command({"node", "init", "--ip", "192.0.2.50", "--skip-address-check"}), StartsWith("Node"));
  EXPECT_THAT(run_command({"node", "init", "--name", "p", "--ip", "192.0.2.51", "--pool", "10.0.0.0/8", "--ipip", "x"}),
              HasSubstr("no such encapsulation mode: x"));
  const std::vector<std::string> tunnels = {"node", "init", "--ip", "192.0.2.11", "--tunnel-pool", "10.99.0.0/20"};
  EXPECT_THAT(run_command(tunnels), HasSubstr("--tunnel-pool goes with a pool of the same IP version (--pool)"));
  std::vector<std::string> plain = tunnels;
  plain.insert(plain.end(), {"--pool", "10.65.0.0/16"});
  EXPECT_THAT(run_command(plain), HasSubstr("the pool uses no tunnel; give --ipip or --vxlan"));
  EXPECT_EQ(stored("ippools/default-ipv4-ippool"), "");
}

// --- status ---

constexpr std::string_view kStatus =
    "1000-BIRD 2.0.12\n1011-Router ID is 192.0.2.11\n Last reboot on 2026-02-01 08:00:00\n"
    " Last reconfiguration on 2026-02-03 10:00:00\n0013 Daemon is up and running\n";
constexpr std::string_view kProtocols =
    "2002-Name       Proto      Table      State  Since         Info\n"
    "1002-kernel4    Kernel     master4    up     10:00:01      \n"
    "1006-  Channel ipv4\n \n"
    "1002-Mesh_10_1_0_6 BGP        ---        up     08:15:02      Established   \n"
    "1006-  BGP state:          Established\n     Neighbor address: 10.1.0.6\n \n"
    "1002-Global_10_1_0_254_port_1179 BGP        ---        start  08:16:40      Active        Socket: Connection "
    "refused\n"
    "1006-  BGP state:          Active\n     Neighbor address: 10.1.0.254\n \n"
    "1002-N1         BGP        ---        start  08:16:41      Idle          BGP Error: Bad peer AS\n"
    "1006-  BGP state:          Idle\n     Neighbor address: fd00::9\n \n"
    "0000 \n";

class NodeStatus : public NodeCommands {
 protected:
  NodeStatus() {
    environment_.machine.processes_ = {{1, {"/usr/bin/percaled"}, "/usr/bin/percaled"},
                                       {2, {"/usr/sbin/bird", "-u", "bird"}, "/usr/sbin/bird"}};
    environment_.machine.bird_ = {{{kSocket, "show status"}, std::string(kStatus)},
                                  {{kSocket, "show protocols all"}, std::string(kProtocols)},
                                  {{kSocket, "show route all"}, kRoutes}};
  }
  const std::string kSocket = "/var/run/bird/bird.ctl";
  const std::string kRoutes =
      "1007-Table master4:\n 10.65.7.0/26         unicast [Mesh_10_1_0_6 10:00:05] * (100) [i]\n"
      " \tvia 10.1.0.6 on eth0\n1008-\tType: BGP univ\n1012-\tBGP.origin: IGP\n"
      "1007-10.65.3.0/26         blackhole [blocks4 10:00:01] * (200)\n0000 \n";
};

TEST_F(NodeStatus, TableOfBird2) {
  EXPECT_EQ(run_command({"node", "status"}),
            "Calico process is running.\n\n"
            "IPv4 BGP status\n"
            "+-----------------+-------------------+-------+----------+---------------------------+\n"
            "|  PEER ADDRESS   |     PEER TYPE     | STATE |  SINCE   |           INFO            |\n"
            "+-----------------+-------------------+-------+----------+---------------------------+\n"
            "| 10.1.0.6        | node-to-node mesh | up    | 08:15:02 | Established               |\n"
            "| 10.1.0.254:1179 | global            | start | 08:16:40 | Active Socket: Connection |\n"
            "|                 |                   |       |          | refused                   |\n"
            "+-----------------+-------------------+-------+----------+---------------------------+\n"
            "\nIPv6 BGP status\n"
            "+--------------+-----------+-------+----------+-----------------------------+\n"
            "| PEER ADDRESS | PEER TYPE | STATE |  SINCE   |            INFO             |\n"
            "+--------------+-----------+-------+----------+-----------------------------+\n"
            "| fd00::9      | -         | start | 08:16:41 | Idle BGP Error: Bad peer AS |\n"
            "+--------------+-----------+-------+----------+-----------------------------+\n\n");
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(run_command({"node", "status", "--routes"}),
              HasSubstr("| 10.65.7.0/26 | 10.1.0.6 | eth0      | Mesh_10_1_0_6 | FIB  |"));
}

TEST_F(NodeStatus, BfdWhereItRuns) {
  EXPECT_THAT(run_command({"node", "status", "-o", "json"}), Not(HasSubstr("bfd")));
  std::string protocols(kProtocols);
  protocols.insert(protocols.find("1002-N1"),
                   "1002-calico_bfd BFD        ---        up     10:00:01      \n1006-\n \n");
  environment_.machine.bird_[{kSocket, "show protocols all"}] = protocols;
  environment_.machine.bird_[{kSocket, "show bfd sessions"}] =
      "1020-calico_bfd:\n IP address                Interface  State      Since         Interval  Timeout\n"
      " 10.1.0.254                ---        Down       08:16:40        1.000    0.000\n"
      " 10.1.0.6                  eth0       Up         08:15:02        0.300    0.900\n0000 \n";
  const std::string text = run_command({"node", "status"});
  EXPECT_THAT(text, HasSubstr("BFD sessions\n"
                              "+--------------+-----------+-------+----------+----------+---------+\n"
                              "| PEER ADDRESS | INTERFACE | STATE |  SINCE   | INTERVAL | TIMEOUT |\n"
                              "+--------------+-----------+-------+----------+----------+---------+\n"
                              "| 10.1.0.254   | -         | Down  | 08:16:40 |    1.000 |   0.000 |\n"
                              "| 10.1.0.6     | eth0      | Up    | 08:15:02 |    0.300 |   0.900 |\n"));
  EXPECT_EQ(text.find("BFD sessions"), text.rfind("BFD sessions"));  // none of IPv6
  EXPECT_THAT(run_command({"node", "status", "-o", "json"}), HasSubstr("\"state\": \"Down\""));
}

TEST_F(NodeStatus, Resource) {
  const std::string yaml = run_command({"node", "status", "-o", "resource"});
  EXPECT_THAT(yaml,
              StartsWith("apiVersion: projectcalico.org/v3\nkind: CalicoNodeStatus\nmetadata:\n  name: test-host\n"));
  EXPECT_THAT(yaml,
              HasSubstr("    numberEstablishedV4: 1\n    numberEstablishedV6: 0\n    numberNotEstablishedV4: 1\n"));
  EXPECT_THAT(yaml, HasSubstr("    - peerIP: 10.1.0.254\n      since: \"08:16:40\"\n      state: Active\n"
                              "      type: GlobalPeer\n"));
  EXPECT_THAT(yaml, HasSubstr("    - destination: 10.65.3.0/26\n      gateway: N/A\n      interface: blackhole\n"));
  EXPECT_THAT(yaml, HasSubstr("        peerIP: 10.1.0.6\n        sourceType: NodeMesh\n"));
  EXPECT_THAT(yaml, HasSubstr("lastReconfigurationTime: \"2026-02-03 10:00:00\""));
}

TEST_F(NodeStatus, FillsInTheObjectsThatAsk) {
  EXPECT_EQ(run_command({"node", "status", "--report"}), "No CalicoNodeStatus asks for the state of test-host.\n");
  run_command({"create", "-f", "-"},
              "apiVersion: projectcalico.org/v3\nkind: CalicoNodeStatus\nmetadata: {name: mine}\n"
              "spec: {node: test-host, classes: [Agent, BGP], updatePeriodSeconds: 0}\n---\n"
              "apiVersion: projectcalico.org/v3\nkind: CalicoNodeStatus\nmetadata: {name: other}\n"
              "spec: {node: other, classes: [BGP], updatePeriodSeconds: 10}\n");
  ASSERT_EQ(status_, 0) << environment_.output;
  EXPECT_EQ(run_command({"node", "status", "--report"}), "CalicoNodeStatus(mine): updated\n");
  EXPECT_THAT(stored("caliconodestatuses/mine"), HasSubstr(R"("peersV4":[{"peerIP":"10.1.0.6","type":"NodeMesh",)"));
  EXPECT_THAT(stored("caliconodestatuses/mine"), HasSubstr(R"("routes":{})"));
  EXPECT_THAT(stored("caliconodestatuses/other"), Not(HasSubstr("peersV4")));
  EXPECT_EQ(run_command({"node", "status", "--report"}), "CalicoNodeStatus(mine): unchanged\n");
}

TEST_F(NodeStatus, WhatIsMissing) {
  environment_.machine.bird_.clear();
  EXPECT_THAT(run_command({"node", "status"}),
              HasSubstr("Error querying BIRD: unable to connect to BIRDv4 socket: connect to"));
  environment_.machine.processes_.pop_back();
  EXPECT_EQ(run_command({"node", "status"}),
            "Calico process is running.\n\nThe BGP backend process (BIRD) is not running.\n\n");
  EXPECT_EQ(status_, 0);
  environment_.machine.processes_.clear();
  EXPECT_EQ(run_command({"node", "status"}), "Calico process is not running.\n");
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(run_command({"node", "status", "-o", "json"}), HasSubstr("\"running\": false"));
}

// --- checksystem ---

TEST_F(NodeCommands, ChecksystemOnAGoodHost) {
  put_raw("nodes/other", R"({"metadata":{"name":"other"},"spec":{"bgp":{"ipv4Address":"192.0.2.50/24"}}})");
  const std::string output = run_command({"--datastore", "dir:/nowhere", "node", "checksystem"});
  EXPECT_EQ(status_, 0) << output;
  EXPECT_THAT(output, HasSubstr("Checking kernel modules...\n\t\tnf_conntrack_netlink\t\t\t\t\tOK\n"));
  EXPECT_THAT(output, HasSubstr("\t\tTCP 179 to other    \t\t\t\t\tOK\n"));
  EXPECT_THAT(output, ::testing::EndsWith("System meets minimum system requirements to run Calico!\n"));
}

TEST_F(NodeCommands, ChecksystemSaysWhatIsMissingAndWhatToDo) {
  environment_.probes.trials_[node::Facility::kIpip] = {node::Trial::Outcome::kFails, "not supported"};
  const std::string output = run_command({"--datastore", "dir:/nowhere", "node", "checksystem"});
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(output, HasSubstr("\t\tipip                \t\t\t\t\tFAIL\n\t\t    not supported\n\t\t    What to do: "
                                "modprobe ipip"));
  EXPECT_THAT(output,
              ::testing::EndsWith("system doesn't meet one or more minimum systems requirements to run Calico\n"));
  EXPECT_THAT(run_command({"--datastore", "dir:/nowhere", "node", "checksystem", "-o", "json"}),
              HasSubstr("\"requirementsMet\": false"));
  environment_.probes.trials_ = {{node::Facility::kIp6Tables, {node::Trial::Outcome::kFails, "no"}}};
  EXPECT_THAT(run_command({"--datastore", "dir:/nowhere", "node", "checksystem"}),
              HasSubstr("WARNING: IPv6 will be unavailable as ip6_tables kernel module is not found\n"));
  EXPECT_EQ(status_, 0);
}

}  // namespace
}  // namespace cli
