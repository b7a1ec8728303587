#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/symbol.h"
#include "lab/matrix.h"
#include "lab/plan.h"
#include "lab/resources.h"
#include "lab/router.h"
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

TEST(Router, KnowsEveryHost) {
  const std::string text = router_configuration(standard_plan(), kRouterNode);
  for (const Host& host : standard_plan().hosts) {
    EXPECT_THAT(text, HasSubstr(base::to_string(host.v4.address)));
    EXPECT_THAT(text, HasSubstr(base::to_string(host.v6.address)));
  }
}

}  // namespace
}  // namespace lab
