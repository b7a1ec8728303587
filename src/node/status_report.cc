#include "node/status_report.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>

#include "base/strings.h"

namespace node {
namespace {

namespace json = boost::json;

constexpr std::string_view kAgents[] = {"percaled", "calico-felix", "calico-node"};
constexpr std::string_view kDirectories[] = {"/var/run/calico/", "/var/run/bird/", "/run/bird/"};

std::optional<Process> find_agent(const std::vector<Process>& processes) {
  for (const Process& process : processes) {
    const bool known = std::ranges::any_of(kAgents, [&](std::string_view name) { return process.is(name); });
    const bool felix = process.arguments.size() > 1 && process.arguments[1] == "-felix";
    if (known || felix) return process;
  }
  return std::nullopt;
}

std::string last_reconfiguration(const bgp::Reply& reply) {
  constexpr std::string_view kLabel = "Last reconfiguration on ";
  for (const bgp::ReplyLine& line : reply) {
    const std::string_view text = base::trim(line.text);
    if (text.starts_with(kLabel)) return std::string(text.substr(kLabel.size()));
  }
  return {};
}

base::Result<Daemon> ask(Host& host, const std::string& socket, bool with_routes) {
  const auto status = host.ask_bird(socket, "show status");
  if (!status) return base::fail(status.error());
  Daemon daemon{.socket = socket, .status = bgp::parse_status(*status)};
  daemon.last_reconfiguration = last_reconfiguration(*status);
  const auto protocols = host.ask_bird(socket, "show protocols all");
  if (!protocols) return base::fail(protocols.error());
  daemon.sessions = parse_sessions(*protocols);
  const auto rows = bgp::parse_protocols(*protocols);
  if (std::ranges::find(rows, "BFD", &bgp::ProtocolRow::type) != rows.end()) {
    const auto bfd = host.ask_bird(socket, "show bfd sessions");
    if (!bfd) return base::fail(bfd.error());
    daemon.bfd = bgp::parse_bfd_reports(*bfd);
  }
  if (with_routes) {
    const auto routes = host.ask_bird(socket, "show route all");
    if (!routes) return base::fail(routes.error());
    daemon.routes = parse_routes(*routes);
  }
  return daemon;
}

bool is_v4_route(const Route& route) { return route.destination.find(':') == std::string::npos; }

}  // namespace

StatusReport gather_status(Host& host, const std::string& socket, bool with_routes) {
  StatusReport report;
  const auto processes = host.processes();
  report.agent = find_agent(processes);
  const auto runs = [&](std::string_view name) {
    return std::ranges::any_of(processes, [&](const Process& process) { return process.is(name); });
  };
  report.bird_process = runs("bird");
  report.bird6_process = runs("bird6");
  const auto first_answer = [&](std::string_view name) -> base::Result<Daemon> {
    base::Result<Daemon> result = base::fail(base::Error::not_found("no control socket"));
    for (const std::string_view directory : kDirectories) {
      auto answer = ask(host, std::string(directory) + std::string(name), with_routes);
      if (answer) return answer;
      const bool better = answer.error().kind() == base::ErrorKind::kDenied || report.error.empty();
      if (better) result = std::move(answer);
    }
    return result;
  };
  auto main_daemon = socket.empty() ? first_answer("bird.ctl") : ask(host, socket, with_routes);
  if (!main_daemon) {
    report.error = main_daemon.error().text();
  } else {
    main_daemon->v6 = !main_daemon->status.version.starts_with("1.");
    report.daemons.push_back(*std::move(main_daemon));
  }
  const bool single = !report.daemons.empty() && report.daemons.front().v6;
  if (single || !socket.empty()) return report;
  if (auto second = first_answer("bird6.ctl")) {
    second->v4 = false;
    report.daemons.push_back(*std::move(second));
  }
  return report;
}

std::vector<Session> sessions_of(const StatusReport& report, bool v4) {
  std::vector<Session> sessions;
  for (const Daemon& daemon : report.daemons) {
    std::ranges::copy_if(daemon.sessions, std::back_inserter(sessions),
                         [&](const Session& session) { return session.is_v4 == v4; });
  }
  return sessions;
}

std::vector<Route> routes_of(const StatusReport& report, bool v4) {
  std::vector<Route> routes;
  for (const Daemon& daemon : report.daemons) {
    std::ranges::copy_if(daemon.routes, std::back_inserter(routes),
                         [&](const Route& route) { return is_v4_route(route) == v4; });
  }
  return routes;
}

std::vector<bgp::BfdReport> bfd_of(const StatusReport& report, bool v4) {
  std::vector<bgp::BfdReport> sessions;
  for (const Daemon& daemon : report.daemons) {
    if (!daemon.bfd) continue;
    std::ranges::copy_if(*daemon.bfd, std::back_inserter(sessions),
                         [&](const bgp::BfdReport& session) { return session.address.is_v4() == v4; });
  }
  return sessions;
}

boost::json::object status_as_json(const StatusReport& report, bool with_routes) {
  json::object agent{{"running", report.agent.has_value()}};
  if (report.agent) {
    agent["pid"] = report.agent->pid;
    agent["command"] = base::join(report.agent->arguments, " ");
  }
  json::array daemons;
  for (const Daemon& daemon : report.daemons) {
    json::array sessions;
    for (const Session& session : daemon.sessions) {
      sessions.push_back(json::object{{"protocol", session.protocol},
                                      {"address", session.address},
                                      {"type", peer_type(session)},
                                      {"state", session.state},
                                      {"since", session.since},
                                      {"session", session.session},
                                      {"info", session.info}});
    }
    json::object entry{{"socket", daemon.socket},
                       {"version", daemon.status.version},
                       {"routerID", daemon.status.router_id},
                       {"running", daemon.status.running},
                       {"recovering", daemon.status.recovering},
                       {"lastBoot", daemon.status.last_reboot},
                       {"lastReconfiguration", daemon.last_reconfiguration},
                       {"sessions", std::move(sessions)}};
    if (daemon.bfd) {
      json::array bfd;
      for (const bgp::BfdReport& session : *daemon.bfd) {
        bfd.push_back(json::object{{"address", base::to_string(session.address)},
                                   {"interface", session.interface},
                                   {"state", session.state},
                                   {"since", session.since},
                                   {"interval", session.interval},
                                   {"timeout", session.timeout}});
      }
      entry["bfd"] = std::move(bfd);
    }
    if (with_routes) {
      json::array routes;
      for (const Route& route : daemon.routes) {
        routes.push_back(json::object{{"destination", route.destination},
                                      {"gateway", route.gateway},
                                      {"interface", route.interface},
                                      {"protocol", route.protocol},
                                      {"primary", route.primary}});
      }
      entry["routes"] = std::move(routes);
    }
    daemons.push_back(std::move(entry));
  }
  json::object object{{"agent", std::move(agent)}, {"bird", std::move(daemons)}};
  if (!report.error.empty() && report.daemons.empty()) object["error"] = report.error;
  return object;
}

namespace {

json::object agent_status(const StatusReport& report, bool v4) {
  for (const Daemon& daemon : report.daemons) {
    if (!(v4 ? daemon.v4 : daemon.v6)) continue;
    json::object object{{"state", daemon.status.running && !daemon.status.recovering ? "Ready" : "NotReady"}};
    const auto add = [&](std::string_view member, const std::string& value) {
      if (!value.empty()) object[member] = value;
    };
    add("version", daemon.status.version);
    add("routerID", daemon.status.router_id);
    add("lastBootTime", daemon.status.last_reboot);
    add("lastReconfigurationTime", daemon.last_reconfiguration);
    return object;
  }
  return {{"state", "NotReady"}};
}

// The resource has no word for a session that waits passively or is down.
std::string resource_session_state(const Session& session) {
  return session.session == "Passive" || session.session == "Down" ? std::string() : session.session;
}

json::array peers(const std::vector<Session>& sessions) {
  json::array list;
  for (const Session& session : sessions) {
    const std::string_view type = resource_peer_type(session);
    if (type.empty()) continue;
    std::string address = session.address;  // without the port
    if (const auto bracket = address.find(']'); address.starts_with('[') && bracket != address.npos)
      address = address.substr(1, bracket - 1);
    else if (session.is_v4)
      address = address.substr(0, address.find(':'));
    json::object peer{{"peerIP", address}, {"type", type}};
    if (const auto state = resource_session_state(session); !state.empty()) peer["state"] = state;
    if (!session.since.empty()) peer["since"] = session.since;
    list.push_back(std::move(peer));
  }
  return list;
}

json::object source_of(const Route& route, const std::vector<Session>& sessions) {
  const auto starts = [&](std::string_view word) { return route.protocol.starts_with(word); };
  const bool mesh = starts("Mesh_");
  if (mesh || starts("Node_") || starts("Global_") || starts("Local_Workload_")) {
    const auto session = std::ranges::find(sessions, route.protocol, &Session::protocol);
    json::object source{{"sourceType", mesh ? "NodeMesh" : "BGPPeer"}};
    if (session != sessions.end()) {
      const json::array one = peers({*session});
      source["peerIP"] = one.empty() ? json::value(session->address) : one.front().at("peerIP");
    }
    return source;
  }
  return {{"sourceType", starts("kernel") ? "Kernel" : starts("direct") || starts("device") ? "Direct" : "Static"}};
}

json::array routes(const StatusReport& report, bool v4) {
  std::vector<Session> sessions;
  for (const Daemon& daemon : report.daemons)
    sessions.insert(sessions.end(), daemon.sessions.begin(), daemon.sessions.end());
  json::array list;
  for (const Route& route : routes_of(report, v4)) {
    list.push_back(json::object{{"type", route.primary ? "FIB" : "RIB"},
                                {"destination", route.destination},
                                {"gateway", route.gateway.empty() ? "N/A" : route.gateway},
                                {"interface", route.interface},
                                {"learnedFrom", source_of(route, sessions)}});
  }
  return list;
}

}  // namespace

boost::json::object resource_status(const StatusReport& report, std::string_view now, const StatusClasses& classes) {
  json::object bgp, routing;
  for (const bool v4 : {true, false}) {
    const auto sessions = classes.bgp ? sessions_of(report, v4) : std::vector<Session>{};
    const auto up = std::ranges::count(sessions, std::string("up"), &Session::state);
    const std::string family = v4 ? "V4" : "V6";
    bgp["numberEstablished" + family] = up;
    bgp["numberNotEstablished" + family] = static_cast<std::int64_t>(sessions.size()) - up;
  }
  for (const bool v4 : {true, false}) {
    const std::string family = v4 ? "V4" : "V6";
    if (auto list = peers(sessions_of(report, v4)); classes.bgp && !list.empty())
      bgp["peers" + family] = std::move(list);
    if (auto list = routes(report, v4); classes.routes && !list.empty()) routing["routes" + family] = std::move(list);
  }
  const auto bird = [&](bool v4) { return classes.agent ? agent_status(report, v4) : json::object{}; };
  return {{"lastUpdated", now},
          {"agent", json::object{{"birdV4", bird(true)}, {"birdV6", bird(false)}}},
          {"bgp", std::move(bgp)},
          {"routes", std::move(routing)}};
}

}  // namespace node
