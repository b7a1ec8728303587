#include <set>
#include <span>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/symbol.h"
#include "lab/capture.h"
#include "lab/matrix.h"
#include "lab/plan.h"
#include "lab/resources.h"
#include "lab/route_watch.h"
#include "lab/router.h"
#include "lab/tunnel.h"
#include "lab/verdicts.h"
#include "model/decoder.h"

namespace lab {
namespace {

using testing::HasSubstr;

std::vector<store::KeyValue> stored(const std::vector<Record>& records) {
  std::vector<store::KeyValue> items;
  for (const Record& record : records) items.push_back({.key = record.key, .value = record.value});
  return items;
}

std::vector<Record> usual_records(const Plan& plan) {
  const SecurityGroup group = make_group("default");
  std::vector<Record> records = cluster_records(plan);
  records.push_back(group_policy(group, default_rules(group)));
  for (const Guest& guest : plan.guests) records.push_back(workload_endpoint(guest, {group}));
  return records;
}

TEST(Plan, NamesAndAddressesAreUnique) {
  const Plan plan = standard_plan();
  std::set<std::string> seen;
  for (const Guest& guest : plan.guests) {
    for (const std::string& one :
         {guest.name, guest.tap, guest.mac, guest.port_id, base::to_string(guest.v4), base::to_string(guest.v6)}) {
      EXPECT_TRUE(seen.insert(one).second) << one;
    }
    EXPECT_EQ(guest.tap.size(), 14u);
    EXPECT_NE(plan.host(guest.host), nullptr);
  }
  EXPECT_EQ(plan.host("A"), plan.host("host-a"));
  EXPECT_EQ(plan.host("d"), nullptr);
}

TEST(Plan, LinkLocalIsTheKernels) {
  EXPECT_EQ(base::to_string(link_local(*base::parse_mac("fe:16:3e:00:41:0b"))), "fe80::fc16:3eff:fe00:410b");
}

TEST(Plan, LabNames) {
  for (const char* good : {"a", "lab-1", "x1"}) EXPECT_TRUE(is_lab_name(good)) << good;
  for (const char* bad : {"", "A", "a/b", "..", "a b", "-\n", "123456789012345678901234567890123"})
    EXPECT_FALSE(is_lab_name(bad)) << bad;
}

TEST(Resources, AgentsReadAllOfThem) {
  base::Interner interner;
  model::Decoder decoder({.hostname = "host-a"}, interner);
  model::Decoder::Output output;
  for (const Record& record : usual_records(standard_plan())) decoder.put(record.key, record.value, output);
  for (const model::Diagnostic& diagnostic : output.diagnostics) ADD_FAILURE() << model::to_string(diagnostic);
  EXPECT_GE(output.updates.size(), 16u);
}

TEST(Resources, EndpointsAreNamedAsTheDriverDoes) {
  const Guest guest = make_guest("web1", "host-a", "web", 65, 11);
  EXPECT_THAT(endpoint_key(guest), HasSubstr("/workloadendpoints/openstack/host--a-openstack-"));
  EXPECT_THAT(workload_endpoint(guest, {make_group("g")}).value, HasSubstr(R"("interfaceName":")" + guest.tap));
}

TEST(Verdicts, FollowGroups) {
  const Plan plan = standard_plan();
  const Flow flow{&plan.guests[0], &plan.guests[3], base::Family::kIpv4, matrix_services()[1]};
  std::vector<Record> records = usual_records(plan);
  EXPECT_TRUE(Verdicts(plan, stored(records)).expect(flow).allowed);

  std::vector<Record> closed = records;
  closed.push_back(group_policy(make_group("default"), {}));
  std::vector<store::KeyValue> items = stored(closed);
  const Expected denied = Verdicts(plan, items).expect(flow);
  EXPECT_FALSE(denied.allowed);
  EXPECT_THAT(denied.because, HasSubstr("web1: deny"));

  std::erase_if(items, [&](const store::KeyValue& item) { return item.key == endpoint_key(plan.guests[3]); });
  EXPECT_FALSE(Verdicts(plan, items).expect(flow).allowed);
}

TEST(Matrix, DifferencesAreToldWithTheReason) {
  const Plan plan = standard_plan();
  MatrixReport report;
  report.cells.push_back(
      {{&plan.guests[0], &plan.guests[1], base::Family::kIpv4, matrix_services()[0]}, {true, ""}, {Verdict::kOk, 5}});
  report.cells.push_back({{&plan.guests[0], &plan.guests[1], base::Family::kIpv4, matrix_services()[2]},
                          {false, "a rule"},
                          {Verdict::kOk, 5}});
  report.cells.push_back({{&plan.guests[0], &plan.guests[1], base::Family::kIpv6, matrix_services()[0]},
                          {false, ""},
                          {Verdict::kLost, 5}});
  EXPECT_EQ(report.differences(), 1);
  EXPECT_EQ(report.allowed(), 1);
  const std::string text = to_text(plan, report);
  EXPECT_THAT(text, HasSubstr("wrong: web1 -> db1 IPv4 tcp/5432: expected to be blocked (a rule), seen ok"));
  EXPECT_THAT(text, HasSubstr("3 flows, 1 of them allowed, 1 differ"));
}

TEST(Plan, EveryTopologyHasItsHostsAndUniqueAddresses) {
  struct Case {
    Topology topology;
    std::size_t segments, routers, speakers;
  };
  const Case cases[] = {{{}, 2, 1, 1},
                        {{Fabric::kMesh, 10, PoolMode::kNone}, 1, 1, 0},
                        {{Fabric::kMesh, 4, PoolMode::kVxlan}, 2, 1, 0},
                        {{Fabric::kReflectors, 4, PoolMode::kDirect}, 1, 1, 0},
                        {{Fabric::kRacks, 5, PoolMode::kNone}, 3, 3, 3}};
  for (const Case& c : cases) {
    ASSERT_EQ(problem_of(c.topology), "");
    const Plan plan = make_plan(c.topology);
    EXPECT_EQ(plan.hosts.size(), static_cast<std::size_t>(c.topology.hosts));
    EXPECT_EQ(plan.segments.size(), c.segments);
    EXPECT_EQ(plan.routers().size(), c.routers);
    EXPECT_EQ(plan.speakers().size(), c.speakers);
    std::set<std::string> seen;
    for (const Host& host : plan.hosts) {
      for (const base::IpAddress& one : {host.v4.address, host.v6.address, host.management}) {
        EXPECT_TRUE(seen.insert(base::to_string(one)).second) << base::to_string(one);
      }
      EXPECT_TRUE(plan.segment_of(host).v4.masked().contains(host.v4.address));
    }
    for (const std::string& speaker : plan.speakers()) {
      EXPECT_THAT(router_configuration(plan, speaker), HasSubstr("protocol bgp"));
    }
  }
  EXPECT_NE(problem_of({Fabric::kReflector, 4, PoolMode::kNone}), "");
  EXPECT_NE(problem_of({Fabric::kMesh, 27, PoolMode::kNone}), "");
}

TEST(Plan, NamesOfFabricsAndModesReadBack) {
  for (Fabric fabric : {Fabric::kReflector, Fabric::kMesh, Fabric::kReflectors, Fabric::kRacks}) {
    EXPECT_EQ(parse_fabric(to_string(fabric)), fabric);
  }
  for (PoolMode mode : {PoolMode::kNone, PoolMode::kDirect, PoolMode::kIpip, PoolMode::kIpipCrossSubnet,
                        PoolMode::kVxlan, PoolMode::kVxlanCrossSubnet}) {
    EXPECT_EQ(parse_pool_mode(to_string(mode)), mode);
  }
  EXPECT_EQ(parse_fabric("ring"), std::nullopt);
}

TEST(Plan, EncapsulationFollowsModeSubnetAndFamily) {
  struct Case {
    PoolMode mode;
    Encapsulation near_v4, near_v6, far_v4, far_v6;
  };
  using enum Encapsulation;
  const Case cases[] = {{PoolMode::kNone, kDirect, kDirect, kDirect, kDirect},
                        {PoolMode::kDirect, kDirect, kDirect, kDirect, kDirect},
                        {PoolMode::kIpip, kIpip, kDirect, kIpip, kDirect},
                        {PoolMode::kIpipCrossSubnet, kDirect, kDirect, kIpip, kDirect},
                        {PoolMode::kVxlan, kVxlan, kVxlan, kVxlan, kVxlan},
                        {PoolMode::kVxlanCrossSubnet, kDirect, kDirect, kVxlan, kVxlan}};
  for (const Case& c : cases) {
    const Plan plan = make_plan({.pool = c.mode});
    const Host &a = plan.hosts[0], &b = plan.hosts[1], &far = plan.hosts[2];
    EXPECT_EQ(expected_encapsulation(plan, a, b, base::Family::kIpv4), c.near_v4);
    EXPECT_EQ(expected_encapsulation(plan, a, b, base::Family::kIpv6), c.near_v6);
    EXPECT_EQ(expected_encapsulation(plan, a, far, base::Family::kIpv4), c.far_v4);
    EXPECT_EQ(expected_encapsulation(plan, a, far, base::Family::kIpv6), c.far_v6);
  }
}

TEST(Capture, TellsHowAPacketTravels) {
  const Plan plan = standard_plan();
  Forgery forgery{.how = Encapsulation::kIpip,
                  .outer_source = plan.hosts[0].v4.address,
                  .outer_destination = plan.hosts[2].v4.address,
                  .inner_destination_mac = *base::parse_mac("66:00:00:00:00:01"),
                  .source = plan.guests[0].v4.address,
                  .destination = plan.guests[4].v4.address,
                  .port = 9000};
  for (Encapsulation how : {Encapsulation::kIpip, Encapsulation::kVxlan}) {
    forgery.how = how;
    const std::string packet = forged_packet(forgery);
    const std::span bytes(reinterpret_cast<const unsigned char*>(packet.data()), packet.size());
    const auto seen = dissect(bytes);
    ASSERT_TRUE(seen) << to_string(how);
    EXPECT_EQ(seen->how, how);
    EXPECT_EQ(seen->source, forgery.source);
    EXPECT_EQ(seen->destination, forgery.destination);
    const auto inner = dissect(bytes.subspan(how == Encapsulation::kIpip ? 20 : 50));
    ASSERT_TRUE(inner);
    EXPECT_EQ(inner->how, Encapsulation::kDirect);
    for (std::size_t size = 0; size < bytes.size(); ++size) (void)dissect(bytes.subspan(0, size));
    // A cut VXLAN packet looks like any other UDP; a cut IP-in-IP packet is none.
    if (how == Encapsulation::kIpip) {
      EXPECT_FALSE(dissect(bytes.subspan(0, 30)));
    }
  }
}

TEST(Capture, OnlyWhatTravelledOtherwiseIsWrong) {
  const Plan plan = make_plan({.pool = PoolMode::kIpipCrossSubnet});
  const Direction near{"host-a", "host-b", base::Family::kIpv4};
  const Direction far{"host-a", "host-c", base::Family::kIpv4};
  EXPECT_TRUE(wrong_travels(plan, {{near, {5, 0, 0}}, {far, {0, 5, 0}}}).empty());
  const auto lines = wrong_travels(plan, {{near, {5, 1, 0}}, {far, {2, 5, 3}}});
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "host-a -> host-b IPv4: 1 packets of guests travelled IP-in-IP, expected direct");
}

TEST(RouteWatch, KnowsLostHostRoutes) {
  const auto message = [](int type, unsigned char kind, unsigned char length) {
    std::vector<unsigned char> bytes(16 + 12 + 8, 0);
    bytes[0] = 36;
    bytes[4] = static_cast<unsigned char>(type);
    bytes[16] = 2;  // AF_INET
    bytes[17] = length;
    bytes[23] = kind;
    bytes[28] = 8;
    bytes[30] = 1;  // RTA_DST
    bytes[32] = 10;
    bytes[35] = 7;
    return bytes;
  };
  constexpr int kNew = 24, kDelete = 25;
  constexpr unsigned char kUnicast = 1, kUnreachable = 7;
  const auto lost = lost_route(message(kDelete, kUnicast, 32));
  ASSERT_TRUE(lost);
  EXPECT_EQ(base::to_string(*lost), "10.0.0.7");
  EXPECT_TRUE(lost_route(message(kNew, kUnreachable, 32)));
  EXPECT_FALSE(lost_route(message(kNew, kUnicast, 32)));
  EXPECT_FALSE(lost_route(message(kDelete, kUnicast, 26)));
  const auto whole = message(kDelete, kUnicast, 32);
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    EXPECT_FALSE(lost_route(std::span(whole).subspan(0, size)));
  }
}

TEST(Router, KnowsEveryHost) {
  const std::string text = router_configuration(standard_plan(), kRouterNode);
  for (const Host& host : standard_plan().hosts) {
    EXPECT_THAT(text, HasSubstr(base::to_string(host.v4.address)));
    EXPECT_THAT(text, HasSubstr(base::to_string(host.v6.address)));
  }
}

}  // namespace
}  // namespace lab
