#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/box_table.h"
#include "cli/commands_fixture.h"
#include "ipam/ipam.h"

namespace cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST(BoxTable, LooksLikeCalicoctls) {
  EXPECT_EQ(box_table({"GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE"},
                      {{"IP Pool", "10.65.0.0/16", "65536", "5 (0%)", "65531 (100%)"}}),
            "+----------+--------------+-----------+------------+--------------+\n"
            "| GROUPING |     CIDR     | IPS TOTAL | IPS IN USE |   IPS FREE   |\n"
            "+----------+--------------+-----------+------------+--------------+\n"
            "| IP Pool  | 10.65.0.0/16 |     65536 | 5 (0%)     | 65531 (100%) |\n"
            "+----------+--------------+-----------+------------+--------------+\n");
  EXPECT_EQ(box_table({"A"}, {}), "+---+\n| A |\n+---+\n+---+\n");
  EXPECT_EQ(box_table({"X"}, {{"-1,234.5"}, {"1,23"}, {"12.x"}, {"1.2089e+24"}}),
            "+------------+\n|     X      |\n+------------+\n|   -1,234.5 |\n| 1,23       |\n| 12.x       |\n"
            "| 1.2089e+24 |\n+------------+\n");
  EXPECT_EQ(box_table({"X"}, {{"Received: Administrative shutdown by the peer"}}),
            "+--------------------------+\n|            X             |\n+--------------------------+\n"
            "| Received: Administrative |\n| shutdown by the peer     |\n+--------------------------+\n");
}

class IpamCommands : public Commands {
 protected:
  IpamCommands() : blocking_(environment_.memory()) {
    put_raw("clusterinformations/default",
            R"({"metadata":{"name":"default"},"spec":{"clusterGUID":"0123","datastoreReady":true}})");
    for (const char* node : {"cmp01", "cmp02"})
      put_raw(std::string("nodes/") + node, std::string(R"({"metadata":{"name":")") + node + R"("},"spec":{}})");
  }
  void put_pool(const std::string& name, const std::string& cidr, const std::string& more = "") {
    put_raw("ippools/" + name,
            R"({"metadata":{"name":")" + name + R"("},"spec":{"cidr":")" + cidr + "\"" + more + "}}");
  }
  ipam::Ipam ipam() {
    return ipam::Ipam(blocking_, {.wall = [this] { return environment_.wall(); },
                                  .now = [this] { return environment_.now(); },
                                  .jitter = [] { return 0.5; },
                                  .pause = [this](base::Duration pause) { environment_.pause(pause); }});
  }
  std::vector<base::IpAddress> assign(const std::string& host, std::size_t count, const std::string& handle,
                                      ipam::Attributes attributes = {}) {
    const auto assigned =
        ipam().auto_assign({.host = host, .count = count, .handle = handle, .attributes = std::move(attributes)});
    EXPECT_TRUE(assigned) << assigned.error().text();
    return assigned ? assigned->addresses : std::vector<base::IpAddress>{};
  }
  void set_ready(bool ready) {
    put_raw("clusterinformations/default",
            std::string(R"({"metadata":{"name":"default"},"spec":{"clusterGUID":"0123",)") + R"("datastoreReady":)" +
                (ready ? "true" : "false") + "}}");
  }

  store::BlockingStore blocking_;
};

TEST_F(IpamCommands, Groups) {
  EXPECT_EQ(run_command({"ipam"}), "Usage:\n  percalectl ipam <command> [<args>...]\n");
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(run_command({"ipam", "nonsense"}), HasSubstr("configure"));
  EXPECT_EQ(status_, 1);
  EXPECT_THAT(run_command({"ipam", "--help"}), HasSubstr("split"));
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(run_command({"ipam", "show", "--nonsense"}), StartsWith("Usage:\n  percalectl ipam show"));
  EXPECT_THAT(run_command({"help"}), HasSubstr("    ipam "));
}

TEST_F(IpamCommands, LockAndUnlock) {
  EXPECT_EQ(run_command({"datastore", "migrate"}), "Usage:\n  percalectl datastore migrate <command> [<args>...]\n");
  EXPECT_THAT(run_command({"datastore", "--help"}), HasSubstr("    migrate "));
  EXPECT_THAT(run_command({"datastore", "migrate", "nonsense"}), HasSubstr("    unlock "));
  EXPECT_EQ(run_command({"datastore", "migrate", "lock"}), "Datastore locked.\n");
  EXPECT_THAT(stored("clusterinformations/default"), HasSubstr(R"("datastoreReady":false)"));
  EXPECT_EQ(run_command({"datastore", "migrate", "unlock"}), "Datastore unlocked.\n");
  EXPECT_THAT(stored("clusterinformations/default"), HasSubstr(R"("datastoreReady":true)"));
}

TEST_F(IpamCommands, ShowUsage) {
  EXPECT_THAT(run_command({"ipam", "show"}), HasSubstr("GROUPING | CIDR"));
  put_pool("a", "10.65.0.0/16");
  put_pool("b", "10.66.0.0/16", R"(,"blockSize":29)");
  put_pool("six", "fd00::/48");
  assign("cmp01", 5, "h");
  const std::string shown = run_command({"ipam", "show"});
  EXPECT_THAT(shown, HasSubstr("| IP Pool  | 10.65.0.0/16 |      65536 | 5 (0%)     | 65531 (100%)      |"));
  EXPECT_THAT(shown, HasSubstr("| IP Pool  | fd00::/48    | 1.2089e+24 | 0 (0%)     | 1.2089e+24 (100%) |"));
  const std::string blocks = run_command({"ipam", "show", "--show-blocks"});
  EXPECT_THAT(blocks, HasSubstr("| 5 (8%)     | 59 (92%)"));
  EXPECT_THAT(blocks, HasSubstr("| Block    | 10.65."));
}

TEST_F(IpamCommands, ShowAnAddress) {
  put_pool("a", "10.65.0.0/26");
  assign("cmp01", 1, "ipip-tunnel-addr-cmp01", {{"node", "cmp01"}, {"type", "ipipTunnelAddress"}});
  EXPECT_EQ(run_command({"ipam", "show", "--ip=10.65.0.0"}),
            "IP 10.65.0.0 is in use\nHandle ID: ipip-tunnel-addr-cmp01\nActive Owner Attributes:\n  node: cmp01\n"
            "  type: ipipTunnelAddress\n");
  EXPECT_EQ(run_command({"ipam", "show", "--ip=10.65.0.9"}), "IP is not assigned\n");
  EXPECT_EQ(status_, 0);
  ASSERT_TRUE(ipam().assign_address({.address = *base::parse_address("10.65.0.2"), .host = "cmp01"}));
  EXPECT_EQ(run_command({"ipam", "show", "--ip", "10.65.0.2"}),
            "IP 10.65.0.2 is in use\nHandle ID: <none>\nNo Active Owner attributes defined\n");
  put_raw("workloadendpoints/openstack/x",
          R"({"metadata":{"name":"x","namespace":"openstack"},"spec":{"ipNetworks":["10.65.0.9/32"]}})");
  EXPECT_THAT(run_command({"ipam", "show", "--ip=10.65.0.9"}),
              HasSubstr("It belongs to WorkloadEndpoint(openstack/x)\n"));
  EXPECT_EQ(run_command({"ipam", "show", "--ip=10.65"}),
            "Error executing command: invalid IP address specified: 10.65\n");
  EXPECT_EQ(status_, 1);
}

TEST_F(IpamCommands, ShowBorrowed) {
  put_pool("a", "10.65.0.0/30", R"(,"blockSize":30)");
  assign("cmp01", 2, "h", {{"node", "cmp01"}});
  assign("cmp02", 1, "g", {{"node", "cmp02"}, {"namespace", "ns"}, {"pod", "p"}});
  ASSERT_TRUE(ipam().assign_address({.address = *base::parse_address("10.65.0.3"), .host = "cmp01"}));
  EXPECT_EQ(run_command({"ipam", "show", "--show-borrowed"}),
            "+-----------+----------------+--------------+-------------+------+--------------+\n"
            "|    IP     | BORROWING-NODE |    BLOCK     | BLOCK OWNER | TYPE | ALLOCATED-TO |\n"
            "+-----------+----------------+--------------+-------------+------+--------------+\n"
            "| 10.65.0.2 | cmp02          | 10.65.0.0/30 | cmp01       | pod  | ns/p         |\n"
            "+-----------+----------------+--------------+-------------+------+--------------+\n"
            "\nNote: found 1 IP allocations without an explicit node association. Unable to determine if they are "
            "borrowed.\n");
}

TEST_F(IpamCommands, Configure) {
  struct Case {
    std::vector<std::string> options;
    std::string_view output;
    int status;
  };
  const Case cases[] = {
      {{}, "at least one configuration option must be specified\n", 1},
      {{"--strictaffinity=maybe"}, "invalid value. Use true or false to set strictaffinity\n", 1},
      {{"--max-blocks-per-host=x"}, "invalid value for maxblockhost. Use a valid number\n", 1},
      {{"--kubevirt-ip-persistence=x"}, "invalid value for --kubevirt-ip-persistence. Use Enabled or Disabled\n", 1},
      {{"--max-blocks-per-host=5"}, "error: MaxBlocksPerHost requires StrictAffinity to be enabled\n", 1},
      {{"--strictaffinity=true", "--max-blocks-per-host=5"},
       "Successfully set StrictAffinity to: true\nSuccessfully set MaxBlocksPerHost to: 5\n",
       0},
      {{"--max-blocks-per-host=-1"}, "Successfully set MaxBlocksPerHost to: -1\n", 0},
      {{"--kubevirt-ip-persistence=Disabled"}, "Successfully set KubeVirtVMAddressPersistence to: Disabled\n", 0},
  };
  for (const Case& c : cases) {
    std::vector<std::string> words = {"ipam", "configure"};
    words.insert(words.end(), c.options.begin(), c.options.end());
    EXPECT_EQ(run_command(words), c.output);
    EXPECT_EQ(status_, c.status);
  }
  EXPECT_EQ(blocking_.get("/calico/ipam/v2/config")->value,
            R"({"strict_affinity":true,"auto_allocate_blocks":true,"maxBlocksPerHost":-1,)"
            R"("kubeVirtVMAddressPersistence":"Disabled"})");
  const std::string shown = run_command({"ipam", "show", "--show-configuration"});
  EXPECT_THAT(shown, HasSubstr("| StrictAffinity               | true     |"));
  EXPECT_THAT(shown, HasSubstr("| MaxBlocksPerHost             |       -1 |"));
}

TEST_F(IpamCommands, ReleaseAnAddress) {
  put_pool("a", "10.65.0.0/26");
  assign("cmp01", 1, "h");
  EXPECT_EQ(run_command({"ipam", "release"}), "");
  EXPECT_EQ(run_command({"ipam", "release", "--ip=10.65.0.0"}), "Successfully released IP address 10.65.0.0\n");
  EXPECT_EQ(run_command({"ipam", "release", "--ip=10.65.0.0"}), "IP address 10.65.0.0 is not assigned\n");
  EXPECT_EQ(status_, 1);
}

TEST_F(IpamCommands, CheckKnowsNeutronAndBothFamiliesOfTunnels) {
  put_pool("a", "10.65.0.0/26");
  put_pool("six", "fd00::/122");
  assign("cmp01", 1, "t", {{"node", "cmp01"}});
  const auto six = ipam().auto_assign({.host = "cmp01", .family = base::Family::kIpv6, .handle = "t6"});
  put_raw("nodes/cmp01", R"({"metadata":{"name":"cmp01"},"spec":{"bgp":{"ipv4IPIPTunnelAddr":"10.65.0.0"},)"
                         R"("ipv6VXLANTunnelAddr":")" +
                             base::to_string(six->addresses.front()) + "\"}}");
  put_raw("nodes/cmp02", R"({"metadata":{"name":"cmp02"},"spec":{"ipv4VXLANTunnelAddr":"10.65.0.40"}})");
  put_raw("workloadendpoints/openstack/x", R"({"metadata":{"name":"x","namespace":"openstack"},)"
                                           R"("spec":{"orchestrator":"openstack","ipNetworks":["10.65.0.9/32"]}})");
  put_raw("workloadendpoints/default/y", R"({"metadata":{"name":"y","namespace":"default"},)"
                                         R"("spec":{"orchestrator":"cni","ipNetworks":["10.9.0.9/32"]}})");
  const std::string report = run_command({"ipam", "check", "--show-problem-ips"});
  EXPECT_EQ(report,
            "Checking IPAM for inconsistencies...\n\n"
            "Loading all IPAM blocks...\nFound 2 IPAM blocks.\n"
            " IPAM block 10.65.0.0/26 affinity=host:cmp01:\n IPAM block fd00::/122 affinity=host:cmp01:\n"
            "IPAM blocks record 2 allocations.\n\n"
            "Loading all IPAM pools...\n  10.65.0.0/26\n  fd00::/122\nFound 2 active IP pools.\n\n"
            "Loading all nodes.\nFound 3 node tunnel IPs.\n\n"
            "Loading all workload endpoints.\nFound 1 workload IPs.\n"
            "Found 1 workload IPs managed by Neutron (not expected in IPAM).\n"
            "Workloads and nodes are using 5 IPs.\n\n"
            "Loading all handles\nLooking for top (up to 20) nodes by allocations...\n  cmp01 has 2 allocations\n"
            "Node with most allocations has 2; median is 2\n\n"
            "Scanning for IPs that are allocated but not actually in use...\n"
            "Found 0 IPs that are allocated in IPAM but not actually in use.\n"
            "Scanning for IPs that are in use by a workload or node but not allocated in IPAM...\n"
            "  10.9.0.9 in use by Workload(default/y) is not in any active IP pool.\n"
            "  10.65.0.40 in use by Node(cmp02) and in active IPAM pool but has no IPAM allocation.\n"
            "Found 1 in-use IPs that are not in active IP pools.\n"
            "Found 1 in-use IPs that are in active IP pools but have no corresponding IPAM allocation.\n\n"
            "Scanning for IPAM handles with no matching IPs...\n"
            "Found 0 handles with no matching IPs (and 2 handles with matches).\n"
            "Scanning for IPs with missing handle...\n"
            "Found 0 handles mentioned in blocks with no matching handle resource.\n"
            "Check complete; found 2 problems.\n");
}

TEST_F(IpamCommands, ReportIsReleasedOnceAndOnlyWhileItHolds) {
  put_pool("a", "10.65.0.0/26");
  assign("cmp01", 2, "lost");
  ASSERT_TRUE(blocking_.put("/calico/ipam/v2/handle/empty", R"({"block":{},"deleted":false})"));
  ASSERT_TRUE(blocking_.put("/calico/ipam/v2/handle/changes", R"({"block":{},"deleted":false})"));
  run_command({"ipam", "check", "-o", "/r1"});
  const std::vector<std::string> release = {"ipam", "release", "--from-report=/r1"};
  EXPECT_EQ(run_command(release), "data store is not locked. Either lock the data store, or re-run with --force\n");
  set_ready(false);
  EXPECT_THAT(run_command(release), HasSubstr("the provided reports are all stale"));
  run_command({"ipam", "check", "-o", "/r2"});
  EXPECT_THAT(environment_.machine.files_["/r2"], HasSubstr("\"datastoreLocked\": true"));
  EXPECT_THAT(environment_.machine.files_["/r2"], HasSubstr("\"sequenceNumber\": 1768472430000000000"));
  ASSERT_TRUE(blocking_.put("/calico/ipam/v2/handle/changes", R"({"block":{},"deleted":false})"));
  EXPECT_EQ(run_command({"ipam", "release", "--from-report=/r1", "--from-report=/r2"}),
            "Releasing 2 old IPs...\nReleased 2 IPs successfully\nDeleting 2 handles...\n"
            "Key: '.' = Deleted OK; 'x' = skip, handle missing/changed.\nx.\n"
            "Released 1 handles; 1 skipped; 0 errors.\nYou may now unlock the data store.\n");
  EXPECT_EQ(status_, 0);
  EXPECT_THAT(run_command({"ipam", "release", "--from-report=/r2"}),
              HasSubstr("An error occurred while releasing some IPs: update conflict: 10.65.0.0."));
  std::string foreign = environment_.machine.files_["/r2"];
  foreign.replace(foreign.find("0123"), 4, "4567");
  environment_.machine.files_["/r3"] = foreign;
  EXPECT_THAT(run_command({"ipam", "release", "--from-report=/r3", "--force"}), HasSubstr("mismatched cluster GUID"));
}

TEST_F(IpamCommands, Split) {
  put_pool("big", "10.65.0.0/24", R"(,"ipipMode":"Always")");
  EXPECT_THAT(run_command({"ipam", "split", "4"}), StartsWith("no name or CIDR provided"));
  EXPECT_THAT(run_command({"ipam", "split", "4", "--name=big"}), StartsWith("datastore is not locked."));
  set_ready(false);
  EXPECT_THAT(run_command({"ipam", "split", "4", "--name=x"}), StartsWith("unable to find IP pool with name x: "));
  EXPECT_EQ(run_command({"ipam", "split", "4", "--cidr=10.0.0.0/8"}),
            "unable to find IP pool  covering the specified CIDR 10.0.0.0/8\n");
  EXPECT_EQ(run_command({"ipam", "split", "3", "--name=big"}),
            "error splitting the CIDR 10.65.0.0/24 into 3 CIDRs: number to split CIDR into is not a valid power of 2: "
            "3\n");
  EXPECT_THAT(run_command({"ipam", "split", "512", "--name=big"}),
              HasSubstr("is not large enough to be split into 512"));
  EXPECT_THAT(run_command({"ipam", "split", "8", "--name=big"}), HasSubstr("IP pool size is too small"));
  EXPECT_THAT(stored("ippools/big"), Not(HasSubstr("disabled"))) << "a refused split changes nothing";
  EXPECT_EQ(run_command({"ipam", "split", "2", "--cidr=10.65.0.0/24"}),
            "IP Pool big was successfully split into 2 smaller pools.Created split-big-0 with CIDR 10.65.0.0/25\n"
            "Created split-big-1 with CIDR 10.65.0.128/25\nPlease refer to the documentation for final steps.");
  EXPECT_EQ(stored("ippools/big"), "");
  EXPECT_THAT(stored("ippools/split-big-1"), HasSubstr(R"("cidr":"10.65.0.128/25")"));
  EXPECT_THAT(stored("ippools/split-big-1"), HasSubstr(R"("ipipMode":"Always")"));
  EXPECT_THAT(stored("ippools/split-big-1"), Not(HasSubstr("disabled")));
}

TEST_F(IpamCommands, DeletingANodeReleasesWhatItHad) {
  put_pool("a", "10.65.0.0/26");
  const auto tunnel = assign("cmp01", 1, "t", {{"node", "cmp01"}}).front();
  const auto guest = assign("cmp01", 1, "g", {{"node", "cmp01"}}).front();
  const auto other = assign("cmp02", 1, "o", {{"node", "cmp02"}}).front();
  put_raw("nodes/cmp01",
          R"({"metadata":{"name":"cmp01"},"spec":{"ipv4VXLANTunnelAddr":")" + base::to_string(tunnel) + "\"}}");
  put_raw("workloadendpoints/default/y", R"({"metadata":{"name":"y","namespace":"default"},)"
                                         R"("spec":{"node":"cmp01","ipNetworks":[")" +
                                             base::to_string(guest) + "/32\"]}}");
  run_command({"delete", "node", "cmp01", "--dry-run"});
  EXPECT_TRUE(blocking_.get("/calico/ipam/v2/handle/t"));
  EXPECT_EQ(run_command({"delete", "node", "cmp01"}), "Successfully deleted 1 'Node' resource(s)\n");
  EXPECT_FALSE(blocking_.get("/calico/ipam/v2/handle/t"));
  EXPECT_FALSE(blocking_.get("/calico/ipam/v2/handle/g"));
  EXPECT_EQ(blocking_.list("/calico/ipam/v2/host/cmp01/")->items.size(), 0U);
  EXPECT_TRUE((*ipam().block_of(other))->block.owner_of(other));
}

TEST_F(IpamCommands, DeletingAPoolFreesItsBlocks) {
  put_pool("a", "10.65.0.0/26");
  assign("cmp01", 1, "h");
  run_command({"delete", "ippool", "a"});
  EXPECT_EQ(status_, 0);
  EXPECT_EQ(blocking_.list("/calico/ipam/v2/host/")->items.size(), 0U);
  EXPECT_EQ(ipam().blocks()->size(), 1U) << "still holds an address";
}

}  // namespace
}  // namespace cli
