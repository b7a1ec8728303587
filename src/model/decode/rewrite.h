// rewrite.h: a policy's selectors merged with its namespace and with namespace and service-account selectors (spec
// datamodel §5.7–5.8).
//
// The merging is textual, because identifiers are computed from the merged expression and must equal those of other
// agents. Every part is parsed by itself first: joined unparsed, "a) || (b" would escape from its namespace.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "model/decode/field.h"
#include "model/selector.h"

namespace model::decode {

// Texts as written; empty if absent.
struct PolicySelectors {
  std::string_view selector;
  std::string_view namespace_selector;  // global policies only
  std::string_view service_account_selector;
};
// REQUIRES: each part parses.
std::string merge_policy_selectors(const PolicySelectors& parts, std::string_view ns);

struct EntitySelectors {
  std::string_view selector;
  std::string_view not_selector;
  std::string_view namespace_selector;
  std::string_view service_account_selector;
  std::string service_account_names;  // "projectcalico.org/serviceaccount in {…}" or empty
};
// The positive selector of one side of a rule; empty if it has none. `ns` is empty in global policies and profiles.
// REQUIRES: each part parses.
std::string merge_entity_selectors(const EntitySelectors& parts, std::string_view ns);

// Puts a literal into the quotes it does not contain. Nothing if it contains both kinds.
std::optional<std::string> quote_literal(std::string_view text);

}  // namespace model::decode
