// status_report.h: what a node says about its BGP, in one value: for `node status` and for CalicoNodeStatus (spec bgp
// §8). The report is gathered from a Host; making texts of it is pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/result.h"
#include "bgp/replies.h"
#include "bgp/reports.h"
#include "node/bird_report.h"
#include "node/host.h"

namespace node {

// One BIRD: since version 2 it does both families, before that there is one daemon for each.
struct Daemon {
  std::string socket;
  bgp::DaemonStatus status;
  std::string last_reconfiguration = {};
  bool v4 = true;
  bool v6 = true;
  std::vector<Session> sessions = {};
  std::vector<Route> routes = {};
  std::optional<std::vector<bgp::BfdReport>> bfd = {};  // nothing unless BIRD runs BFD
};

struct StatusReport {
  std::optional<Process> agent;  // the process that was found
  bool bird_process = false;     // one of that name runs
  bool bird6_process = false;
  std::vector<Daemon> daemons;
  std::string error;  // why the daemon that seems to run could not be asked
};

// `socket` "": the usual places.
StatusReport gather_status(Host& host, const std::string& socket, bool with_routes);

std::vector<Session> sessions_of(const StatusReport& report, bool v4);
std::vector<Route> routes_of(const StatusReport& report, bool v4);
std::vector<bgp::BfdReport> bfd_of(const StatusReport& report, bool v4);

// `-o json`.
boost::json::object status_as_json(const StatusReport& report, bool with_routes);

struct StatusClasses {
  bool agent = false;
  bool bgp = false;
  bool routes = false;
};
// The `status` of a CalicoNodeStatus, members in upstream's order; classes that are not asked for stay empty. The two
// families of one BIRD 2 are both filled from it.
boost::json::object resource_status(const StatusReport& report, std::string_view now, const StatusClasses& classes);

}  // namespace node
