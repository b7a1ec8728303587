// IP sets against the real kernel: what NetlinkIpSets writes, ipset(8) must read, and the other way round.
#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/ipset_netlink.h"
#include "kernel/ipset_syncer.h"
#include "namespace.h"

namespace kernel_test {
namespace {

using kernel::ApplyReport;
using kernel::IpSetSyncer;
using kernel::NetlinkIpSets;
using reconcile::IpSetMember;
using reconcile::IpSetShape;
using reconcile::IpSetType;
using testing::HasSubstr;
using testing::Not;

IpSetMember member(std::string_view text, std::uint8_t protocol = 0, std::uint16_t port = 0) {
  return {.prefix = *base::parse_cidr_or_address(text), .protocol = protocol, .port = port};
}

std::string describe(const ApplyReport& report) {
  std::string text = report.retry ? "retry; " : "";
  for (const auto& problem : report.problems) text += problem.object + ": " + problem.error.text() + "; ";
  return text;
}

class IpSetsInKernel : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    auto opened = NetlinkIpSets::open();
    ASSERT_TRUE(opened) << opened.error().text();
    sets_ = std::move(*opened);
  }
  std::unique_ptr<NetlinkIpSets> sets_;
};

TEST_F(IpSetsInKernel, CreatesEveryTypeInBothFamilies) {
  IpSetSyncer v4(*sets_, base::Family::kIpv4);
  IpSetSyncer v6(*sets_, base::Family::kIpv6);
  v4.want("cali40s:net", {}, std::vector{member("10.0.0.0/24"), member("10.1.0.7")});
  v4.want("cali40this-host", {.type = IpSetType::kHashIp, .max_elements = 5000}, std::vector{member("192.0.2.1")});
  v4.want("cali40n:port", {.type = IpSetType::kHashIpPort, .max_elements = 1048576},
          std::vector{member("10.0.0.1", 6, 80), member("10.0.0.1", 17, 53), member("10.0.0.2", 132, 9)});
  v6.want("cali60s:net", {}, std::vector{member("fd00::/64"), member("fd01::1")});
  v6.want("cali60n:port", {.type = IpSetType::kHashIpPort, .max_elements = 1048576},
          std::vector{member("fd00::1", 6, 443)});
  ApplyReport report = v4.apply_updates();
  EXPECT_TRUE(report.clean()) << describe(report);
  report = v6.apply_updates();
  EXPECT_TRUE(report.clean()) << describe(report);

  const std::string all = run("ipset save");
  for (const auto* line :
       {"create cali40s:net hash:net family inet ", "maxelem 1048576", "add cali40s:net 10.0.0.0/24\n",
        "add cali40s:net 10.1.0.7\n", "create cali40this-host hash:ip family inet ", "maxelem 5000",
        "add cali40n:port 10.0.0.1,tcp:80\n", "add cali40n:port 10.0.0.1,udp:53\n",
        "add cali40n:port 10.0.0.2,sctp:9\n", "create cali60s:net hash:net family inet6 ",
        "add cali60s:net fd00::/64\n", "add cali60s:net fd01::1\n", "add cali60n:port fd00::1,tcp:443\n"}) {
    EXPECT_THAT(all, HasSubstr(line));
  }

  // A new agent finds everything as it wants it.
  IpSetSyncer again(*sets_, base::Family::kIpv4);
  again.want("cali40s:net", {}, std::vector{member("10.0.0.0/24"), member("10.1.0.7")});
  again.want("cali40this-host", {.type = IpSetType::kHashIp, .max_elements = 5000}, std::vector{member("192.0.2.1")});
  again.want("cali40n:port", {.type = IpSetType::kHashIpPort, .max_elements = 1048576},
             std::vector{member("10.0.0.1", 6, 80), member("10.0.0.1", 17, 53), member("10.0.0.2", 132, 9)});
  EXPECT_TRUE(again.apply_updates().clean());
  EXPECT_TRUE(again.apply_deletions().clean());
  EXPECT_EQ(again.counters().writes, 0u);
}

TEST_F(IpSetsInKernel, AdoptsSetsOfAnotherProgramAndCorrectsThem) {
  run("ipset create cali40s:net hash:net family inet maxelem 1048576");
  run("ipset add cali40s:net 10.0.0.0/24");
  run("ipset add cali40s:net 10.9.0.0/16");
  run("ipset create cali40wrong hash:net family inet maxelem 100");
  run("ipset create cali40type hash:ip family inet maxelem 1048576");
  run("ipset create cali40counting hash:net family inet maxelem 1048576 counters");
  run("ipset create cali4t0 hash:net family inet");
  run("ipset create cali40left-over hash:net family inet");
  run("ipset create felix-4-old hash:net family inet");
  run("ipset create KUBE-X hash:net family inet");
  run("ipset create cali60other-family hash:net family inet6");
  run("iptables-legacy -A INPUT -m set --match-set cali40wrong src -j DROP");
  IpSetSyncer syncer(*sets_, base::Family::kIpv4);
  syncer.want("cali40s:net", {}, std::vector{member("10.0.0.0/24"), member("10.1.0.0/16")});
  syncer.want("cali40wrong", {}, std::vector{member("10.2.0.0/16")});
  syncer.want("cali40type", {}, std::vector{member("10.3.0.0/16")});
  syncer.want("cali40counting", {}, std::vector{member("10.4.0.0/16")});
  ApplyReport report = syncer.apply_updates();
  EXPECT_TRUE(report.clean()) << describe(report);
  while ((report = syncer.apply_deletions()).retry && report.problems.empty()) {
  }
  EXPECT_TRUE(report.clean()) << describe(report);

  const std::string all = run("ipset save");
  EXPECT_THAT(all, HasSubstr("add cali40s:net 10.1.0.0/16\n"));
  EXPECT_THAT(all, HasSubstr("add cali40s:net 10.0.0.0/24\n"));
  EXPECT_THAT(all, Not(HasSubstr("10.9.0.0/16")));
  EXPECT_THAT(all, HasSubstr("add cali40wrong 10.2.0.0/16\n"));
  EXPECT_THAT(all, HasSubstr("create cali40type hash:net "));
  EXPECT_THAT(all, Not(HasSubstr("counters")));
  EXPECT_THAT(all, Not(HasSubstr("cali4t")));
  EXPECT_THAT(all, Not(HasSubstr("left-over")));
  EXPECT_THAT(all, Not(HasSubstr("felix-4-old")));
  EXPECT_THAT(all, HasSubstr("KUBE-X"));
  EXPECT_THAT(all, HasSubstr("cali60other-family"));
  EXPECT_THAT(run("iptables-legacy -S INPUT"), HasSubstr("--match-set cali40wrong src"));
  EXPECT_THAT(run("ipset list cali40wrong"), HasSubstr("References: 1"));
}

TEST_F(IpSetsInKernel, ASetInUseGoesWhenItsRuleHasGone) {
  IpSetSyncer syncer(*sets_, base::Family::kIpv4);
  syncer.want("cali40s:a", {}, std::vector{member("10.0.0.0/24")});
  EXPECT_TRUE(syncer.apply_updates().clean());
  run("iptables-legacy -A INPUT -m set --match-set cali40s:a src -j DROP");
  syncer.unwant("cali40s:a");
  ApplyReport report = syncer.apply_deletions();
  EXPECT_TRUE(report.retry);
  EXPECT_EQ(report.retry_after, std::chrono::milliseconds(100));
  run("iptables-legacy -F INPUT");
  EXPECT_TRUE(syncer.apply_deletions().clean());
  EXPECT_EQ(run("ipset save"), "");
}

TEST_F(IpSetsInKernel, RefusedMembersAreNamedAndTheOthersAdded) {
  IpSetSyncer syncer(*sets_, base::Family::kIpv4);
  std::vector<IpSetMember> members{member("10.0.0.1"), {.prefix = {base::IpAddress::v4(0), 0}}, member("10.0.0.2")};
  syncer.want("cali40s:a", {}, members);
  ApplyReport report = syncer.apply_updates();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_THAT(report.problems[0].error.text(), HasSubstr("0.0.0.0/0: prefix length not allowed"));
  EXPECT_THAT(run("ipset list cali40s:a"), HasSubstr("Number of entries: 2"));

  members.clear();
  for (unsigned i = 0; i < 5000; ++i)
    members.push_back({.prefix = base::Prefix::host(base::IpAddress::v4(0x0A000000u + i))});
  syncer.want("cali40s:b", {.type = IpSetType::kHashNet, .max_elements = 3000}, members);
  report = syncer.apply_updates();
  ASSERT_FALSE(report.problems.empty());
  EXPECT_THAT(report.problems[0].error.text(), HasSubstr("set is full"));
  // Asked again without a change, it does not try again.
  const auto writes = syncer.counters().writes;
  (void)syncer.apply_updates();
  EXPECT_EQ(syncer.counters().writes, writes);
}

TEST_F(IpSetsInKernel, ManyMembersQuickly) {
  using Clock = std::chrono::steady_clock;
  const auto since = [](Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  std::vector<IpSetMember> members;
  for (unsigned i = 0; i < 210'000; ++i)
    members.push_back({.prefix = base::Prefix::host(base::IpAddress::v4(0x0A000000u + i * 7))});
  IpSetSyncer syncer(*sets_, base::Family::kIpv4);
  auto start = Clock::now();
  syncer.want("cali40s:a", {}, members);
  ASSERT_TRUE(syncer.apply_updates().clean());
  const double fill = since(start);

  start = Clock::now();
  constexpr int kSingles = 1000;
  for (int i = 0; i < kSingles; ++i) {
    const IpSetMember one = member("192.0.2." + std::to_string(i % 200));
    if (i % 400 < 200)
      syncer.change_members("cali40s:a", std::vector{one}, {});
    else
      syncer.change_members("cali40s:a", {}, std::vector{one});
    (void)syncer.apply_updates();
  }
  const double single = since(start) / kSingles;

  IpSetSyncer restarted(*sets_, base::Family::kIpv4);
  for (int i = 0; i < 200; ++i) members.push_back(member("192.0.2." + std::to_string(i)));
  start = Clock::now();
  restarted.want("cali40s:a", {}, members);
  ASSERT_TRUE(restarted.apply_updates().clean());
  const double restart = since(start);
  std::printf("210,000 members: fill %.0f ms, restart %.0f ms; one member %.1f us\n", fill, restart, single * 1000);
  EXPECT_LT(fill, 3000);
  EXPECT_LT(single, 1.0);
  EXPECT_EQ(restarted.counters().writes, 0u);
}

}  // namespace
}  // namespace kernel_test
