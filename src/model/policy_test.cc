#include "model/policy.h"

#include <gtest/gtest.h>

#include "model/update.h"

namespace model {
namespace {

TEST(Policy, Identifiers) {
  base::Interner interner;
  const Symbol ns = interner.intern("openstack");
  const Symbol name = interner.intern("ossg.default.x");
  EXPECT_EQ(policy_id({PolicyKind::kNetworkPolicy, ns, name}), "np/openstack/ossg.default.x");
  EXPECT_EQ(policy_id({PolicyKind::kGlobalNetworkPolicy, {}, name}), "gnp/ossg.default.x");
  EXPECT_EQ(policy_id({PolicyKind::kStagedNetworkPolicy, ns, name}), "snp/openstack/ossg.default.x");
  EXPECT_EQ(policy_id({PolicyKind::kStagedGlobalNetworkPolicy, {}, name}), "sgnp/ossg.default.x");
  EXPECT_EQ(policy_id({PolicyKind::kStagedKubernetesNetworkPolicy, ns, name}), "sknp/openstack/ossg.default.x");
}

TEST(Policy, OnlyStagedKindsAreStaged) {
  EXPECT_FALSE(is_staged(PolicyKind::kNetworkPolicy));
  EXPECT_FALSE(is_staged(PolicyKind::kGlobalNetworkPolicy));
  EXPECT_TRUE(is_staged(PolicyKind::kStagedNetworkPolicy));
  EXPECT_TRUE(is_staged(PolicyKind::kStagedGlobalNetworkPolicy));
  EXPECT_TRUE(is_staged(PolicyKind::kStagedKubernetesNetworkPolicy));
  EXPECT_EQ(to_string(PolicyKind::kStagedGlobalNetworkPolicy), "StagedGlobalNetworkPolicy");
}

TEST(Diagnostic, Prints) {
  EXPECT_EQ(to_string(Diagnostic{"Tier(x)", "spec.order", "is not a number"}), "Tier(x): spec.order: is not a number");
  EXPECT_EQ(to_string(Diagnostic{"Tier(x)", "", "is not JSON"}), "Tier(x): is not JSON");
}

}  // namespace
}  // namespace model
