// node status (spec cli §11.1; spec bgp §8.2): calicoctl's lines and table, for BIRD 2 and 3 too.

#include <algorithm>
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

// Nothing where BIRD runs no BFD: the text is calicoctl's then.
std::string bfd_table(const node::StatusReport& report, bool v4) {
  std::vector<std::vector<std::string>> rows;
  for (const bgp::BfdReport& session : node::bfd_of(report, v4)) {
    rows.push_back({base::to_string(session.address), session.interface.empty() ? "-" : session.interface,
                    session.state, session.since, session.interval, session.timeout});
  }
  if (rows.empty()) return {};
  return std::string("BFD sessions\n") +
         box_table({"PEER ADDRESS", "INTERFACE", "STATE", "SINCE", "INTERVAL", "TIMEOUT"}, rows);
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
    std::string text = "\nIPv" + number + " BGP status\n" + session_table(report, v4) + bfd_table(report, v4);
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

std::string own_name(Environment& environment) {
  if (const auto given = environment.variable("NODENAME"); given && !given->empty()) return *given;
  const std::string written(base::trim(environment.host().read_file("/var/lib/calico/nodename").value_or("")));
  return written.empty() ? base::to_lower(environment.host().hostname()) : written;
}

std::string as_resource(Environment& environment, const node::StatusReport& report) {
  const std::string name = own_name(environment);
  model::Resource resource = model::make_resource(model::kinds::kCalicoNodeStatus, name);
  resource.spec()["node"] = name;
  resource.spec()["classes"] = boost::json::array{"Agent", "BGP", "Routes"};
  resource.spec()["updatePeriodSeconds"] = 0;
  resource.body["status"] =
      node::resource_status(report, environment.timestamp(), {.agent = true, .bgp = true, .routes = true});
  return model::to_go_yaml(resource.body);
}

node::StatusClasses classes_of(const model::Resource& resource) {
  const boost::json::value* list = model::find(resource, "spec.classes");
  const auto has = [&](std::string_view word) {
    return list != nullptr && list->is_array() &&
           std::ranges::any_of(list->get_array(), [&](const boost::json::value& v) {
             return v.is_string() && v.get_string() == std::string(word);
           });
  };
  return {.agent = has("Agent"), .bgp = has("BGP"), .routes = has("Routes")};
}

// True if the reports differ in more than their time.
bool differs(const boost::json::value* before, const boost::json::object& after) {
  if (before == nullptr || !before->is_object()) return true;
  boost::json::object old = before->get_object(), now = after;
  old.erase("lastUpdated");
  now.erase("lastUpdated");
  return old != now;
}

// Fills in the CalicoNodeStatus objects that ask this node; what has not changed is not written.
base::Result<std::string> write_reports(Session& session, const Arguments& arguments,
                                        const node::StatusReport& report) {
  const auto client = session.checked_client(arguments);
  if (!client) return base::fail(client.error());
  Environment& environment = session.environment();
  const std::string name = own_name(environment);
  auto objects = (*client)->list(model::kinds::kCalicoNodeStatus, {});
  if (!objects) return base::fail(objects.error());
  std::string done;
  for (model::Resource& object : objects->items) {
    if (model::text_of(object.spec(), "node") != name) continue;
    boost::json::object status = node::resource_status(report, environment.timestamp(), classes_of(object));
    const bool changed = differs(object.body.if_contains("status"), status);
    done += object.id() + (changed ? ": updated\n" : ": unchanged\n");
    if (!changed) continue;
    object.body["status"] = std::move(status);
    if (auto written = (*client)->update(object); !written) return base::fail(written.error());
  }
  return done.empty() ? "No CalicoNodeStatus asks for the state of " + name + ".\n" : done;
}

}  // namespace

int run_node_status(Session& session, const Arguments& arguments) {
  const std::string output = arguments.value("output", "text");
  if (output != "text" && output != "json" && output != "resource")
    return session.fail("unrecognized output format '" + output + "'");
  const bool with_routes = arguments.has("routes") || arguments.has("report") || output == "resource";
  const auto report = node::gather_status(session.environment().host(), arguments.value("socket"), with_routes);
  if (arguments.has("report")) {
    const auto done = write_reports(session, arguments, report);
    if (!done) return session.fail(done.error().text());
    session.environment().print(*done);
    return 0;
  }
  if (output == "json") {
    session.environment().print(model::to_go_json_indented(node::status_as_json(report, with_routes)) + "\n");
    return 0;
  }
  if (output == "resource") {
    session.environment().print(as_resource(session.environment(), report));
    return 0;
  }
  if (!report.agent) return session.fail("Calico process is not running.");
  session.environment().print(as_text(report, with_routes));
  return 0;
}

}  // namespace cli
