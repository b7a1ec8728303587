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

  void add_table(const render::iptables::Renderer& renderer, Table table) {
    const auto chains = renderer.programmed(family_, table);
    const auto& hooks = renderer.hooks(table);
    if (chains.empty() && hooks.empty()) return;
    json::object& out = json_["tables"].is_object() ? json_["tables"].get_object() : json_["tables"].emplace_object();
    json::object& shown = out[to_string(table)].emplace_object();
    text_ += "*" + std::string(to_string(table)) + "\n";
    for (const auto& [name, chain] : chains) text_ += ":" + std::string(name) + " - [0:0]\n";
    for (const auto& [chain, rules] : hooks) {
      std::vector<std::string> lines;
      for (const auto& rule : rules.inserted) lines.push_back(hook_line("-I ", chain, rule));
      for (const auto& rule : rules.appended) lines.push_back(hook_line("-A ", chain, rule));
      add_lines(shown, chain, lines);
    }
    for (const auto& [name, chain] : chains) add_lines(shown, std::string(name), lines_of(chain->lines));
    text_ += "COMMIT\n";
  }

  void add_route(const std::string& route) {
    text_ += "route " + route + "\n";
    if (!json_["routes"].is_array()) json_["routes"].emplace_array();
    json_["routes"].get_array().push_back(json::string(route));
  }

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

}  // namespace

base::Result<Plan> make_plan(World& world, std::string_view node) {
  HostView view = world.view_of(node);
  const config::Configuration configuration = configuration_of(view.documents, node);
  if (configuration.resolved.text(P::kWorkloadSourceSpoofing) == "Any") view = world.view_of(node, true);
  const render::Settings settings = agent::render_settings(
      configuration.resolved, encapsulation_of(configuration.resolved, view.state), world.intern(node), true);
  auto renderer = render::iptables::Renderer::create(settings);
  if (!renderer) return base::fail(renderer.error());
  const render::iptables::RenderChanges changes = renderer->apply(view.snapshot);

  Plan plan;
  for (const model::Diagnostic& problem : view.problems) plan.warnings.push_back(to_string(problem));
  for (const config::Diagnostic& problem : configuration.diagnostics) {
    if (problem.severity != config::Severity::kNote) plan.warnings.push_back(problem.text());
  }
  plan.text = "# Node " + std::string(node) +
              ": what an agent there would program with the iptables back end, as far as the datastore says.\n";
  const dataplane::WorkloadSettings routes = workload_settings(configuration.resolved, settings);
  for (const Family family : render::kFamilies) {
    if (family == Family::kIpv6 && !settings.ipv6) continue;
    FamilyPlan part(family, plan.text);
    part.add_sets(changes[family].sets);
    for (const Table table : render::iptables::kTables) part.add_table(*renderer, table);
    for (const auto& [interface, program] : renderer->objects().workloads) {
      for (const reconcile::Route& route : dataplane::workload_routes(*program.endpoint, routes)) {
        if (route.key.prefix.family() == family) part.add_route(reconcile::to_string(route, interface));
      }
    }
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
