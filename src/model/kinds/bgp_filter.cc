// BGPFilter (spec datamodel §4.15; spec bgp §2.8; spec cli §5, §7.4).

#include <array>
#include <string>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr std::int64_t kMaxPriority = 2147483646;

constexpr Field kCommunityValueFields[] = {
    {.name = "value",
     .doc = "a:b with 16-bit or a:b:c with 32-bit numbers.",
     .presence = Presence::kAlways,
     .max_length = 32,
     .required = true},
};
constexpr Struct kAddCommunity = {.go_type = "BGPFilterAddCommunity", .fields = kCommunityValueFields};

constexpr Field kPrependFields[] = {
    {.name = "prefix",
     .type = FieldType::kAsNumber,
     .doc = "AS numbers as the path is to begin with, 1 to 10.",
     .list = true,
     .presence = Presence::kAlways,
     .max_items = 10,
     .required = true},
};
constexpr Struct kPrependAsPath = {.go_type = "BGPFilterPrependASPath", .fields = kPrependFields};

constexpr Field kPriorityFields[] = {
    {.name = "value",
     .type = FieldType::kInt,
     .doc = "Kernel metric that the route stands for; 512 is preferred to the usual 1024.",
     .presence = Presence::kAlways,
     .min = 1,
     .max = kMaxPriority,
     .required = true},
};
constexpr Struct kSetPriority = {.go_type = "BGPFilterSetPriority", .fields = kPriorityFields};

constexpr Field kOperationFields[] = {
    {.name = "addCommunity",
     .type = FieldType::kStruct,
     .doc = "Adds a community.",
     .members = &kAddCommunity,
     .presence = Presence::kOmitAbsent},
    {.name = "prependASPath",
     .type = FieldType::kStruct,
     .doc = "Puts AS numbers in front of the AS path.",
     .members = &kPrependAsPath,
     .presence = Presence::kOmitAbsent,
     .go_name = "PrependASPath"},
    {.name = "setPriority",
     .type = FieldType::kStruct,
     .doc = "Sets the route's priority.",
     .members = &kSetPriority,
     .presence = Presence::kOmitAbsent},
};

void check_operation(const json::object& operation, Problems& problems) {
  int given = 0;
  for (const char* member : {"addCommunity", "prependASPath", "setPriority"}) given += operation.contains(member);
  if (given != 1) {
    problems.add("Operations", {}, "exactly one of addCommunity, prependASPath and setPriority must be set");
  }
  const std::string_view community = text_of(operation, "addCommunity.value");
  if (operation.contains("addCommunity") && !is_community(community)) {
    problems.add("Operations.AddCommunity.Value", std::string(community), "invalid community value or format used.");
  }
  const json::value* prefix = find(operation, "prependASPath.prefix");
  if (operation.contains("prependASPath") && (prefix == nullptr || prefix->get_array().empty())) {
    problems.add("Operations.PrependASPath.Prefix", {}, "at least one AS number is needed");
  }
}

constexpr Struct kOperation = {.go_type = "BGPFilterOperation", .fields = kOperationFields, .check = check_operation};

constexpr Field kLengthV4Fields[] = {
    {.name = "min",
     .type = FieldType::kInt,
     .doc = "Shortest prefix; the length of cidr if left out.",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kInt32,
     .min = 0,
     .max = 32},
    {.name = "max",
     .type = FieldType::kInt,
     .doc = "Longest prefix; 32 if left out.",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kInt32,
     .min = 0,
     .max = 32},
};
constexpr Struct kLengthV4 = {.go_type = "BGPFilterPrefixLengthV4", .fields = kLengthV4Fields};
constexpr Field kLengthV6Fields[] = {
    {.name = "min",
     .type = FieldType::kInt,
     .doc = "Shortest prefix; the length of cidr if left out.",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kInt32,
     .min = 0,
     .max = 128},
    {.name = "max",
     .type = FieldType::kInt,
     .doc = "Longest prefix; 128 if left out.",
     .presence = Presence::kOmitAbsent,
     .width = IntWidth::kInt32,
     .min = 0,
     .max = 128},
};
constexpr Struct kLengthV6 = {.go_type = "BGPFilterPrefixLengthV6", .fields = kLengthV6Fields};

constexpr Field kValuesFields[] = {
    {.name = "values",
     .doc = "Exactly one community, a:b or a:b:c.",
     .list = true,
     .presence = Presence::kAlways,
     .max_length = 32,
     .max_items = 1,
     .required = true},
};
constexpr Struct kCommunities = {.go_type = "BGPFilterCommunityMatch", .fields = kValuesFields};

// The two families differ in the length of a prefix and in what a CIDR is.
constexpr std::array<Field, 11> rule_fields(const Struct& length, Check cidr, std::size_t longest_cidr) {
  return {{
      {.name = "cidr",
       .doc = "Prefix that matchOperator compares the route's with.",
       .check = cidr,
       .max_length = longest_cidr,
       .go_name = "CIDR"},
      {.name = "prefixLength",
       .type = FieldType::kStruct,
       .doc = "Limits of the route's prefix length; needs cidr.",
       .members = &length,
       .presence = Presence::kOmitAbsent},
      {.name = "source", .doc = "Where the route comes from.", .words = "RemotePeers"},
      {.name = "interface", .doc = "Name of the route's interface; * is a wildcard.", .check = Check::kFilterInterface},
      {.name = "matchOperator",
       .doc = "How the route's prefix is compared with cidr.",
       .words = "Equal/NotEqual/In/NotIn"},
      {.name = "peerType", .doc = "Kind of session the rule is for.", .words = "eBGP/iBGP"},
      {.name = "communities",
       .type = FieldType::kStruct,
       .doc = "Community that the route carries.",
       .members = &kCommunities,
       .presence = Presence::kOmitAbsent},
      {.name = "asPathPrefix",
       .type = FieldType::kAsNumber,
       .doc = "AS numbers that the route's path begins with.",
       .list = true},
      {.name = "priority",
       .type = FieldType::kInt,
       .doc = "Priority (kernel metric) that the route stands for.",
       .presence = Presence::kOmitAbsent,
       .min = 1,
       .max = kMaxPriority},
      {.name = "action",
       .doc = "What happens to a route that meets every condition.",
       .presence = Presence::kAlways,
       .words = "Accept/Reject",
       .required = true},
      {.name = "operations",
       .type = FieldType::kStruct,
       .doc = "What is done to an accepted route first, in this order; up to 10.",
       .members = &kOperation,
       .list = true,
       .max_items = 10},
  }};
}

void check_rule(const json::object& rule, Problems& problems) {
  const std::string cidr(text_of(rule, "cidr"));
  const std::string match(text_of(rule, "matchOperator"));
  if (base::parse_address(cidr)) problems.add("CIDR", cidr, "invalid CIDR value.");
  if (!cidr.empty() && match.empty()) problems.add("CIDR", cidr, "MatchOperator cannot be empty when CIDR is set");
  if (cidr.empty() && !match.empty()) {
    problems.add("MatchOperator", match, "CIDR cannot be empty when MatchOperator is set");
  }
  if (cidr.empty() && rule.contains("prefixLength")) {
    problems.add("PrefixLength", {}, "CIDR cannot be empty when PrefixLength is set");
  }
  if (const json::value* values = find(rule, "communities.values"); values != nullptr) {
    if (values->get_array().size() != 1) {
      problems.add("Communities.Values", {}, "exactly one community is needed");
    }
    for (const json::value& value : values->get_array()) {
      if (!is_community(value.get_string().c_str())) {
        problems.add("Communities.Values", std::string(value.get_string()), "invalid community value or format used.");
      }
    }
  }
  const json::value* operations = rule.if_contains("operations");
  if (text_of(rule, "action") == "Reject" && operations != nullptr && !operations->get_array().empty()) {
    problems.add("Operations", {}, "operations can only be used with action Accept");
  }
}

constexpr auto kRuleV4Fields = rule_fields(kLengthV4, Check::kNetV4, 18);
constexpr Struct kRuleV4 = {.go_type = "BGPFilterRuleV4", .fields = kRuleV4Fields, .check = check_rule};
constexpr auto kRuleV6Fields = rule_fields(kLengthV6, Check::kNetV6, 43);
constexpr Struct kRuleV6 = {.go_type = "BGPFilterRuleV6", .fields = kRuleV6Fields, .check = check_rule};

constexpr Field kSpecFields[] = {
    {.name = "exportV4",
     .type = FieldType::kStruct,
     .doc = "Rules for announced IPv4 routes; the first that matches decides.",
     .members = &kRuleV4,
     .list = true},
    {.name = "importV4",
     .type = FieldType::kStruct,
     .doc = "Rules for received IPv4 routes.",
     .members = &kRuleV4,
     .list = true},
    {.name = "exportV6",
     .type = FieldType::kStruct,
     .doc = "Rules for announced IPv6 routes.",
     .members = &kRuleV6,
     .list = true},
    {.name = "importV6",
     .type = FieldType::kStruct,
     .doc = "Rules for received IPv6 routes.",
     .members = &kRuleV6,
     .list = true},
};
constexpr Struct kSpec = {.go_type = "BGPFilterSpec", .fields = kSpecFields};

std::string count(const Resource& resource, std::string_view member) {
  const json::value* list = resource.spec().if_contains(member);
  return std::to_string(list != nullptr && list->is_array() ? list->get_array().size() : 0);
}

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "NUMEXPORTV4",
     .style = CellStyle::kCustom,
     .cell = [](const Resource& r, std::string_view) { return count(r, "exportV4"); }},
    {.heading = "NUMIMPORTV4",
     .style = CellStyle::kCustom,
     .cell = [](const Resource& r, std::string_view) { return count(r, "importV4"); }},
    {.heading = "NUMEXPORTV6",
     .style = CellStyle::kCustom,
     .cell = [](const Resource& r, std::string_view) { return count(r, "exportV6"); }},
    {.heading = "NUMIMPORTV6",
     .style = CellStyle::kCustom,
     .cell = [](const Resource& r, std::string_view) { return count(r, "importV6"); }},
};

}  // namespace

const Kind kBgpFilter = {
    .name = "BGPFilter",
    .plural = "bgpfilters",
    .aliases = "bgpfilter bgpfilters bgpf bgpfs bf bfs",
    .doc = "Rules for routes that BGPPeers exchange; named in their filters.",
    .spec = &kSpec,
    .columns = kColumns,
    .ps = "NAME NUMEXPORTV4 NUMIMPORTV4 NUMEXPORTV6 NUMIMPORTV6",
    .wide = "NAME NUMEXPORTV4 NUMIMPORTV4 NUMEXPORTV6 NUMIMPORTV6",
};

}  // namespace model::kinds
