// Preferences decide who wins when an address is known from two sides: a local guest's route (150, or 210 while it is a
// live migration's target) beats the same address from BGP (100), which beats what else the kernel knows (10); an
// elevated BGP route (200) lies between. The host's own default gets 110, or a default learned over BGP would make next
// hops unresolvable.
//
// What leaves is decided where a route enters: pools, blocks and service ranges give each route of this host a class,
// the attribute calico_export, in the import filters of the protocols it comes from, and the sessions' filters look at
// the class alone. BIRD compares filters by their contents, and evaluates every route again for each session whose
// filter has changed: with a mesh of 1,000 and 50 routes each, 50 million evaluations (5 s) for one new block. Routes
// of other hosts have no class, since no attribute but BGP's own crosses a session. Those of sessions that may be
// passed on get one in that session's import filter: when it changes, BIRD asks the neighbour for its routes once more,
// and what is the same again goes no further. (An import table would save the question, but BIRD 2 does not keep
// recursive next hops in it up to date.) What is left is classified on its way out, where it can leave at all: routes
// of a mesh for a router of another AS, and of neighbours that cannot send their routes again.
//
// In the same way what the kernel gets is decided where a route enters: a pipe marks the routes of a table of their
// own, krt4 or krt6, for the filter towards the kernel, which never changes. Or BIRD would write all routes into the
// kernel again, whether they differ or not (1 s for 50,000), when one pool becomes tunnelled. All routes go through the
// pipe, or a worse one could take the place of one that must stay out.
//
// IP-in-IP with a stock BIRD (spec bgp §3.7, way A): the kernel export filter sends a BGP route of a tunnelled pool
// through tunl0, with the node behind it as on-link gateway. The order interface, on-link, gateway is the only one that
// BIRD takes. While BIRD does not know the device, such routes are kept out of the kernel: the plain route would let
// packets leave unencapsulated.
#include "bgp/route_filters.h"

#include <algorithm>

#include <fmt/core.h>

namespace bgp {
namespace {

using base::Family;

constexpr std::uint32_t kTopPriority = 2147483647;  // local_pref = this − metric, so that less metric is more preferred
// Classes of routes. One that has none, or kUnnamed, leaves only if something else says so.
constexpr int kUnnamed = 0;
constexpr int kAnnounced = 1;
constexpr int kCovered = 2;  // by an own block, which is announced in its place
constexpr int kForbidden = 3;
// Marks for the kernel; most routes have none.
constexpr int kTunnelled = 1;
constexpr int kKeptOut = 2;
constexpr std::string_view kNoServicesLabel = "node.kubernetes.io/exclude-from-external-load-balancers";

char digit(Family family) { return family == Family::kIpv4 ? '4' : '6'; }

void sort_unique(std::vector<base::Prefix>& list) {
  std::ranges::sort(list);
  list.erase(std::ranges::unique(list).begin(), list.end());
}

}  // namespace

const Configuration& configuration(const Inputs& inputs, const std::string& name) {
  static const Configuration kUnset;
  const auto found = inputs.configurations.find(name);
  return found == inputs.configurations.end() ? kUnset : found->second;
}

void RouteFilters::write(Family family, Text& text, Diagnostics& out) const {
  text.line("");
  priorities(family, text);
  write_filters(inputs_.filters, Direction::kImport, family, text, out);
  write_filters(inputs_.filters, Direction::kExport, family, text, out);
  tag_communities(family, text);
  classify(family, text);
  export_common(family, text);
  session_filters(family, text);
  kernel_import(family, text);
  kernel_marks(family, text, out);
  kernel_export(family, text);
}

std::uint32_t RouteFilters::normal_priority(Family family) const {
  return family == Family::kIpv4 ? global_.normal_priority_v4 : global_.normal_priority_v6;
}

// Spec §3.5. A kernel metric of 0 means "no metric given" and counts as normal, or it would outrank every migration.
void RouteFilters::priorities(Family family, Text& text) const {
  const char f = digit(family);
  const std::uint32_t normal = normal_priority(family);
  text.line("function prio_out{}()\n{{", f);
  text.line("  if source = RTS_BGP && defined(bgp_local_pref) then");
  text.line("    calico_prio = {} - bgp_local_pref;", kTopPriority);
  text.line("  else {{");
  text.line("    calico_prio = {};", normal);
  text.line("    if defined(krt_metric) && krt_metric > 0 then calico_prio = krt_metric;");
  text.line("    bgp_local_pref = {} - calico_prio;", kTopPriority);
  text.line("  }}\n}}");
  text.line("function prio_in{}()\n{{", f);
  text.line("  if defined(bgp_local_pref) && bgp_local_pref > {} then preference = 200;", kTopPriority - normal);
  text.line("}}");
}

const std::vector<Advertisement>& RouteFilters::advertisements() const {
  static const std::vector<Advertisement> kNone;
  const Configuration& own = configuration(inputs_, "node." + inputs_.settings.node_name);
  if (own.advertisements) return *own.advertisements;
  return global_.advertisements ? *global_.advertisements : kNone;
}

void RouteFilters::tag_communities(Family family, Text& text) const {
  text.line("function tag_communities{}()\n{{", digit(family));
  for (const Advertisement& advertisement : advertisements()) {
    if (advertisement.cidr.family() != family) continue;
    text.line("  if net ~ {} then {{", base::to_string(advertisement.cidr));
    for (const Community& community : advertisement.communities) {
      text.line("    {}.add({});", community.c ? "bgp_large_community" : "bgp_community", to_string(community));
    }
    text.line("  }}");
  }
  text.line("}}");
}

bool RouteFilters::announces_services() const {
  const auto node = inputs_.nodes.find(inputs_.settings.node_name);
  if (node == inputs_.nodes.end()) return true;
  const auto label = node->second.label_texts.find(std::string(kNoServicesLabel));
  return label == node->second.label_texts.end() || label->second != "true";
}

std::vector<base::Prefix> RouteFilters::service_ranges(Family family) const {
  std::vector<base::Prefix> ranges;
  const auto take = [&](const std::vector<base::Prefix>& list) {
    for (const base::Prefix& cidr : list) {
      if (cidr.family() == family) ranges.push_back(cidr);
    }
  };
  take(global_.cluster_ips);
  take(global_.external_ips);
  if (global_.aggregate_load_balancers) take(global_.load_balancer_ips);
  sort_unique(ranges);
  return ranges;
}

std::vector<base::Prefix> RouteFilters::blackholes(Family family) const {
  std::vector<base::Prefix> result;
  for (const auto& [cidr, state] : inputs_.blocks) {
    if (cidr.family() == family && !cidr.is_host()) result.push_back(cidr);
  }
  if (announces_services()) {
    const std::vector<base::Prefix> ranges = service_ranges(family);
    result.insert(result.end(), ranges.begin(), ranges.end());
  }
  sort_unique(result);
  return result;
}

std::vector<base::Prefix> RouteFilters::pools(Family family, bool exported) const {
  std::vector<base::Prefix> result;
  for (const auto& [name, pool] : inputs_.pools) {
    if (pool.cidr.family() == family && pool.disable_bgp_export != exported) result.push_back(pool.cidr.masked());
  }
  if (exported) {
    for (const TunnelNetwork& network : inputs_.settings.tunnel_networks) {
      if (network.cidr.family() == family) result.push_back(network.cidr.masked());
    }
  }
  sort_unique(result);
  return result;
}

// A block inside another one is covered by that. Blocks may be many: BIRD looks a route up in a set of them once.
std::vector<base::Prefix> RouteFilters::announced_blocks(Family family) const {
  std::vector<base::Prefix> result;
  for (const auto& [block, state] : inputs_.blocks) {  // the outer one comes first
    if (block.family() != family || state != BlockState::kConfirmed) continue;
    if (result.empty() || !result.back().contains(block.address)) result.push_back(block);
  }
  return result;
}

bool RouteFilters::host_routes(Family family) const {
  if (inputs_.settings.host_routes != HostRouteRule::kAuto) return inputs_.settings.host_routes == HostRouteRule::kOn;
  return std::ranges::none_of(inputs_.pools, [&](const auto& pool) { return pool.second.cidr.family() == family; });
}

// Spec §3.4, export steps 3.1 and 3.5 to 3.8, last first: the last statement that concerns a route decides. §2.10: a
// block stands for its addresses, except for a guest that is just moving here, which export_common sees.
void RouteFilters::classify(Family family, Text& text) const {
  const auto say = [&](std::string_view condition, const base::Prefix& net, int result) {
    text.line("  if net {} {} then calico_export = {};", condition, base::to_string(net), result);
  };
  text.line("function classify{}()\n{{\n  calico_export = {};", digit(family), kUnnamed);
  if (host_routes(family)) {
    text.line("  if source != RTS_BGP && net.len > 0 && ({} || ifname = \"dummy1\") then calico_export = {};",
              workload_test_, kAnnounced);
  }
  for (const base::Prefix& pool : pools(family, true)) say("~", pool, kAnnounced);
  if (!self_.cluster_id.empty()) {
    for (const base::Prefix& range : global_.load_balancer_ips) {
      if (range.family() == family) say("~", range, kAnnounced);
    }
  }
  if (announces_services()) {
    for (const base::Prefix& range : service_ranges(family)) say("~", range, kAnnounced);
  }
  std::string exact, inside;
  for (const base::Prefix& block : announced_blocks(family)) {
    const std::string_view comma = exact.empty() ? "" : ", ";
    exact += fmt::format("{}{}", comma, base::to_string(block));
    inside += fmt::format("{}{}+", comma, base::to_string(block));
  }
  if (!exact.empty()) {
    text.line("  if net ~ [ {} ] then calico_export = {};", inside, kCovered);
    text.line("  if net ~ [ {} ] then calico_export = {};", exact, kAnnounced);
  }
  for (const base::Prefix& pool : pools(family, false)) say("~", pool, kForbidden);
  text.line("}}");
}

// Names no pool and no block: it is part of every session's filter.
void RouteFilters::export_common(Family family, Text& text) const {
  const char f = digit(family);
  text.line("function export_common{}(bool same_as)\n{{", f);
  text.line("  if same_as && (ifname ~ \"*.cali\" || ifname ~ \"*.calico\") then reject;");
  text.line("  if ifname ~ \"bpf*.cali\" then reject;");
  text.line("  if !defined(calico_export) then reject;");
  text.line("  if calico_export = {} then reject;", kForbidden);
  text.line("  tag_communities{}();", f);
  text.line("  if calico_export = {} then accept;", kAnnounced);
  text.line("  if calico_export = {} then {{ if calico_prio < {} then accept; reject; }}", kCovered,
            normal_priority(family));
  if (!self_.cluster_id.empty() && host_routes(family)) reflect_unnamed(family, text);
  text.line("}}");
}

// Where no pool names the cloud's addresses, a reflector passes on whatever its own AS has, as a reflector does that
// knows nothing of pools; which session gets what of it is BIRD's own rule. Where the host-route rule was asked for
// beside pools, those are floating IPs. To other AS only single addresses that this one brought forth, or the reflector
// would carry foreign traffic between its routers.
void RouteFilters::reflect_unnamed(Family family, Text& text) const {
  const int host = family == Family::kIpv4 ? 32 : 128;
  const bool any_pool = !pools(family, true).empty() || !pools(family, false).empty();
  text.line("  if source = RTS_BGP && same_as{} then accept;", any_pool ? fmt::format(" && net.len = {}", host) : "");
  text.line("  if source = RTS_BGP && bgp_path.len = 0 && net.len = {} then accept;", host);
}

// Sessions without BGPFilters share these, which keeps a large mesh short.
void RouteFilters::session_filters(Family family, Text& text) const {
  const char f = digit(family);
  text.line("filter bgp_in{} {{ prio_in{}(); accept; }}", f, f);
  text.line("filter bgp_in{}_classify {{ classify{}(); prio_in{}(); accept; }}", f, f, f);
  for (const bool same_as : {true, false}) {
    const std::string_view kind = same_as ? "same" : "other";
    text.line("filter bgp_out{}_{} {{ prio_out{}(); export_common{}({}); reject; }}", f, kind, f, f, same_as);
    text.line("filter bgp_out{}_{}_classify {{ prio_out{}(); {}export_common{}({}); reject; }}", f, kind, f,
              classify_the_rest(family), f, same_as);
  }
}

std::string RouteFilters::classify_the_rest(Family family) {
  return fmt::format("if !defined(calico_export) then classify{}(); ", digit(family));
}

// Spec §3.8 rules 2, 4 and 5. own_routes is for the other protocols this host's routes come from.
void RouteFilters::kernel_import(Family family, Text& text) const {
  text.line("filter own_routes{} {{ classify{}(); accept; }}", digit(family), digit(family));
  text.line("filter kernel_import{}\n{{", digit(family));
  text.line("  if net.len = 0 && dest = RTD_UNICAST then preference = 110;");
  text.line("  if krt_source = 80 && !({} || ifname ~ \"*.cali\" || ifname ~ \"*.calico\") then reject;",
            workload_test_);
  text.line("  if {} then {{", workload_test_);
  text.line("    preference = 150;");
  text.line("    if krt_metric > 0 && krt_metric < {} then preference = 210;", normal_priority(family));
  text.line("  }}");
  text.line("  classify{}();\n  accept;\n}}", digit(family));
}

// The first statement that holds decides. A route that is let through as it is has no mark.
void RouteFilters::kernel_marks(Family family, Text& text, Diagnostics& out) const {
  text.line("filter kernel_marks{}\n{{", digit(family));
  for (const base::Prefix& range : service_ranges(family))
    text.line("  if net ~ {} then {{ calico_kernel = {}; accept; }}", base::to_string(range), kKeptOut);
  for (const auto& [name, pool] : inputs_.pools) {
    if (pool.cidr.family() != family) continue;
    if (pool.ipip != model::EncapMode::kNever && family == Family::kIpv6) {
      out.push_back({fmt::format("IPPool({})", name), "spec.ipipMode", "IP-in-IP is for IPv4 only and has no effect"});
    }
    kernel_pool(pool.cidr.masked(), pool.ipip, pool.vxlan, text);
  }
  for (const TunnelNetwork& network : inputs_.settings.tunnel_networks) {
    if (network.cidr.family() == family) {
      kernel_pool(network.cidr.masked(), network.mode, model::EncapMode::kNever, text);
    }
  }
  text.line("  accept;\n}}");
}

void RouteFilters::kernel_export(Family family, Text& text) const {
  text.line("filter kernel_export{}\n{{", digit(family));
  text.line("  if source = RTS_DEVICE then reject;");
  text.line("  if defined(calico_kernel) then {{");
  text.line("    if calico_kernel = {} then reject;", kKeptOut);
  if (family == Family::kIpv4)
    text.line("    ifname = \"{}\"; onlink = true; gw = bgp_next_hop; accept;", kTunnelDevice);
  text.line("  }}");
  text.line("  if source = RTS_BGP && dest = RTD_UNICAST && ({}) then onlink = true;", workload_test_);
  text.line("  accept;\n}}");
}

// Which BGP routes inside a pool BIRD programs, and how (spec §2.9, §3.6). What is not said here ends in `accept`.
void RouteFilters::kernel_pool(const base::Prefix& cidr, model::EncapMode ipip, model::EncapMode vxlan,
                               Text& text) const {
  const std::string net = base::to_string(cidr);
  if (vxlan != model::EncapMode::kNever || !global_.program_cluster_routes) {
    text.line("  if source = RTS_BGP && net ~ {} then {{ calico_kernel = {}; accept; }}  # the agent's", net, kKeptOut);
    return;
  }
  if (ipip == model::EncapMode::kNever || cidr.family() == Family::kIpv6) return;
  std::string tunnelled = fmt::format("source = RTS_BGP && dest = RTD_UNICAST && net ~ {}", net);
  if (ipip == model::EncapMode::kCrossSubnet && self_.v4) {
    tunnelled += fmt::format(" && !(bgp_next_hop ~ {})", base::to_string(self_.v4->masked()));
  }
  text.line("  if {} then {{ calico_kernel = {}; accept; }}{}", tunnelled, inputs_.tunnel_ready ? kTunnelled : kKeptOut,
            inputs_.tunnel_ready ? "" : fmt::format("  # {} is not there yet", kTunnelDevice));
}

}  // namespace bgp
