// node status (spec cli §11.1; spec bgp §8.2): calicoctl's lines and table, for BIRD 2 and 3 too.

#include <utility>

#include <boost/json/array.hpp>

#include "base/strings.h"
#include "cli/box_table.h"
#include "cli/commands.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"
#include "node/status_report.h"

namespace cli {

namespace {

std::string session_table(const node::StatusReport& report, bool v4) {
  std::vector<std::vector<std::string>> rows;
  for (const node::Session& session : node::sessions_of(report, v4)) {
    const std::string address = session.address.empty() ? session.protocol : session.address;
    rows.push_back({address, std::string(node::peer_type(session)), session.state, session.since, session.info});
  }
  if (rows.empty()) return std::string("No IPv") + (v4 ? "4" : "6") + " peers found.\n";
  return box_table({"PEER ADDRESS", "PEER TYPE", "STATE", "SINCE", "INFO"}, rows);
}

std::string route_table(const node::StatusReport& report, bool v4) {
  std::vector<std::vector<std::string>> rows;
  for (const node::Route& route : node::routes_of(report, v4))
    rows.push_back({route.destination, route.gateway, route.interface, route.protocol, route.primary ? "FIB" : "RIB"});
  if (rows.empty()) return {};
  return box_table({"DESTINATION", "GATEWAY", "INTERFACE", "LEARNED FROM", "TYPE"}, rows);
}

std::string family_text(const node::StatusReport& report, bool v4, bool with_routes) {
  const std::string number = v4 ? "4" : "6";
  for (const node::Daemon& daemon : report.daemons) {
    if (!(v4 ? daemon.v4 : daemon.v6)) continue;
    std::string text = "\nIPv" + number + " BGP status\n" + session_table(report, v4);
    if (daemon.status.recovering) text += "INFO: graceful restart is in progress; routes are not complete yet.\n";
    if (!daemon.status.running) text += "INFO: BIRD is reconfiguring or shutting down.\n";
    if (with_routes) text += route_table(report, v4);
    return text;
  }
  const bool runs = v4 ? report.bird_process : report.bird6_process;
  if (runs) {
    return "\nIPv" + number + " BGP status\nError querying BIRD: unable to connect to BIRDv" + number +
           " socket: " + report.error + "\n";
  }
  const std::string name = v4 ? "bird" : "bird6";
  return "\nINFO: BIRDv" + number + " process: '" + name + "' is not running.\n";
}

std::string as_text(const node::StatusReport& report, bool with_routes) {
  std::string text = "Calico process is running.\n";
  if (report.daemons.empty() && !report.bird_process && !report.bird6_process)
    return text + "\nThe BGP backend process (BIRD) is not running.\n\n";
  return text + family_text(report, true, with_routes) + family_text(report, false, with_routes) + "\n";
}

std::string as_resource(Session& session, const node::StatusReport& report) {
  Environment& environment = session.environment();
  std::string name(base::trim(environment.host().read_file("/var/lib/calico/nodename").value_or("")));
  if (const auto given = environment.variable("NODENAME"); given && !given->empty()) name = *given;
  if (name.empty()) name = base::to_lower(environment.host().hostname());
  model::Resource resource = model::make_resource(model::kinds::kCalicoNodeStatus, name);
  resource.spec()["node"] = name;
  resource.spec()["classes"] = boost::json::array{"Agent", "BGP", "Routes"};
  resource.spec()["updatePeriodSeconds"] = 0;
  resource.body["status"] = node::resource_status(report, environment.timestamp());
  return model::to_go_yaml(resource.body);
}

}  // namespace

int run_node_status(Session& session, const Arguments& arguments) {
  const std::string output = arguments.value("output", "text");
  if (output != "text" && output != "json" && output != "resource")
    return session.fail("unrecognized output format '" + output + "'");
  const bool with_routes = arguments.has("routes") || output == "resource";
  const auto report = node::gather_status(session.environment().host(), arguments.value("socket"), with_routes);
  if (output == "json") {
    session.environment().print(model::to_go_json_indented(node::status_as_json(report, with_routes)) + "\n");
    return 0;
  }
  if (output == "resource") {
    session.environment().print(as_resource(session, report));
    return 0;
  }
  if (!report.agent) return session.fail("Calico process is not running.");
  session.environment().print(as_text(report, with_routes));
  return 0;
}

}  // namespace cli
