// matrix.h: every guest against every other with real packets, compared with what should happen.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lab/lab.h"

namespace lab {

struct Service {
  std::string protocol;  // "icmp", "tcp", "udp"
  std::uint16_t port = 0;
  char letter = '?';  // in the table
};
// ICMP echo, two TCP services and a UDP one, so that rules about protocols and ports show.
const std::vector<Service>& matrix_services();

struct Flow {
  const Guest* from = nullptr;
  const Guest* to = nullptr;
  base::Family family = base::Family::kIpv4;
  Service service;
};
// Whether the flow should pass, and why (policy and rule), for the report of a difference.
struct Expected {
  bool allowed = true;
  std::string because = {};
};
using Expectation = std::function<Expected(const Flow&)>;

struct Cell {
  Flow flow;
  Expected expected;
  ProbeResult seen;
  bool agrees() const { return expected.allowed == (seen.verdict == Verdict::kOk); }
};
struct MatrixReport {
  std::vector<Cell> cells;
  std::string travelled;                   // what the uplinks saw
  std::vector<std::string> wrong_travels;  // packets in a tunnel that should not be, or the other way round
  int milliseconds = 0;
  int differences() const;  // of cells, and of travels
  int allowed() const;      // expected to pass
};

// All probes of all guests run at the same time, while the hosts' uplinks are watched. `timeout_ms`: on hardware; a
// slow lab takes more.
base::Result<MatrixReport> run_matrix(const Lab& lab, const Expectation& expectation,
                                      int timeout_ms = kMatrixTimeoutMs);

// A grid: one row a source, one column a destination, one letter a service, '.' where it is blocked, '!' where the
// packets did not do what they should. Differences are listed below.
std::string to_text(const Plan& plan, const MatrixReport& report);

}  // namespace lab
