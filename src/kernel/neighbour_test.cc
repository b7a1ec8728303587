#include "kernel/neighbour.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernel/neighbour_fake.h"

namespace kernel {
namespace {

using reconcile::Neighbour;
using reconcile::NeighbourEntry;
using ::testing::UnorderedElementsAre;

Neighbour neighbour(unsigned last) {
  return {.address = base::IpAddress::v4(0x0A000000u + last),
          .mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(last)}}};
}
NeighbourEntry entry(reconcile::IfIndex interface, unsigned last) {
  return {.interface = interface, .neighbour = neighbour(last)};
}

NeighbourSyncer make(FakeNeighbours& kernel) {
  NeighbourSyncer syncer(kernel, {.family = base::Family::kIpv4, .workload_prefixes = {"tap"}});
  syncer.interface_present("tap1", 7, true);
  syncer.interface_present("eth0", 2, true);
  return syncer;
}

TEST(NeighbourSyncer, WritesRepairsAndRemovesOnItsInterfacesOnly) {
  FakeNeighbours kernel;
  NeighbourEntry wrong = entry(7, 1);
  wrong.neighbour.mac.bytes[5] = 99;
  kernel.entries = {wrong, entry(7, 3), entry(2, 4), {.interface = 7, .neighbour = neighbour(5), .permanent = false}};
  NeighbourSyncer syncer = make(kernel);
  syncer.want("tap1", std::vector{neighbour(1), neighbour(2)});
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_THAT(kernel.entries,
              UnorderedElementsAre(entry(7, 1), entry(7, 2), entry(2, 4),
                                   NeighbourEntry{.interface = 7, .neighbour = neighbour(5), .permanent = false}));
  NeighbourSyncer second = make(kernel);
  second.want("tap1", std::vector{neighbour(1), neighbour(2)});
  EXPECT_TRUE(second.apply().clean());
  EXPECT_EQ(second.counters().writes, 0u);
  second.want("tap1", {});
  EXPECT_TRUE(second.apply().clean());
  EXPECT_EQ(kernel.entries.size(), 2u);
}

TEST(NeighbourSyncer, AnInterfaceThatFlapsGetsItsEntriesAgain) {
  FakeNeighbours kernel;
  NeighbourSyncer syncer = make(kernel);
  syncer.want("tap1", std::vector{neighbour(1)});
  (void)syncer.apply();
  syncer.interface_present("tap1", 7, false);
  kernel.entries.clear();
  (void)syncer.apply();
  EXPECT_TRUE(kernel.entries.empty());
  syncer.interface_present("tap1", 7, true);
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_THAT(kernel.entries, UnorderedElementsAre(entry(7, 1)));
  syncer.interface_gone("tap1");
  syncer.interface_present("tap1", 9, true);
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_THAT(kernel.entries, UnorderedElementsAre(entry(7, 1), entry(9, 1)));
}

TEST(NeighbourSyncer, AnInterfaceMayBecomeOursWhileItRuns) {
  FakeNeighbours kernel;
  kernel.entries = {entry(2, 4)};
  NeighbourSyncer syncer = make(kernel);
  syncer.want("eth0", std::vector{neighbour(1)});
  (void)syncer.apply();
  EXPECT_THAT(kernel.entries, UnorderedElementsAre(entry(2, 4)));
  syncer.own("eth0");
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_THAT(kernel.entries, UnorderedElementsAre(entry(2, 1)));
}

TEST(NeighbourSyncer, FailuresAreNamedAndRetried) {
  FakeNeighbours kernel;
  NeighbourSyncer syncer = make(kernel);
  kernel.refused.insert(neighbour(1).address);
  syncer.want("tap1", std::vector{neighbour(1), neighbour(2)});
  ApplyReport report = syncer.apply();
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_EQ(report.problems[0].object, "neighbour 10.0.0.1 lladdr 02:00:00:00:00:01 dev tap1 permanent");
  EXPECT_TRUE(report.retry);
  kernel.refused.clear();
  kernel.break_conversations = 1;
  EXPECT_TRUE(syncer.apply().retry);
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_EQ(kernel.entries.size(), 2u);
}

TEST(NeighbourSyncer, AnInterfaceThatJustWentDownIsNoError) {
  FakeNeighbours kernel;
  NeighbourSyncer syncer = make(kernel);
  kernel.interfaces_down.insert(7);
  syncer.want("tap1", std::vector{neighbour(1)});
  EXPECT_TRUE(syncer.apply().clean());
  kernel.interfaces_down.clear();
  syncer.interface_present("tap1", 7, false);
  syncer.interface_present("tap1", 7, true);
  EXPECT_TRUE(syncer.apply().clean());
  EXPECT_EQ(kernel.entries.size(), 1u);
}

}  // namespace
}  // namespace kernel
