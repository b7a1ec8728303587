// The ARP table that Calico's agent leaves behind, in the real kernel.
#include "kernel/arp_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "namespace.h"

namespace kernel_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ArpTable : public NamespaceTest {};

TEST_F(ArpTable, IsRemovedWithAllThatIsInIt) {
  run("nft add table arp calico-arp");
  run("nft add chain arp calico-arp filter-OUTPUT { type filter hook output priority filter ; }");
  run("nft add chain arp calico-arp filter-cali-arp-tap1");
  run("nft add rule arp calico-arp filter-cali-arp-tap1 arp operation reply counter drop");
  run("nft add map arp calico-arp filter-cali-arp-dispatch { type ifname : verdict ; }");
  run("nft add element arp calico-arp filter-cali-arp-dispatch { tap1 : goto filter-cali-arp-tap1 }");
  run("nft add table arp other");
  const auto removed = kernel::remove_calico_arp_table();
  ASSERT_TRUE(removed) << removed.error().text();
  EXPECT_TRUE(*removed);
  const std::string left = run("nft list tables");
  EXPECT_THAT(left, Not(HasSubstr("calico-arp")));
  EXPECT_THAT(left, HasSubstr("arp other"));
}

TEST_F(ArpTable, WithoutOneNothingHappens) {
  run("nft add table ip calico-arp");  // another family is not ours to remove
  const auto removed = kernel::remove_calico_arp_table();
  ASSERT_TRUE(removed) << removed.error().text();
  EXPECT_FALSE(*removed);
  EXPECT_THAT(run("nft list tables"), HasSubstr("ip calico-arp"));
}

}  // namespace
}  // namespace kernel_test
