// decode.h: one function per kind: a JSON document into a value of the model, by the rules of spec datamodel §6 and
// felix-agent §2.4.
//
// Each notes what is wrong on its fields (field.h); the result counts only if nothing refused the object. Nothing
// without a problem means that the object says itself that it is not there: an endpoint without addresses, a staged
// policy whose action is Delete.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/symbol.h"
#include "model/decode/field.h"
#include "model/decode/key.h"
#include "model/decode/scalars.h"
#include "model/decoder.h"
#include "model/endpoint.h"
#include "model/network.h"
#include "model/policy.h"
#include "model/selector.h"
#include "model/update.h"

namespace model::decode {

// What every decoder needs beside the document. Belongs to the Decoder.
struct Context {
  const DecoderOptions& options;
  base::Interner& interner;
  SelectorCache& selectors;
  LabelSyntax& label_syntax;
};

// The hostname, orchestrator, workload and endpoint that a workload endpoint's name is made of (spec §1.8). Nothing if
// it does not have four parts.
struct WorkloadName {
  std::string node, orchestrator, workload, endpoint;
};
std::optional<WorkloadName> split_workload_name(std::string_view name);

std::optional<WorkloadEndpoint> read_workload_endpoint(const Field& document, const Key& key, Context& context);
std::optional<HostEndpoint> read_host_endpoint(const Field& document, Context& context);
std::optional<NetworkSet> read_network_set(const Field& document, const Key& key, Context& context);

// REQUIRES: a policy kind.
std::optional<Policy> read_policy(const Field& document, const Key& key, Context& context);
std::optional<Tier> read_tier(const Field& document);
std::optional<Profile> read_profile(const Field& document, Context& context);

std::optional<IpPool> read_pool(const Field& document);
std::optional<Node> read_node(const Field& document, Context& context);
std::optional<IpamBlock> read_block(const Field& document, const base::Prefix& cidr, Context& context);

// `ns` is that of the policy, empty for global ones and profiles.
std::vector<Rule> read_rules(const Field& list, std::string_view ns, Context& context);

// Label syntax is checked; a bad label refuses the object.
Labels read_labels(const Field& map, Context& context);

// Nothing if it does not parse, which refuses the object; empty if absent or blank.
std::optional<std::string_view> read_selector(const Field& field);
// The merged expression. Parts that parse can fail together only by nesting too deep.
Selector parse_merged(const Field& field, std::string_view merged, Context& context);

}  // namespace model::decode
