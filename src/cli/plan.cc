#include "cli/plan.h"

#include <map>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>

#include "agent/node_selector.h"
#include "agent/settings_map.h"
#include "base/strings.h"
#include "calc/print.h"
#include "cli/commands.h"
#include "config/derived.h"
#include "config/tracker.h"
#include "dataplane/tunnel_routes.h"
#include "dataplane/workload_interfaces.h"
#include "model/resource_text.h"
#include "render/iptables/names.h"
#include "render/iptables/renderer.h"

namespace cli {
namespace {

namespace json = boost::json;
using base::Family;
using P = config::Parameter;
using render::iptables::Table;

config::Configuration configuration_of(const std::vector<model::DocumentChange>& documents, std::string_view node) {
  const config::Probe nothing_exists;
  config::ConfigTracker tracker({}, {}, std::string(node), nothing_exists, agent::node_selector_predicate());
  for (const model::DocumentChange& change : documents) {
    const config::Document document = change.value.value_or(nullptr);
    switch (change.key.kind) {
      case model::DocumentKind::kFelixConfiguration: tracker.felix_configuration(change.key.name, document); break;
      case model::DocumentKind::kClusterInformation: tracker.cluster_information(change.key.name, document); break;
      case model::DocumentKind::kNode: tracker.node(change.key.name, document); break;
      case model::DocumentKind::kBgpConfiguration:
      case model::DocumentKind::kBgpPeer:
      case model::DocumentKind::kBgpFilter:
      case model::DocumentKind::kBlockAffinity: break;
    }
  }
  return tracker.evaluate();
}

std::string_view mode_text(model::EncapMode mode) {
  switch (mode) {
    case model::EncapMode::kAlways: return "Always";
    case model::EncapMode::kCrossSubnet: return "CrossSubnet";
    case model::EncapMode::kNever: break;
  }
  return "Never";
}

config::Encapsulation encapsulation_of(const config::Resolved& resolved, const calc::State& state) {
  std::vector<config::PoolModes> pools;
  for (const auto& [cidr, pool] : state.pools)
    pools.push_back({cidr.family(), mode_text(pool.ipip), mode_text(pool.vxlan)});
  return config::encapsulation(resolved, pools);
}

dataplane::WorkloadSettings workload_settings(const config::Resolved& resolved, const render::Settings& render) {
  dataplane::WorkloadSettings settings;
  settings.ipv6 = render.ipv6;
  settings.route_protocol = static_cast<std::uint8_t>(resolved.integer(P::kDeviceRouteProtocol));
  settings.priority_v4 = static_cast<std::uint32_t>(resolved.integer(P::kIPv4NormalRoutePriority));
  settings.priority_v6 = static_cast<std::uint32_t>(resolved.integer(P::kIPv6NormalRoutePriority));
  settings.route_source_v4 = resolved.address(P::kDeviceRouteSourceAddress);
  settings.route_source_v6 = resolved.address(P::kDeviceRouteSourceAddressIPv6);
  settings.floating_ips = render.floating_ips;
  return settings;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (const std::string_view line : base::split(text, '\n')) {
    if (!line.empty()) lines.emplace_back(line);
  }
  return lines;
}

std::string_view set_type(render::SetKind kind) {
  switch (kind) {
    case render::SetKind::kNet: return "hash:net";
    case render::SetKind::kIp: return "hash:ip";
    case render::SetKind::kIpPort: return "hash:ip,port";
  }
  return "";
}

json::array to_array(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.push_back(json::string(text));
  return array;
}

// Collects one family in both notations.
class FamilyPlan {
 public:
  FamilyPlan(Family family, std::string& text) : family_(family), text_(text) {
    text_ += "\n# ---- IPv" + std::string(family == Family::kIpv4 ? "4" : "6") + " ----\n";
  }

  void add_sets(const render::SetChanges& sets) {
    json::object& out = json_["sets"].emplace_object();
    for (const auto& [name, content] : sets.created) {
      std::vector<std::string> members;
      for (const calc::SetMember& member : content.members) members.push_back(calc::to_string(member));
      text_ += "create " + name + " " + std::string(set_type(content.kind)) + " family " +
               (family_ == Family::kIpv4 ? "inet" : "inet6") + "\n";
      for (const std::string& member : members) text_ += "add " + name + " " + member + "\n";
      out[name] = json::object{{"type", set_type(content.kind)}, {"members", to_array(members)}};
    }
  }

  void add_table(const render::iptables::Renderer& renderer, Table table, render::InsertMode mode) {
    const auto chains = renderer.programmed(family_, table);
    const auto& hooks = renderer.hooks(table);
    if (chains.empty() && hooks.empty()) return;
    json::object& out = json_["tables"].is_object() ? json_["tables"].get_object() : json_["tables"].emplace_object();
    json::object& shown = out[to_string(table)].emplace_object();
    text_ += "*" + std::string(to_string(table)) + "\n";
    for (const auto& [name, chain] : chains) text_ += ":" + std::string(name) + " - [0:0]\n";
    for (const auto& [chain, rules] : hooks) {
      std::vector<std::string> lines;
      const std::string_view verb = mode == render::InsertMode::kInsert ? "-I " : "-A ";
      for (const auto& rule : rules.inserted) lines.push_back(hook_line(verb, chain, rule));
      for (const auto& rule : rules.appended) lines.push_back(hook_line("-A ", chain, rule));
      add_lines(shown, chain, lines);
    }
    for (const auto& [name, chain] : chains) add_lines(shown, std::string(name), lines_of(chain->lines));
    text_ += "COMMIT\n";
  }

  // Neighbours and forwarding entries of the tunnels.
  void add_line(std::string_view word, std::string_view list, const std::string& line) {
    text_ += std::string(word) + " " + line + "\n";
    if (!json_[list].is_array()) json_[list].emplace_array();
    json_[list].get_array().push_back(json::string(line));
  }
  void add_route(const std::string& route) { add_line("route", "routes", route); }

  json::object take() { return std::move(json_); }

 private:
  static std::string hook_line(std::string_view verb, const std::string& chain,
                               const render::iptables::HookRule& rule) {
    return std::string(verb) + chain + render::iptables::hash_comment(rule.id) + rule.body;
  }

  void add_lines(json::object& table, const std::string& chain, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    for (const std::string& line : lines) text_ += line + "\n";
    table[chain] = to_array(lines);
  }

  Family family_;
  std::string& text_;
  json::object json_;
};

// The datastore does not say which MTU a host's interfaces have, nor what they are called.
constexpr std::uint32_t kAssumedHostMtu = 1500;

// What tunnels add to one family: the device, what it knows about other hosts, and the routes.
class TunnelPlan {
 public:
  TunnelPlan(const calc::State& state, const dataplane::TunnelSettings& settings, base::Symbol self)
      : state_(state), settings_(settings) {
    const auto node = state.nodes.find(self);
    if (node == state.nodes.end()) return;
    hosts_ = {node->second.host_ipv4, node->second.host_ipv6};
    self_ = self;
  }

  void add_to(FamilyPlan& plan, Family family) const {
    const bool v4 = family == Family::kIpv4;
    const auto& host = v4 ? hosts_.first : hosts_.second;
    if (v4) add_device(plan, dataplane::ipip_spec(settings_), {});
    std::optional<std::string> parent;
    if (host) parent = "(interface of " + base::to_string(*host) + ")";
    add_device(plan, dataplane::vxlan_spec(settings_, family, host, kAnyIndex), parent);
    std::map<base::Symbol, dataplane::Vtep> others;
    for (const auto& [name, node] : state_.nodes) {
      if (name == self_) continue;
      if (const auto vtep = dataplane::vtep_of(name.view(), node, family)) others.emplace(name, *vtep);
    }
    const std::string device(dataplane::vxlan_device(family));
    if (settings_.vxlan(family)) {
      for (const reconcile::Neighbour& entry : dataplane::tunnel_neighbours(others)) {
        plan.add_line("neighbour", "neighbours",
                      reconcile::to_string(reconcile::NeighbourEntry{0, entry, true}, device));
      }
      for (const auto& [mac, remote] : dataplane::tunnel_fdb(others)) {
        plan.add_line("fdb", "fdb", reconcile::to_string(reconcile::FdbEntry{0, mac, remote}, device));
      }
    }
    for (const auto& [destination, route] : state_.routes) {
      if (destination.family() != family) continue;
      const auto other = others.find(route.node);
      const auto vtep = other == others.end() ? std::nullopt : std::optional(other->second);
      const auto placed = dataplane::place_route(destination, route, vtep, parent, settings_);
      if (placed) plan.add_route(reconcile::to_string(placed->route, placed->interface));
    }
  }

 private:
  static constexpr reconcile::IfIndex kAnyIndex = 1;

  static void add_device(FamilyPlan& plan, const std::optional<reconcile::DeviceSpec>& spec,
                         const std::optional<std::string>& parent) {
    if (!spec) return;
    std::string line = spec->name + " mtu " + std::to_string(spec->mtu);
    if (spec->address) line += " address " + base::to_string(base::Prefix::host(*spec->address));
    if (spec->kind == reconcile::DeviceKind::kVxlan) {
      line += " vni " + std::to_string(spec->vxlan.vni) + " port " + std::to_string(spec->vxlan.port) + " mac " +
              base::to_string(spec->vxlan.mac);
      if (spec->vxlan.source) line += " local " + base::to_string(*spec->vxlan.source);
      if (parent) line += " dev " + *parent;
    }
    plan.add_line("device", "devices", line);
  }

  const calc::State& state_;
  const dataplane::TunnelSettings& settings_;
  base::Symbol self_;
  std::pair<std::optional<base::IpAddress>, std::optional<base::IpAddress>> hosts_;
};

// Of the host's interfaces the datastore knows those that host endpoints name; they are taken to exist.
render::HostInterfaces named_interfaces(const calc::State& state) {
  render::HostInterfaces out;
  for (const auto& [key, endpoint] : state.host_endpoints) {
    const std::string& name = endpoint->interface_name;
    if (!name.empty() && name != "*") out[name];
  }
  return out;
}

std::string unnamed_host_endpoints(const calc::State& state) {
  std::string text;
  for (const auto& [key, endpoint] : state.host_endpoints) {
    if (!endpoint->interface_name.empty()) continue;
    text += "# HostEndpoint " + std::string(key.name.view()) +
            " is for the interfaces with one of its addresses; what they are called is not known here: left out.\n";
  }
  return text;
}

}  // namespace

base::Result<Plan> make_plan(World& world, std::string_view node) {
  HostView view = world.view_of(node);
  const config::Configuration configuration = configuration_of(view.documents, node);
  const bool spoofing = configuration.resolved.text(P::kWorkloadSourceSpoofing) == "Any";
  const config::Encapsulation encapsulation = encapsulation_of(configuration.resolved, view.state);
  const calc::RouteSource source = agent::route_source(configuration.resolved, encapsulation);
  if (spoofing || source != calc::RouteSource::kNone) view = world.view_of(node, spoofing, source);
  const render::Settings settings =
      agent::render_settings(configuration.resolved, encapsulation, world.intern(node), true);
  const dataplane::TunnelSettings tunnel_settings = agent::tunnel_settings(
      configuration.resolved, encapsulation, agent::mtus(configuration.resolved, encapsulation, kAssumedHostMtu));
  const TunnelPlan tunnels(view.state, tunnel_settings, world.intern(node));
  auto renderer = render::iptables::Renderer::create(settings);
  if (!renderer) return base::fail(renderer.error());
  (void)renderer->set_host_interfaces(named_interfaces(view.state));
  const render::iptables::RenderChanges changes = renderer->apply(view.snapshot);

  Plan plan;
  for (const model::Diagnostic& problem : view.problems) plan.warnings.push_back(to_string(problem));
  for (const config::Diagnostic& problem : configuration.diagnostics) {
    if (problem.severity != config::Severity::kNote) plan.warnings.push_back(problem.text());
  }
  plan.text = "# Node " + std::string(node) +
              ": what an agent there would program with the iptables back end, as far as the datastore says.\n";
  plan.text += unnamed_host_endpoints(view.state);
  if (tunnel_settings.any()) {
    plan.text +=
        "# Tunnels: if the smallest MTU of the host's interfaces is " + std::to_string(kAssumedHostMtu) + ".\n";
  }
  const dataplane::WorkloadSettings routes = workload_settings(configuration.resolved, settings);
  for (const Family family : render::kFamilies) {
    if (family == Family::kIpv6 && !settings.ipv6) continue;
    FamilyPlan part(family, plan.text);
    part.add_sets(changes[family].sets);
    for (const Table table : render::iptables::kTables) {
      part.add_table(*renderer, table, settings.insert_mode);
    }
    for (const auto& [interface, program] : renderer->objects().workloads) {
      for (const reconcile::Route& route : dataplane::workload_routes(*program.endpoint, routes)) {
        if (route.key.prefix.family() == family) part.add_route(reconcile::to_string(route, interface));
      }
    }
    tunnels.add_to(part, family);
    plan.json[family == Family::kIpv4 ? "ipv4" : "ipv6"] = part.take();
  }
  return plan;
}

int run_plan(Session& session, const Arguments& arguments) {
  const std::string output = arguments.value("output", "text");
  if (output != "text" && output != "json") return session.fail("unrecognized output format '" + output + "'");
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  auto world = World::read((*client)->store());
  if (!world) return session.fail(world.error().text());
  const std::string node = arguments.value("node");
  auto plan = make_plan(*world, node);
  if (!plan) return session.fail(plan.error().text());
  for (const std::string& warning : plan->warnings) session.environment().print_error("Warning: " + warning + "\n");
  if (output == "json") {
    plan->json["node"] = node;
    session.environment().print(model::to_go_json_indented(plan->json) + "\n");
  } else {
    session.environment().print(plan->text);
  }
  return 0;
}

}  // namespace cli
