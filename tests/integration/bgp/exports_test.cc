// What leaves a host, against real daemons: while pools and blocks change, whatever peers say, and through a route
// reflector in a cloud without pools.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sessions_fixture.h"

namespace bgp {
namespace {

using testing::HasSubstr;
using testing::Not;

class ExportsTest : public SessionsTest {
 protected:
  void SetUp() override {
    SessionsTest::SetUp();
    if (IsSkipped()) return;
    add_guest_interface("tap1");
  }

  static void add_guest_interface(const std::string& name) {
    run("ip link add " + name + " type veth peer name vm-" + name);
    run("ip link set vm-" + name + " up");
    run("ip link set " + name + " up");
  }

  void put_block(const std::string& name, bool there) {
    const std::string key = "/calico/ipam/v2/host/a/ipv4/block/" + name;
    if (there) return put(key, R"({"state":"confirmed"})");
    remove(key);
  }
  void remove(const std::string& key) {
    model::Decoder::Output out;
    decoder_.erase(key, out);
    for (model::Update& update : out.updates) runner_->apply(update);
  }

  // A member of the mesh "d", a router "b" of another AS with a route of pool `one` and one of none, and us.
  void start_beside_router(Neighbour& b, Neighbour& d, const std::string& more = "") {
    b.start_bird(text(router("192.0.2.12", "route 10.65.9.0/26 blackhole; route 10.66.9.0/26 blackhole;", more)));
    d.start_bird(text(member(14, "route 10.66.4.0/26 blackhole;")));
    put_peer("b", R"("peerIP":"192.0.2.12")");
    put("nodes/d", R"({"spec":{"bgp":{"ipv4Address":"192.0.2.14/24"}}})");
    put("ippools/one", R"({"spec":{"cidr":"10.65.0.0/16"}})");
    start();
  }

  // Session of the mesh or of an internal peer.
  static NeighbourConfig member(int number, const std::string& networks, const std::string& more = "") {
    return {.router_id = fmt::format("192.0.2.{}", number),
            .protocols = fmt::format("protocol bgp a from host {{ local 192.0.2.{} as 64512; "
                                     "neighbor 192.0.2.11 as 64512; {} }}",
                                     number, more),
            .networks = networks};
  }

  // What the neighbour has from us, without its own.
  static std::string learned(const Neighbour& neighbour) { return neighbour.birdc("show route protocol a"); }
  bool gets(const Neighbour& neighbour, const std::string& net) {
    return run_until([&] { return ("\n" + learned(neighbour)).find("\n" + net + " ") != std::string::npos; });
  }
  bool loses(const Neighbour& neighbour, const std::string& net) {
    return run_until([&] { return ("\n" + learned(neighbour)).find("\n" + net + " ") == std::string::npos; });
  }

  std::string log() const { return os::read_file(settings_.log_file).value_or(""); }
};

// One pool or block more re-evaluates this host's own routes, not every route for each session of the mesh.
TEST_F(ExportsTest, PoolsAndBlocksChangeWithoutTheMeshesFilters) {
  Neighbour& b = add_neighbour("b", 12);
  run("ip route add 10.65.3.7/32 dev tap1 proto 80");
  run("ip route add 10.66.0.9/32 dev tap1 proto 80");
  run("ip addr add 10.67.1.1/24 dev vm-tap1");  // a connected subnet, inside a pool later
  put("nodes/b", R"({"spec":{"bgp":{"ipv4Address":"192.0.2.12/24"}}})");
  put("ippools/one", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  b.start_bird(text(member(12, "")));
  start();
  ASSERT_TRUE(gets(b, "10.65.3.7/32"));
  EXPECT_THAT(learned(b), Not(HasSubstr("10.66.")));

  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16"}})");
  EXPECT_TRUE(gets(b, "10.66.0.9/32"));
  put_block("10.65.3.0-26", true);
  EXPECT_TRUE(gets(b, "10.65.3.0/26"));
  EXPECT_TRUE(loses(b, "10.65.3.7/32"));
  // A guest that is just moving here escapes its block, also one that comes while nothing else changes.
  run("ip route add 10.65.3.8/32 dev tap1 proto 80 metric 512");
  EXPECT_TRUE(gets(b, "10.65.3.8/32"));
  run("ip route add 10.65.3.9/32 dev tap1 proto 80");
  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16","disableBGPExport":true}})");
  EXPECT_TRUE(loses(b, "10.66.0.9/32"));
  EXPECT_THAT(learned(b), Not(HasSubstr("10.65.3.9/32")));
  put("ippools/three", R"({"spec":{"cidr":"10.67.0.0/16"}})");
  EXPECT_TRUE(gets(b, "10.67.1.0/24"));
  put_block("10.65.3.0-26", false);
  EXPECT_TRUE(gets(b, "10.65.3.7/32"));
  EXPECT_TRUE(loses(b, "10.65.3.0/26"));
  remove("/calico/resources/v3/projectcalico.org/ippools/three");
  EXPECT_TRUE(loses(b, "10.67.1.0/24"));

  EXPECT_THAT(log(), HasSubstr("Reloading channel kernel4.ipv4"));
  EXPECT_THAT(log(), Not(HasSubstr("Reloading channel Mesh_")));
  EXPECT_THAT(log(), Not(HasSubstr("Restarting protocol")));
  EXPECT_TRUE(established("Mesh_192_0_2_12"));
}

// A router can send its routes again: a pool costs that, and no look at the mesh's sessions.
TEST_F(ExportsTest, ARoutersRoutesGetTheirClassWhenTheyEnter) {
  Neighbour& b = add_neighbour("b", 12);
  Neighbour& d = add_neighbour("d", 14);
  start_beside_router(b, d);
  ASSERT_TRUE(gets(d, "10.65.9.0/26"));
  ASSERT_TRUE(run_until([&] { return config().find("import filter bgp_in4_classify;") != std::string::npos; }));
  ASSERT_TRUE(gets(d, "10.65.9.0/26"));
  const double since_b = since_of(b);
  const std::size_t before = log().size();

  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16","ipipMode":"Never"}})");
  EXPECT_TRUE(gets(d, "10.66.9.0/26"));
  EXPECT_TRUE(gets(b, "10.66.4.0/26"));  // from the mesh to the router
  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16","disableBGPExport":true}})");
  EXPECT_TRUE(loses(d, "10.66.9.0/26"));
  EXPECT_TRUE(loses(b, "10.66.4.0/26"));
  EXPECT_THAT(learned(d), HasSubstr("10.65.9.0/26"));
  EXPECT_THAT(log().substr(before), HasSubstr("Reloading channel Global_192_0_2_12"));
  EXPECT_THAT(log().substr(before), Not(HasSubstr("Reloading channel Mesh_")));
  EXPECT_TRUE(is_session_since(b, since_b));
}

// One that cannot keeps its session all the same.
TEST_F(ExportsTest, ARouterWithoutRouteRefreshIsNotRestarted) {
  Neighbour& b = add_neighbour("b", 12);
  Neighbour& d = add_neighbour("d", 14);
  start_beside_router(b, d, "enable route refresh off;");
  ASSERT_TRUE(gets(d, "10.65.9.0/26"));
  const double since = since_of(b);
  put("ippools/two", R"({"spec":{"cidr":"10.66.0.0/16"}})");
  EXPECT_TRUE(gets(d, "10.66.9.0/26"));
  EXPECT_THAT(config(), Not(HasSubstr("import filter bgp_in4_classify;")));
  EXPECT_TRUE(is_session_since(b, since));
}

// Where routes of others are passed on, pools decide about them, too, and no peer can say otherwise.
TEST_F(ExportsTest, APeerCannotMarkItsRoutes) {
  Neighbour& b = add_neighbour("b", 12);
  Neighbour& c = add_neighbour("c", 13);
  Neighbour& d = add_neighbour("d", 14);
  const std::string networks =
      "route 10.99.1.0/24 blackhole; route 10.65.9.0/26 blackhole; route 10.98.0.0/16 blackhole;";
  NeighbourConfig marking = router("192.0.2.12", networks,
                                   "ipv4 { export filter { if source != RTS_STATIC then reject; "
                                   "calico_export = 1; calico_prio = 1; accept; }; };");
  marking.protocols = "attribute int calico_export; attribute int calico_prio;\n" + marking.protocols;
  b.start_bird(text(marking));
  c.start_bird(text(router("192.0.2.13", "")));
  d.start_bird(text(member(14, "")));
  put_peer("b", R"("peerIP":"192.0.2.12")");
  put_peer("c", R"("peerIP":"192.0.2.13")");
  put("nodes/d", R"({"spec":{"bgp":{"ipv4Address":"192.0.2.14/24"}}})");
  put("ippools/one", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  put("ippools/two", R"({"spec":{"cidr":"10.98.0.0/15","disableBGPExport":true}})");
  start();
  ASSERT_TRUE(run_until([&] { return has_route("10.99.1.0/24"); }));
  ASSERT_TRUE(gets(d, "10.65.9.0/26"));  // from the router into the mesh
  EXPECT_THAT(learned(d), Not(HasSubstr("10.99.1.0/24")));
  EXPECT_THAT(learned(d), Not(HasSubstr("10.98.0.0/16")));
  const std::string marked = run("birdc -s " + options_.socket_path + " show route all 10.99.1.0/24");
  // Once the router is known to send its routes again, they carry a class: ours, not the peer's.
  EXPECT_THAT(marked, Not(HasSubstr("calico_export: 1")));
  EXPECT_THAT(marked, Not(HasSubstr("calico_prio")));
  // Here a pool does change what each session gets of the routes of others.
  put("ippools/two", R"({"spec":{"cidr":"10.98.0.0/15"}})");
  EXPECT_TRUE(gets(d, "10.98.0.0/16"));
  EXPECT_TRUE(gets(d, "10.99.1.0/24"));
}

// Protocols in the operator's own file announce what pools allow, although nothing has classified it.
TEST_F(ExportsTest, RoutesOfTheOperatorsProtocolsLeaveByPool) {
  Neighbour& b = add_neighbour("b", 12);
  b.start_bird(text(member(12, "")));
  directory_.write("local.conf",
                   "protocol static mine { ipv4; route 10.65.200.0/24 blackhole; route 10.200.0.0/24 blackhole; }\n");
  put("nodes/b", R"({"spec":{"bgp":{"ipv4Address":"192.0.2.12/24"}}})");
  put("ippools/one", R"({"spec":{"cidr":"10.65.0.0/16"}})");
  start();
  ASSERT_TRUE(gets(b, "10.65.200.0/24"));
  EXPECT_THAT(learned(b), Not(HasSubstr("10.200.0.0/24")));
}

// OpenStack's host routes, no IPPool anywhere: the reflector is a host of the cloud.
TEST_F(ExportsTest, AReflectorWithoutPoolsReflects) {
  Neighbour& b = add_neighbour("b", 12);
  Neighbour& c = add_neighbour("c", 13);
  Neighbour& d = add_neighbour("d", 14);
  // b is a compute node, c the gateway to the outside, d a router of another AS.
  b.start_bird(text(member(12, "route 10.65.3.7/32 blackhole;")));
  c.start_bird(
      text(member(13, "route 0.0.0.0/0 blackhole; route 10.65.4.8/32 blackhole; route 198.18.0.0/15 blackhole;")));
  d.start_bird(text(router("192.0.2.14", "route 203.0.113.77/32 blackhole;")));
  put("nodes/a", R"({"metadata":{"labels":{"reflector":""}},)"
                 R"("spec":{"bgp":{"ipv4Address":"192.0.2.11/24","routeReflectorClusterID":"10.0.0.1"}}})");
  for (const char* node : {"b", "c"}) {
    put(std::string("nodes/") + node, fmt::format(R"({{"metadata":{{"labels":{{"client":""}}}},)"
                                                  R"("spec":{{"bgp":{{"ipv4Address":"192.0.2.{}/24"}}}}}})",
                                                  node == std::string("b") ? 12 : 13));
  }
  put("bgppeers/clients", R"j({"spec":{"nodeSelector":"has(reflector)","peerSelector":"has(client)"}})j");
  put_peer("router", R"("peerIP":"192.0.2.14","node":"a")");
  run("ip route add 10.65.5.5/32 dev tap1 proto 80");
  start();
  EXPECT_TRUE(gets(c, "10.65.3.7/32"));
  EXPECT_TRUE(gets(b, "10.65.4.8/32"));
  EXPECT_TRUE(gets(b, "10.65.5.5/32"));  // a guest of the reflector itself
  EXPECT_TRUE(gets(b, "0.0.0.0/0"));     // the gateway's
  EXPECT_TRUE(gets(b, "203.0.113.77/32"));
  EXPECT_TRUE(gets(d, "10.65.3.7/32"));
  EXPECT_TRUE(gets(d, "10.65.5.5/32"));
  EXPECT_THAT(learned(d), Not(HasSubstr("0.0.0.0/0")));
  EXPECT_THAT(learned(d), Not(HasSubstr("198.18.0.0/15")));
  EXPECT_THAT(b.birdc("show route all 10.65.4.8/32"), HasSubstr("BGP.next_hop: 192.0.2.13"));
  EXPECT_THAT(b.birdc("show route all 10.65.4.8/32"), HasSubstr("BGP.cluster_list: 10.0.0.1"));

  // As soon as there is a pool, pools decide.
  put("ippools/one", R"({"spec":{"cidr":"10.65.3.0/24"}})");
  EXPECT_TRUE(loses(b, "0.0.0.0/0"));
  EXPECT_TRUE(loses(b, "10.65.4.8/32"));
  EXPECT_TRUE(gets(c, "10.65.3.7/32"));
}

}  // namespace
}  // namespace bgp
