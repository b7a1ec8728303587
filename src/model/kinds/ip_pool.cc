// IPPool (spec datamodel §4.11; spec cli §6.5, §7.4).

#include <algorithm>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/ip.h"
#include "base/strings.h"
#include "model/kinds/kinds.h"
#include "model/resource.h"

namespace model::kinds {
namespace {

namespace json = boost::json;

constexpr Field kSpecFields[] = {
    {.name = "cidr",
     .doc = "Addresses of the pool. No other pool may overlap it.",
     .presence = Presence::kAlways,
     .check = Check::kNet,
     .max_length = 48,
     .required = true,
     .immutable = true},
    {.name = "vxlanMode",
     .doc = "When traffic to the pool is encapsulated in VXLAN.",
     .check = Check::kVxlanMode,
     .words = "Never/Always/CrossSubnet",
     .when_absent = "Never",
     .go_name = "VXLANMode"},
    {.name = "ipipMode",
     .doc = "When traffic to the pool is encapsulated in IP-in-IP; IPv4 only.",
     .check = Check::kIpIpMode,
     .words = "Never/Always/CrossSubnet",
     .when_absent = "Never",
     .go_name = "IPIPMode"},
    {.name = "natOutgoing",
     .type = FieldType::kBool,
     .doc = "Masquerade traffic from the pool to addresses outside all pools.",
     .when_absent = "false",
     .go_name = "NATOutgoing"},
    {.name = "disabled",
     .type = FieldType::kBool,
     .doc = "No new addresses are taken from the pool.",
     .when_absent = "false"},
    {.name = "disableBGPExport",
     .type = FieldType::kBool,
     .doc = "Routes of the pool are not announced over BGP.",
     .when_absent = "false"},
    {.name = "blockSize",
     .type = FieldType::kInt,
     .doc = "Prefix length of the blocks that nodes take from the pool: 20-32, IPv6 116-128.",
     .when_absent = "26, IPv6 122",
     .immutable = true},
    {.name = "nodeSelector",
     .doc = "Nodes that may take addresses from the pool.",
     .check = Check::kSelector,
     .when_absent = "all()"},
    {.name = "namespaceSelector",
     .doc = "Namespaces whose workloads may take addresses from the pool.",
     .check = Check::kSelector},
    {.name = "allowedUses",
     .doc = "What the addresses are for.",
     .list = true,
     .words = "Workload/Tunnel/LoadBalancer",
     .max_items = 10,
     .when_absent = "[Workload, Tunnel]"},
    {.name = "assignmentMode",
     .doc = "Automatic: addresses may be taken without naming the pool. Manual: only on request.",
     .presence = Presence::kOmitAbsent,
     .check = Check::kAssignmentMode,
     .words = "Automatic/Manual",
     .default_json = "\"Automatic\""},
};
constexpr Struct kSpec = {.go_type = "IPPoolSpec", .fields = kSpecFields};

constexpr Field kStatusFields[] = {
    {.name = "conditions",
     .type = FieldType::kAny,
     .doc = "Whether addresses can be taken from the pool, and why not."},
};
constexpr Struct kStatus = {.go_type = "IPPoolStatus", .fields = kStatusFields};

constexpr Column kColumns[] = {
    {.heading = "NAME", .path = "metadata.name"},
    {.heading = "CIDR", .path = "spec.cidr"},
    {.heading = "NAT", .path = "spec.natOutgoing", .style = CellStyle::kZero},
    {.heading = "IPIPMODE", .path = "spec.ipipMode", .style = CellStyle::kNever},
    {.heading = "VXLANMODE", .path = "spec.vxlanMode", .style = CellStyle::kNever},
    {.heading = "DISABLED", .path = "spec.disabled", .style = CellStyle::kZero},
    {.heading = "DISABLEBGPEXPORT", .path = "spec.disableBGPExport", .style = CellStyle::kZero},
    {.heading = "SELECTOR", .path = "spec.nodeSelector"},
    {.heading = "ASSIGNMENTMODE", .path = "spec.assignmentMode", .style = CellStyle::kPointer},
};

bool is_encapsulated(std::string_view mode) { return !mode.empty() && mode != "Never"; }

std::vector<std::string> allowed_uses(const json::object& spec) {
  std::vector<std::string> uses;
  const json::value* list = spec.if_contains("allowedUses");
  if (list == nullptr || !list->is_array()) return uses;
  for (const json::value& use : list->get_array()) {
    if (use.is_string()) uses.emplace_back(use.get_string().c_str());
  }
  return uses;
}

bool contains(const std::vector<std::string>& uses, std::string_view use) {
  return std::ranges::find(uses, use) != uses.end();
}

void fill_in(json::object& spec, base::Family family) {
  if (text_of(spec, "nodeSelector").empty()) spec["nodeSelector"] = "all()";
  if (number_of(spec, "blockSize").value_or(0) == 0) spec["blockSize"] = family == base::Family::kIpv4 ? 26 : 122;
  if (allowed_uses(spec).empty()) spec["allowedUses"] = {"Workload", "Tunnel"};
  for (const std::string_view mode : {"ipipMode", "vxlanMode"}) {
    if (text_of(spec, mode).empty()) spec[mode] = "Never";
  }
}

void check_pool_of(const json::object& spec, const base::Prefix& pool, bool masked, Problems& problems) {
  const std::string cidr = base::to_string(pool);
  const auto size = number_of(spec, "blockSize").value_or(0);
  const bool v4 = pool.family() == base::Family::kIpv4;
  if (v4 ? size < 20 || size > 32 : size < 116 || size > 128) {
    problems.add("IPPool.Spec.BlockSize", std::to_string(size),
                 v4 ? "IPv4 block size must be between 20 and 32" : "IPv6 block size must be between 116 and 128");
  }
  if (pool.length > size && !flag_of(spec, "disabled")) {
    problems.add(
        "IPPool.Spec.CIDR", cidr,
        "IP pool size is too small for use with Calico IPAM. It must be equal to or greater than the block size.");
  }
  if (!masked) problems.add("IPPool.Spec.CIDR", cidr, "IPPool CIDR is not strictly masked");
  if (pool.overlaps(*base::parse_cidr(v4 ? "169.254.0.0/16" : "fe80::/10"))) {
    problems.add("IPPool.Spec.CIDR", cidr,
                 v4 ? "IPPool CIDR overlaps with IPv4 Link Local range 169.254.0.0/16"
                    : "IPPool CIDR overlaps with IPv6 Link Local range fe80::/10");
  }
  const bool ipip = is_encapsulated(text_of(spec, "ipipMode"));
  if (ipip && is_encapsulated(text_of(spec, "vxlanMode"))) {
    problems.add("IPPool.Spec.VXLANMode", std::string(text_of(spec, "vxlanMode")),
                 "Cannot enable both VXLAN and IPIP on the same IPPool");
    problems.add_schema("IPPool", "ipipMode and vxlanMode cannot both be enabled");
  }
  if (ipip && !v4) {
    problems.add("IPPool.Spec.IPIPMode", std::string(text_of(spec, "ipipMode")),
                 "IPIP is not supported on an IPv6 IP pool");
    problems.add_schema("IPPool", "IPIP is not supported on IPv6 pools");
  }
}

void complete_pool(Resource& resource, WriteReason, Problems& problems) {
  json::object& spec = resource.spec();
  const std::string text(text_of(spec, "cidr"));
  if (text.empty()) {
    problems.add("IPPool.Spec.CIDR", "", "IPPool CIDR must be specified");
    return;
  }
  const auto pool = base::parse_interface_cidr(text);
  if (!pool) {
    problems.add("IPPool.Spec.CIDR", text, "IPPool CIDR must be a valid subnet");
    return;
  }
  fill_in(spec, pool->family());
  check_pool_of(spec, pool->masked(), *pool == pool->masked(), problems);
  spec["cidr"] = base::to_string(pool->masked());
}

void check_load_balancer(const json::object& spec, const std::vector<std::string>& uses, Problems& problems) {
  for (const std::string& use : uses) {
    if (use == "LoadBalancer") continue;
    problems.add("IPpool.AllowedUses", {}, "LoadBalancer cannot be used at the same time as: " + use);
  }
  if (is_encapsulated(text_of(spec, "ipipMode")) || is_encapsulated(text_of(spec, "vxlanMode"))) {
    problems.add("IPpool.IPIPMode", std::string(text_of(spec, "ipipMode")),
                 "Neither IPIPMode nor VXLANMode can be enabled on AllowedUses LoadBalancer IP pool");
  }
  if (text_of(spec, "nodeSelector") != "all()") {
    problems.add("IPpool.NodeSelector", std::string(text_of(spec, "nodeSelector")),
                 "IP Pool with AllowedUse LoadBalancer must have node selector set to all()");
  }
  // Upstream's text says "true", which is the opposite of what it demands.
  if (flag_of(spec, "disableBGPExport")) {
    problems.add("IPpool.DisableBGPExport", "true",
                 "IP Pool with AllowedUse LoadBalancer must have DisableBGPExport set to false");
  }
}

void check_pool(const Resource& resource, Problems& problems) {
  const json::object& spec = resource.spec();
  const auto uses = allowed_uses(spec);
  for (const std::string& use : uses) {
    if (use != "Workload" && use != "Tunnel" && use != "LoadBalancer")
      problems.add("IPpool.AllowedUses", use, "unknown use: " + use);
  }
  for (const std::string_view member : {"nodeSelector", "namespaceSelector"}) {
    const std::string_view selector = text_of(spec, member);
    if (selector_uses_global(selector)) {
      problems.add(member == "nodeSelector" ? "IPpool.NodeSelector" : "IPpool.NamespaceSelector", std::string(selector),
                   "global() cannot be used in an IP pool's selector");
    }
  }
  if (!text_of(spec, "namespaceSelector").empty() && contains(uses, "Tunnel")) {
    problems.add("IPpool.NamespaceSelector", std::string(text_of(spec, "namespaceSelector")),
                 "namespaceSelector cannot be used with AllowedUse Tunnel");
  }
  if (contains(uses, "LoadBalancer")) check_load_balancer(spec, uses, problems);
}

void check_pool_change(const Resource& before, const Resource& after, Problems& problems) {
  const auto old_cidr = base::parse_cidr(text_of(before.spec(), "cidr"));
  const auto new_cidr = base::parse_cidr(text_of(after.spec(), "cidr"));
  if (old_cidr && new_cidr && *old_cidr != *new_cidr) {
    problems.add("IPPool.Spec.CIDR", base::to_string(*new_cidr), "IPPool CIDR cannot be modified");
  }
  const auto old_size = number_of(before.spec(), "blockSize");
  const auto new_size = number_of(after.spec(), "blockSize");
  if (old_size && new_size != old_size) {
    problems.add("IPPool.Spec.BlockSize", std::to_string(new_size.value_or(0)), "IPPool BlockSize cannot be modified");
  }
  const auto uses = allowed_uses(after.spec());
  if (contains(allowed_uses(before.spec()), "LoadBalancer") &&
      (contains(uses, "Workload") || contains(uses, "Tunnel"))) {
    problems.add("IPPool.Spec.AllowedUses", "[" + base::join(uses, " ") + "]",
                 "IPPool allowed use cannot be changed from LoadBalacer to Workload or Tunnel");
  }
}

void show_defaults(Resource& resource, ReadReason) {
  json::object& spec = resource.spec();
  const auto pool = base::parse_cidr(text_of(spec, "cidr"));
  if (!pool) return;
  fill_in(spec, pool->family());
  if (text_of(spec, "assignmentMode").empty()) spec["assignmentMode"] = "Automatic";
}

}  // namespace

const Kind kIpPool = {
    .name = "IPPool",
    .plural = "ippools",
    .aliases = "ippool ippools ipp ipps pool pools",
    .doc = "A range of addresses that endpoints get theirs from, and how traffic to it is carried.",
    .spec = &kSpec,
    .status = &kStatus,
    .columns = kColumns,
    .ps = "NAME CIDR SELECTOR",
    .wide = "NAME CIDR NAT IPIPMODE VXLANMODE DISABLED DISABLEBGPEXPORT SELECTOR ASSIGNMENTMODE",
    .complete = complete_pool,
    .check = check_pool,
    .check_change = check_pool_change,
    .after_read = show_defaults,
};

}  // namespace model::kinds
