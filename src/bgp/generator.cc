// The file in the order BIRD reads it: daemon, filters, kernel and device protocols, template, sessions. Each section
// is one function below; what stands in a filter and why is in spec bgp §3.4 (order), §3.5 (priorities) and §3.8
// (preferences).
//
// Preferences decide who wins when an address is known from two sides: a local guest's route (150, or 210 while it is a
// live migration's target) beats the same address from BGP (100), which beats what else the kernel knows (10); an
// elevated BGP route (200) lies between. The host's own default gets 110, or a default learned over BGP would make next
// hops unresolvable.
#include "bgp/generator.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "base/digest.h"
#include "bgp/peering.h"

namespace bgp {
namespace {

using base::Family;

constexpr std::uint32_t kTopPriority = 2147483647;  // local_pref = this − metric, so that less metric is more preferred
constexpr int kKeepaliveFreeOfHold = 80;            // a third of BIRD's default hold time
constexpr std::int64_t kMaxHold = 65535;
constexpr std::array kFamilies = {Family::kIpv4, Family::kIpv6};

char digit(Family family) { return family == Family::kIpv4 ? '4' : '6'; }

const Configuration& configuration(const Inputs& inputs, const std::string& name) {
  static const Configuration kUnset;
  const auto found = inputs.configurations.find(name);
  return found == inputs.configurations.end() ? kUnset : found->second;
}

class Generator {
 public:
  explicit Generator(const Inputs& inputs)
      : inputs_(inputs), global_(configuration(inputs, "default")), self_(identity(inputs)) {
    peerings_ = compute_peerings(inputs, diagnostics_);
    set_debug();
    set_workload_test();
  }

  Generated run() {
    daemon();
    for (const Family family : kFamilies) filters(family);
    local_protocols();
    for (const Family family : kFamilies) kernel(family);
    for (const Family family : kFamilies) static_routes(family);
    session_template();
    for (const Peering& peering : peerings_) session(peering);
    return {std::move(text_), std::move(diagnostics_)};
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_ += fmt::format(format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  void set_debug() {
    const Configuration& own = configuration(inputs_, "node." + inputs_.settings.node_name);
    const Debug level = own.debug ? *own.debug : global_.debug.value_or(Debug::kStates);
    debug_ = level == Debug::kAll ? " debug all;" : level == Debug::kStates ? " debug { states };" : "";
  }

  void set_workload_test() {
    for (const std::string& prefix : inputs_.settings.workload_prefixes) {
      const std::string pattern = prefix + "*";
      if (!is_interface_pattern(pattern)) {
        diagnostics_.push_back(
            {"InterfacePrefix", "", "an interface prefix is not 1 to 14 of a-z A-Z 0-9 _ . - and is left out"});
        continue;
      }
      workload_patterns_.push_back(pattern);
      workload_test_ += fmt::format("{}ifname ~ \"{}\"", workload_test_.empty() ? "" : " || ", pattern);
    }
    if (workload_test_.empty()) workload_test_ = "false";
  }

  std::uint32_t normal_priority(Family family) const {
    return family == Family::kIpv4 ? global_.normal_priority_v4 : global_.normal_priority_v6;
  }

  bool strict(Family family) const {
    return global_.bind_mode == BindMode::kNodeIp && self_.address(family).has_value();
  }

  void daemon() {
    const std::string& log = inputs_.settings.log_file;
    if (!log.empty() && is_usable_password(log))
      line("log \"{}\" all;", log);  // the same quotes, the same rule
    else
      line("log syslog all;");
    line("router id {};", base::to_string(router_id(inputs_, diagnostics_)));
    line("timeformat base iso long;");
    line("timeformat protocol iso short;");
    line("timeformat route iso short;");
    line("graceful restart wait {};", inputs_.settings.recovery_wait.count());
    line("watchdog warning 5 s;");
    line("");
    line("attribute int calico_prio;  # a route's priority as a kernel metric; never leaves the daemon");
  }

  void filters(Family family) {
    line("");
    prio_functions(family);
    export_common(family);
    kernel_import(family);
    kernel_export(family);
  }

  // Spec §3.5. A kernel metric of 0 means "no metric given" and counts as normal, or it would outrank every migration.
  void prio_functions(Family family) {
    const char f = digit(family);
    const std::uint32_t normal = normal_priority(family);
    line("function prio_out{}()\n{{", f);
    line("  if source = RTS_BGP && defined(bgp_local_pref) then");
    line("    calico_prio = {} - bgp_local_pref;", kTopPriority);
    line("  else {{");
    line("    calico_prio = {};", normal);
    line("    if defined(krt_metric) && krt_metric > 0 then calico_prio = krt_metric;");
    line("    bgp_local_pref = {} - calico_prio;", kTopPriority);
    line("  }}\n}}");
    line("function prio_in{}()\n{{", f);
    line("  if defined(bgp_local_pref) && bgp_local_pref > {} then preference = 200;", kTopPriority - normal);
    line("}}");
  }

  // Spec §3.4, export step 3. Filters of BGPFilter, communities and own blocks go between the rejects and the pools.
  void export_common(Family family) {
    line("function export_common{}(bool same_as)\n{{", digit(family));
    for (const base::Prefix& pool : pools(family, [](const model::IpPool& p) { return p.disable_bgp_export; })) {
      line("  if net ~ {} then reject;", base::to_string(pool));
    }
    line("  if same_as && (ifname ~ \"*.cali\" || ifname ~ \"*.calico\") then reject;");
    line("  if ifname ~ \"bpf*.cali\" then reject;");
    for (const base::Prefix& pool : pools(family, [](const model::IpPool& p) { return !p.disable_bgp_export; })) {
      line("  if net ~ {} then accept;", base::to_string(pool));
    }
    if (host_routes(family)) {
      line("  if source != RTS_BGP && net.len > 0 && ({} || ifname = \"dummy1\") then accept;", workload_test_);
    }
    line("}}");
  }

  bool host_routes(Family family) const {
    if (inputs_.settings.host_routes != HostRouteRule::kAuto) return inputs_.settings.host_routes == HostRouteRule::kOn;
    return pools(family, [](const model::IpPool&) { return true; }).empty();
  }

  template <typename Wanted>
  std::vector<base::Prefix> pools(Family family, Wanted wanted) const {
    std::vector<base::Prefix> result;
    for (const auto& [name, pool] : inputs_.pools) {
      if (pool.cidr.family() == family && wanted(pool)) result.push_back(pool.cidr.masked());
    }
    std::ranges::sort(result);
    result.erase(std::ranges::unique(result).begin(), result.end());
    return result;
  }

  // Spec §3.8 rules 2, 4 and 5.
  void kernel_import(Family family) {
    line("filter kernel_import{}\n{{", digit(family));
    line("  if net.len = 0 && dest = RTD_UNICAST then preference = 110;");
    line("  if krt_source = 80 && !({} || ifname ~ \"*.cali\" || ifname ~ \"*.calico\") then reject;", workload_test_);
    line("  if {} then {{", workload_test_);
    line("    preference = 150;");
    line("    if krt_metric > 0 && krt_metric < {} then preference = 210;", normal_priority(family));
    line("  }}");
    line("  accept;\n}}");
  }

  void kernel_export(Family family) {
    line("filter kernel_export{}\n{{", digit(family));
    line("  if source = RTS_DEVICE then reject;");
    for (const auto& [name, pool] : inputs_.pools) {
      if (pool.cidr.family() == family) kernel_pool(name, pool);
    }
    line("  if source = RTS_BGP && dest = RTD_UNICAST && ({}) then onlink = true;", workload_test_);
    line("  accept;\n}}");
  }

  // Which BGP routes inside a pool BIRD programs (spec §2.9, §3.6). Encapsulated routes will be written here (§3.7, way
  // A); until then they are kept out of the kernel, so that nothing leaves unencapsulated.
  void kernel_pool(const std::string& name, const model::IpPool& pool) {
    const std::string cidr = base::to_string(pool.cidr.masked());
    const bool agents = pool.vxlan != model::EncapMode::kNever || !global_.program_cluster_routes;
    if (agents) return line("  if source = RTS_BGP && net ~ {} then reject;", cidr);
    if (pool.ipip == model::EncapMode::kNever || pool.cidr.family() == Family::kIpv6) return;
    diagnostics_.push_back({fmt::format("IPPool({})", name), "spec.ipipMode",
                            "IP-in-IP is not supported yet; routes that need the tunnel are kept out of the kernel"});
    if (pool.ipip == model::EncapMode::kCrossSubnet && self_.v4) {
      return line("  if source = RTS_BGP && net ~ {} && !(bgp_next_hop ~ {}) then reject;", cidr,
                  base::to_string(self_.v4->masked()));
    }
    line("  if source = RTS_BGP && net ~ {} then reject;", cidr);
  }

  // The direct protocol derives routes from addresses. It must not see guests' interfaces, nor the DHCP agent's ns-*,
  // whose gateway address would resurrect the whole subnet as a route of this node (spec §3.2).
  void local_protocols() {
    line("");
    line("protocol device {{ scan time 2;{} }}", debug_);
    std::string interfaces;
    for (const std::string& pattern : global_.ignored_interfaces) interfaces += fmt::format("-\"{}\", ", pattern);
    for (const std::string& pattern : workload_patterns_) interfaces += fmt::format("-\"{}\", ", pattern);
    line("protocol direct {{ ipv4; ipv6;{}\n  interface {}-\"ns-*\", -\"kube-ipvs*\", \"*\"; }}", debug_, interfaces);
  }

  // The metric stays 32 for ever: changing it orphans every route written with the old one (spec §3.8).
  void kernel(Family family) {
    const char f = digit(family);
    line("protocol kernel kernel{} {{", f);
    line("  learn; persist; scan time 2; graceful restart; merge paths on; metric 32;");
    line("  ipv{} {{ import filter kernel_import{}; export filter kernel_export{}; }};\n}}", f, f, f);
  }

  void static_routes(Family family) {
    line("protocol static calico_static{} {{\n  ipv{};", digit(family), digit(family));
    for (const Peering& peering : peerings_) {
      if (peering.reachable_by && peering.address.family() == family && *peering.reachable_by != peering.address) {
        line("  route {} via {};", base::to_string(base::Prefix::host(peering.address)),
             base::to_string(*peering.reachable_by));
      }
    }
    line("}}");
  }

  void session_template() {
    line("");
    line("template bgp calico_peer {{");
    line("  local as {};", self_.as_number);
    line("  description \"Connection to BGP peer\";{}", debug_);
    line("  graceful restart;");
    line("  connect delay time 2;\n  connect retry time 5;\n  error wait time 5, 30;");
    line("}}");
  }

  void session(const Peering& peering) {
    line("protocol bgp {} from calico_peer {{", peering.protocol);
    if (peering.ttl_security > 0)
      line("  ttl security on;\n  multihop {};", peering.ttl_security);
    else if (peering.kind != PeeringKind::kMesh)
      line("  ttl security off;\n  multihop;");
    local_end(peering);
    line("  neighbor {}{} as {};", base::to_string(peering.address),
         peering.port ? fmt::format(" port {}", *peering.port) : "", peering.as_number);
    if (peering.route_reflector_client) reflector();
    if (peering.passive) line("  passive on;");
    if (!peering.password.empty()) line("  password \"{}\";", peering.password);
    if (peering.restart_time) line("  graceful restart time {};", peering.restart_time->count());
    if (peering.keepalive) timers(peering.keepalive->count());
    if (peering.allowed_local_as > 0) line("  allow local as {};", peering.allowed_local_as);
    channel(peering);
    line("}}");
  }

  // A strict and a wildcard socket on one port exclude each other, so NodeIP binds every session of the family and
  // needs the node's address even where the resource asked for none (spec §3.9).
  void local_end(const Peering& peering) {
    const Family family = peering.address.family();
    std::string local;
    if (peering.source)
      local += " " + base::to_string(*peering.source);
    else if (strict(family))
      local += " " + base::to_string(self_.address(family)->address);
    if (self_.listen_port) local += fmt::format(" port {}", *self_.listen_port);
    if (peering.local_as) local += fmt::format(" as {}", *peering.local_as);
    if (!local.empty()) line("  local{};", local);
    if (strict(family)) line("  strict bind yes;");
  }

  void reflector() {
    line("  rr client;");
    if (auto id = base::parse_address(self_.cluster_id); id && id->is_v4()) {
      line("  rr cluster id {};", base::to_string(*id));
    } else {
      diagnostics_.push_back({fmt::format("Node({})", inputs_.settings.node_name), "spec.bgp.routeReflectorClusterID",
                              "is not an IPv4 address; the router id is used as cluster id"});
    }
  }

  // BIRD refuses a keepalive above the hold time (spec §3.3).
  void timers(std::int64_t keepalive) {
    if (keepalive > kKeepaliveFreeOfHold) line("  hold time {};", std::min<std::int64_t>(3 * keepalive, kMaxHold));
    line("  keepalive time {};", keepalive);
  }

  void channel(const Peering& peering) {
    const char f = digit(peering.address.family());
    line("  ipv{} {{", f);
    line("    gateway recursive; add paths on;{}", peering.next_hop == NextHopMode::kSelf   ? " next hop self;"
                                                   : peering.next_hop == NextHopMode::kKeep ? " next hop keep;"
                                                                                            : "");
    line("    import filter {{ prio_in{}(); accept; }};", f);
    line("    export filter {{ prio_out{}(); export_common{}({}); reject; }};", f, f, peering.internal);
    line("  }};");
  }

  const Inputs& inputs_;
  const Configuration& global_;
  Identity self_;
  std::vector<Peering> peerings_;
  std::vector<std::string> workload_patterns_;
  std::string workload_test_;
  std::string_view debug_;
  std::string text_;
  Diagnostics diagnostics_;
};

}  // namespace

base::IpAddress hashed_router_id(std::string_view node_name) {
  const base::Sha256 hash = base::sha256(node_name);
  std::uint32_t id = 0;
  for (int i = 0; i < 4; ++i) id = id << 8 | hash[static_cast<std::size_t>(i)];
  if (hash[0] > 223) id -= 32u << 24;  // multicast and above are no identifiers
  return base::IpAddress::v4(id == 0 ? 1 : id);
}

base::IpAddress router_id(const Inputs& inputs, Diagnostics& out) {
  const std::string& wanted = inputs.settings.router_id;
  if (!wanted.empty() && wanted != "hash") {
    auto literal = base::parse_address(wanted);
    if (literal && literal->is_v4() && literal->v4_host_order() != 0) return *literal;
    out.push_back(
        {"CALICO_ROUTER_ID", "", "is neither \"hash\" nor an IPv4 address; the node's name is hashed instead"});
    return hashed_router_id(inputs.settings.node_name);
  }
  const Identity self = identity(inputs);
  return wanted.empty() && self.v4 ? self.v4->address : hashed_router_id(inputs.settings.node_name);
}

Generated generate(const Inputs& inputs) { return Generator(inputs).run(); }

std::string minimal_configuration(const Settings& settings) {
  Inputs inputs;
  inputs.settings = settings;
  inputs.settings.peers.clear();
  return generate(inputs).text;
}

}  // namespace bgp
