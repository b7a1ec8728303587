// NetworkPolicy and GlobalNetworkPolicy (spec datamodel §4.2, §4.3, §2.4; spec cli §7.2, §7.4).

#include <algorithm>
#include <string>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr Field kTier = {.name = "tier",
                         .doc = "Tier the policy belongs to. The tier must exist when the policy is created.",
                         .check = Check::kName,
                         .default_json = "\"default\""};
constexpr Field kOrder = {.name = "order",
                          .type = FieldType::kFloat,
                          .doc = "Policies of a tier apply in ascending order; those without one come last, by name.",
                          .presence = Presence::kOmitAbsent};
constexpr Field kIngress = {.name = "ingress",
                            .type = FieldType::kStruct,
                            .doc = "Rules for packets to the selected endpoints, first match wins.",
                            .members = &kRule,
                            .list = true};
constexpr Field kEgress = {.name = "egress",
                           .type = FieldType::kStruct,
                           .doc = "Rules for packets from the selected endpoints, first match wins.",
                           .members = &kRule,
                           .list = true};
constexpr Field kSelector = {.name = "selector",
                             .doc = "Endpoints the policy applies to; all (of the namespace) if empty.",
                             .check = Check::kSelector};
constexpr Field kTypes = {.name = "types",
                          .doc = "Directions the policy applies to. If absent, taken from the rules that are there.",
                          .list = true,
                          .check = Check::kPolicyType,
                          .words = "Ingress/Egress",
                          .max_items = 2};
constexpr Field kServiceAccounts = {.name = "serviceAccountSelector",
                                    .doc = "Restricts the policy to endpoints whose service account matches.",
                                    .check = Check::kSelector};
constexpr Field kHints = {
    .name = "performanceHints",
    .doc = "AssumeNeededOnEveryNode: compute the policy's sets even where no endpoint needs it yet.",
    .list = true,
    .words = "AssumeNeededOnEveryNode",
    .unique = true};

constexpr Field kNetworkFields[] = {kTier, kOrder, kIngress, kEgress, kSelector, kTypes, kServiceAccounts, kHints};
constexpr Struct kNetworkSpec = {.go_type = "NetworkPolicySpec", .fields = kNetworkFields};

constexpr Field kGlobalFields[] = {
    kTier,
    kOrder,
    kIngress,
    kEgress,
    kSelector,
    kTypes,
    {.name = "doNotTrack", .type = FieldType::kBool, .doc = "Apply before connection tracking; needs applyOnForward."},
    {.name = "preDNAT",
     .type = FieldType::kBool,
     .doc = "Apply before destination NAT; ingress only, needs applyOnForward."},
    {.name = "applyOnForward", .type = FieldType::kBool, .doc = "Apply to traffic that host endpoints forward, too."},
    kServiceAccounts,
    {.name = "namespaceSelector",
     .doc = "Restricts the policy to endpoints whose namespace matches.",
     .check = Check::kSelector},
    kHints,
};
constexpr Struct kGlobalSpec = {.go_type = "GlobalNetworkPolicySpec", .fields = kGlobalFields};

constexpr Column kColumns[] = {
    {.heading = "NAMESPACE", .path = "metadata.namespace"},
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "TIER", .path = "spec.tier"},
    {.heading = "ORDER", .path = "spec.order", .style = CellStyle::kPointer},
    {.heading = "SELECTOR", .path = "spec.selector"},
};

bool has_rules(const json::object& spec, std::string_view direction) {
  const json::value* rules = spec.if_contains(direction);
  return rules != nullptr && rules->is_array() && !rules->get_array().empty();
}

json::object& labels_of(Resource& resource) {
  json::value& labels = resource.metadata()["labels"];
  if (!labels.is_object()) labels.emplace_object();
  return labels.get_object();
}

void complete_policy(Resource& resource, WriteReason, Problems&) {
  json::object& spec = resource.spec();
  if (text_of(spec, "tier").empty()) spec["tier"] = "default";
  labels_of(resource)[kTierLabel] = text_of(spec, "tier");
  const json::value* types = spec.if_contains("types");
  if (types != nullptr && types->is_array() && !types->get_array().empty()) return;
  const bool egress = has_rules(spec, "egress");
  if (!egress) {
    spec["types"] = json::array{"Ingress"};
  } else if (!has_rules(spec, "ingress")) {
    spec["types"] = json::array{"Egress"};
  } else {
    spec["types"] = json::array{"Ingress", "Egress"};
  }
}

void show_tier_label(Resource& resource, ReadReason) {
  json::object& labels = labels_of(resource);
  if (!labels.contains(kTierLabel)) labels[kTierLabel] = "default";
}

// "<label>" or "<label>.<label>"; only the whole name has a limit.
bool is_policy_name(std::string_view name) { return base::split(name, '.').size() <= 2 && is_dns_subdomain(name); }

// Names that other components own are subdomains after a fixed beginning.
bool is_generated_name(std::string_view name) {
  for (const std::string_view prefix : {"knp.default.", "ossg.default."}) {
    if (name.starts_with(prefix)) return is_dns_subdomain(name.substr(prefix.size()));
  }
  return false;
}

void refuse_name(const Resource& resource, Problems& problems) {
  problems.add("Metadata.Name", std::string(resource.name()),
               "name must consist of lower case alphanumeric characters or '-' (regex: [a-z0-9]([-a-z0-9]*[a-z0-9])?)");
}

void check_selector(const Resource& resource, std::string_view member, std::string field, Problems& problems) {
  const std::string_view text = text_of(resource.spec(), member);
  if (selector_uses_global(text))
    problems.add(std::move(field), std::string(text), std::string(kGlobalOnlyInNamespaceSelector));
}

bool lists_type(const json::object& spec, std::string_view type) {
  const json::value* types = spec.if_contains("types");
  if (types == nullptr || !types->is_array()) return false;
  return std::ranges::any_of(types->get_array(),
                             [&](const json::value& t) { return t.is_string() && t.get_string() == type; });
}

void check_types(const json::object& spec, Problems& problems) {
  const json::value* types = spec.if_contains("types");
  if (types == nullptr || !types->is_array()) return;
  for (const std::string_view word : {"Ingress", "Egress"}) {
    const auto times = std::ranges::count_if(
        types->get_array(), [&](const json::value& t) { return t.is_string() && t.get_string() == word; });
    if (times > 1) problems.add("Types", {}, "'" + std::string(word) + "' type specified more than once");
  }
}

void check_network_policy(const Resource& resource, Problems& problems) {
  if (!is_policy_name(resource.name()) && !is_generated_name(resource.name())) refuse_name(resource, problems);
  check_selector(resource, "selector", "Selector", problems);
  check_selector(resource, "serviceAccountSelector", "ServiceAccountSelector", problems);
  check_types(resource.spec(), problems);
  check_policy_rules(resource.spec(), false, problems);
}

void check_global_policy(const Resource& resource, Problems& problems) {
  if (!is_policy_name(resource.name())) refuse_name(resource, problems);
  const json::object& spec = resource.spec();
  check_selector(resource, "selector", "Selector", problems);
  check_selector(resource, "serviceAccountSelector", "ServiceAccountSelector", problems);
  check_selector(resource, "namespaceSelector", "NamespaceSelector", problems);
  check_types(spec, problems);
  check_policy_rules(spec, true, problems);
  const bool untracked = flag_of(spec, "doNotTrack");
  const bool pre_dnat = flag_of(spec, "preDNAT");
  if (untracked && pre_dnat) {
    problems.add("PolicySpec.PreDNAT", {}, "PreDNAT and DoNotTrack cannot both be true, for a given PolicySpec");
    problems.add_schema("spec", "preDNAT and doNotTrack cannot both be true");
  }
  if (pre_dnat && has_rules(spec, "egress")) {
    problems.add("PolicySpec.Egress", {}, "PreDNAT PolicySpec cannot have any EgressRules");
  }
  if (pre_dnat && lists_type(spec, "Egress")) {
    problems.add("PolicySpec.Types", {}, "PreDNAT PolicySpec cannot have 'egress' Type");
  }
  if ((untracked || pre_dnat) && !flag_of(spec, "applyOnForward")) {
    problems.add("PolicySpec.ApplyOnForward", {},
                 "ApplyOnForward must be true if either PreDNAT or DoNotTrack is true, for a given PolicySpec");
    problems.add_schema("spec", "applyOnForward must be true if either preDNAT or doNotTrack is true");
  }
}

}  // namespace

const Kind kNetworkPolicy = {
    .name = "NetworkPolicy",
    .plural = "networkpolicies",
    .aliases = "networkpolicy networkpolicies policy policies np pol pols",
    .namespaced = true,
    .doc = "Rules for the workload endpoints of one namespace that a selector picks.",
    .spec = &kNetworkSpec,
    .columns = kColumns,
    .ps = "NAME TIER",
    .wide = "NAME TIER ORDER SELECTOR",
    .stores_policy_name = true,
    .complete = complete_policy,
    .check = check_network_policy,
    .after_read = show_tier_label,
};

const Kind kGlobalNetworkPolicy = {
    .name = "GlobalNetworkPolicy",
    .plural = "globalnetworkpolicies",
    .aliases = "globalnetworkpolicy globalnetworkpolicies gnp gnps",
    .doc = "Rules for the workload and host endpoints, of all namespaces, that a selector picks.",
    .spec = &kGlobalSpec,
    .columns = std::span(kColumns).subspan(1),
    .ps = "NAME TIER",
    .wide = "NAME TIER ORDER SELECTOR",
    .stores_policy_name = true,
    .complete = complete_policy,
    .check = check_global_policy,
    .after_read = show_tier_label,
};

}  // namespace model::kinds
