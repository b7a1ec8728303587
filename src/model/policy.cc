#include "model/policy.h"

namespace model {

std::string_view to_string(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kNetworkPolicy: return "NetworkPolicy";
    case PolicyKind::kGlobalNetworkPolicy: return "GlobalNetworkPolicy";
    case PolicyKind::kStagedNetworkPolicy: return "StagedNetworkPolicy";
    case PolicyKind::kStagedGlobalNetworkPolicy: return "StagedGlobalNetworkPolicy";
    case PolicyKind::kStagedKubernetesNetworkPolicy: return "StagedKubernetesNetworkPolicy";
  }
  return "";
}

std::string_view short_name(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kNetworkPolicy: return "np";
    case PolicyKind::kGlobalNetworkPolicy: return "gnp";
    case PolicyKind::kStagedNetworkPolicy: return "snp";
    case PolicyKind::kStagedGlobalNetworkPolicy: return "sgnp";
    case PolicyKind::kStagedKubernetesNetworkPolicy: return "sknp";
  }
  return "";
}

bool is_staged(PolicyKind kind) {
  return kind != PolicyKind::kNetworkPolicy && kind != PolicyKind::kGlobalNetworkPolicy;
}

std::string policy_id(const PolicyKey& key) {
  std::string id(short_name(key.kind));
  if (!key.ns.empty()) id.append("/").append(key.ns.view());
  id.append("/").append(key.name.view());
  return id;
}

}  // namespace model
