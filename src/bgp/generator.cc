// The file in the order BIRD reads it: daemon, filters (route_filters.h), kernel and device protocols, template,
// sessions. Each section is one function below.
#include "bgp/generator.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/core.h>

#include "base/digest.h"
#include "bgp/peering.h"
#include "bgp/route_filters.h"
#include "bgp/text.h"

namespace bgp {
namespace {

using base::Family;

constexpr int kKeepaliveFreeOfHold = 80;  // a third of BIRD's default hold time
constexpr std::int64_t kMaxHold = 65535;
constexpr std::array kFamilies = {Family::kIpv4, Family::kIpv6};

char digit(Family family) { return family == Family::kIpv4 ? '4' : '6'; }

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
    const RouteFilters route_filters(inputs_, global_, self_, workload_test_);
    for (const Family family : kFamilies) route_filters.write(family, text_, diagnostics_);
    local_protocols();
    for (const Family family : kFamilies) kernel(family);
    for (const Family family : kFamilies) static_routes(family, route_filters.blackholes(family));
    bfd();
    session_template();
    for (const Peering& peering : peerings_) session(peering);
    include_local();
    return {text_.take(), std::move(diagnostics_), routers()};
  }

 private:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_.line(format, std::forward<Args>(args)...);
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

  std::vector<std::string> routers() const {
    std::vector<std::string> names;
    for (const Peering& peering : peerings_) {
      if (peering.asks_refresh) names.push_back(peering.protocol);
    }
    return names;
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
    line("attribute int calico_export;  # what classify4/6() found; never leaves the daemon");
    line("attribute int calico_kernel;  # what kernel_marks4/6 found; never leaves the daemon");
  }

  // The direct protocol derives routes from addresses. It must not see guests' interfaces, nor the DHCP agent's ns-*,
  // whose gateway address would resurrect the whole subnet as a route of this node (spec §3.2).
  //
  // BIRD cannot evaluate routes of this protocol again: a new import filter restarts it, and for a moment no next hop
  // resolves. So they are classified on their way from tables of their own, which a pipe does at any time.
  void local_protocols() {
    line("");
    line("protocol device {{ scan time 2;{} }}", debug_);
    std::string interfaces;
    for (const std::string& pattern : global_.ignored_interfaces) interfaces += fmt::format("-\"{}\", ", pattern);
    for (const std::string& pattern : workload_patterns_) interfaces += fmt::format("-\"{}\", ", pattern);
    line("ipv4 table own4;\nipv6 table own6;\nipv4 table krt4;\nipv6 table krt6;");
    line("protocol direct {{ ipv4 {{ table own4; }}; ipv6 {{ table own6; }};{}", debug_);
    line("  interface {}-\"ns-*\", -\"kube-ipvs*\", \"*\"; }}", interfaces);
    for (const Family family : kFamilies) {
      const char f = digit(family);
      line(
          "protocol pipe calico_own{} {{ table master{}; peer table own{}; import filter own_routes{}; export none; }}",
          f, f, f, f);
    }
  }

  // The metric stays 32 for ever: changing it orphans every route written with the old one (spec §3.8).
  void kernel(Family family) {
    const char f = digit(family);
    line("protocol kernel kernel{} {{", f);
    line("  learn; persist; scan time 2; graceful restart; merge paths on; metric 32;");
    line("  ipv{} {{ table krt{}; import filter kernel_import{}; export filter kernel_export{}; }};\n}}", f, f, f, f);
    line("protocol pipe calico_krt{} {{ table master{}; peer table krt{}; import all; export filter kernel_marks{}; }}",
         f, f, f, f);
  }

  void static_routes(Family family, const std::vector<base::Prefix>& blackholes) {
    line("protocol static calico_static{} {{\n  ipv{} {{ import filter own_routes{}; }};", digit(family), digit(family),
         digit(family));
    for (const base::Prefix& cidr : blackholes) line("  route {} blackhole;", base::to_string(cidr));
    std::set<base::IpAddress> routed;  // two sessions to one router, by port
    for (const Peering& peering : peerings_) {
      if (peering.reachable_by && peering.address.family() == family && *peering.reachable_by != peering.address &&
          routed.insert(peering.address).second) {
        line("  route {} via {};", base::to_string(base::Prefix::host(peering.address)),
             base::to_string(*peering.reachable_by));
      }
    }
    line("}}");
  }

  bool uses_bfd(const Peering& peering) const {
    const BfdUse use = inputs_.settings.bfd.use;
    return use == BfdUse::kAll || (use == BfdUse::kPeers && peering.kind != PeeringKind::kMesh);
  }

  // Explicit peers are multihop for BIRD even on the same subnet, so both kinds of BFD session get the timers.
  void bfd() {
    if (std::ranges::none_of(peerings_, [this](const Peering& peering) { return uses_bfd(peering); })) return;
    const Bfd& settings = inputs_.settings.bfd;
    const std::string timers =
        fmt::format("interval {} ms; multiplier {};", settings.interval.count(), settings.multiplier);
    line("protocol bfd calico_bfd {{\n  interface \"*\" {{ {} }};\n  multihop {{ {} }};\n}}", timers, timers);
  }

  // Last, so that it may refer to everything above.
  void include_local() {
    if (inputs_.local_file == LocalFile::kNone || !is_usable_password(inputs_.settings.include_file)) return;
    line("\ninclude \"{}\";", inputs_.settings.include_file);
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
    if (uses_bfd(peering)) line("  bfd {};", inputs_.settings.bfd.loss == BfdLoss::kGraceful ? "graceful" : "on");
    channel(peering);
    line("}}");
  }

  // A strict and a wildcard socket on one port exclude each other, so NodeIP binds every session of the family and
  // needs the node's address even where the resource asked for none (spec §3.9). So does BFD over several hops.
  void local_end(const Peering& peering) {
    const Family family = peering.address.family();
    std::string local;
    if (peering.source)
      local += " " + base::to_string(*peering.source);
    else if (strict(family) || uses_bfd(peering))
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
    const Family family = peering.address.family();
    const char f = digit(family);
    line("  ipv{} {{", f);
    line("    gateway recursive; add paths on;{}", peering.next_hop == NextHopMode::kSelf   ? " next hop self;"
                                                   : peering.next_hop == NextHopMode::kKeep ? " next hop keep;"
                                                                                            : "");
    const auto calls = [&](Direction direction) {
      return filter_calls(inputs_.filters, peering.filters, direction, family, peering.internal);
    };
    // Before BGPFilters, which may end the filter; they cannot change what decides the class.
    if (const std::string before = calls(Direction::kImport); !before.empty())
      line("    import filter {{ {}{}prio_in{}(); accept; }};",
           peering.classifies_in ? fmt::format("classify{}(); ", f) : "", before, f);
    else
      line("    import filter bgp_in{}{};", f, peering.classifies_in ? "_classify" : "");
    if (const std::string before = calls(Direction::kExport); !before.empty())
      line("    export filter {{ prio_out{}(); {}{}export_common{}({}); reject; }};", f, before,
           peering.classifies_out ? RouteFilters::classify_the_rest(family) : "", f, peering.internal);
    else
      line("    export filter bgp_out{}_{}{};", f, peering.internal ? "same" : "other",
           peering.classifies_out ? "_classify" : "");
    line("  }};");
  }

  const Inputs& inputs_;
  const Configuration& global_;
  Identity self_;
  std::vector<Peering> peerings_;
  std::vector<std::string> workload_patterns_;
  std::string workload_test_;
  std::string_view debug_;
  Text text_;
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
  inputs.settings.log_file.clear();  // perhaps it is what BIRD does not like
  return generate(inputs).text;
}

}  // namespace bgp
