#include "model/decode/rewrite.h"

#include "base/check.h"
#include "base/strings.h"

namespace model::decode {
namespace {

constexpr std::string_view kHasNamespace = "has(projectcalico.org/namespace)";
constexpr std::string_view kHasServiceAccount = "has(projectcalico.org/serviceaccount)";

std::string both(std::string_view first, std::string_view second) {
  return std::string("(").append(first).append(") && ").append(second);
}

std::string both_enclosed(std::string_view first, std::string_view second) {
  return std::string("(").append(first).append(") && (").append(second).append(")");
}

std::string prefixed(std::string_view selector, std::string_view prefix) {
  auto text = with_label_prefix(selector, prefix);
  CHECK(text);  // the caller has parsed it
  return *std::move(text);
}

std::string namespace_equals(std::string_view ns) {
  auto literal = quote_literal(ns);
  CHECK(literal);  // the caller refuses other namespaces
  return std::string("projectcalico.org/namespace == ").append(*literal);
}

// all() in a selector on namespaces means "has a namespace", not "everything". As upstream it is replaced in the merged
// text, so an all() in the policy's own selector changes with it.
std::string join_global(std::string_view so_far, std::string_view more, std::string_view instead_of_all) {
  const std::string joined = so_far.empty() ? std::string(more) : both(so_far, more);
  return base::replace_all(joined, "all()", instead_of_all);
}

}  // namespace

std::string merge_policy_selectors(const PolicySelectors& parts, std::string_view ns) {
  std::string merged(parts.selector);
  if (!ns.empty()) {
    merged = merged.empty() ? namespace_equals(ns) : both(merged, namespace_equals(ns));
    if (parts.service_account_selector.empty()) return merged;
    return both(merged, prefixed(parts.service_account_selector, "pcsa."));
  }
  if (!parts.namespace_selector.empty()) {
    merged = join_global(merged, prefixed(parts.namespace_selector, "pcns."), kHasNamespace);
  }
  if (!parts.service_account_selector.empty()) {
    merged = join_global(merged, prefixed(parts.service_account_selector, "pcsa."), kHasServiceAccount);
  }
  return merged;
}

std::string merge_entity_selectors(const EntitySelectors& parts, std::string_view ns) {
  std::string accounts = parts.service_account_names;
  if (!parts.service_account_selector.empty()) {
    const std::string selector = prefixed(parts.service_account_selector, "pcsa.");
    accounts = accounts.empty() ? selector : both_enclosed(selector, accounts);
  }
  std::string namespaces;
  if (!parts.namespace_selector.empty()) {
    namespaces = base::replace_all(prefixed(parts.namespace_selector, "pcns."), "all()", kHasNamespace);
    namespaces = base::replace_all(namespaces, "global()", std::string("!").append(kHasNamespace));
  } else if (!ns.empty()) {
    namespaces = namespace_equals(ns);
  }
  std::string endpoints = accounts;
  if (!parts.selector.empty()) {
    endpoints = accounts.empty() ? std::string(parts.selector) : both_enclosed(accounts, parts.selector);
  }
  const bool selects = !endpoints.empty() || !parts.not_selector.empty() || !parts.namespace_selector.empty();
  if (namespaces.empty() || !selects) return endpoints;
  return endpoints.empty() ? namespaces : both_enclosed(namespaces, endpoints);
}

std::optional<std::string> quote_literal(std::string_view text) {
  for (const char quote : {'\'', '"'}) {
    if (text.find(quote) == std::string_view::npos) return std::string(1, quote).append(text).append(1, quote);
  }
  return std::nullopt;
}

}  // namespace model::decode
