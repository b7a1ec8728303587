// probe.h: real packets between guests. Each guest's holder answers on every probe port and sends probes on request;
// the lab asks all guests at once over their Unix sockets.
//
// A probe is a round trip that carries a payload: ICMP echo, a TCP connection whose bytes come back, a UDP datagram
// that comes back. UDP and ICMP are sent again every 250 ms until the time is over, so that one lost packet is no
// verdict.
//
// The conversation is lines of text, so that a person can hold it with socat:
//   probe ID icmp|tcp|udp ADDRESS PORT TIMEOUT_MS     nothing yet
//   go                  "result ID ok|lost|refused|unreachable MICROSECONDS" each, then "done"
//   flow ID udp|tcp ADDRESS PORT PER_SECOND           "ok"; runs until stopped, numbered, echoed
//   flows               "flow ID SENT ECHOED LOST RETRANSMITTED LONGEST_GAP_US FIRST_ECHO_US STATE" each, then "done"
//   quiet ID            "ok": sends no more, still counts what comes back
//   stop ID             "ok"
//   arrivals            "arrival tcp|udp FROM PORT COUNT" each, then "done"
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/ip.h"
#include "base/result.h"
#include "lab/namespaces.h"

namespace lab {

// Every guest listens on these, TCP and UDP, IPv4 and IPv6.
inline constexpr std::uint16_t kProbePorts[] = {22, 80, 5432, 8080, 9000};

enum class Verdict { kOk, kLost, kRefused, kUnreachable };
std::string_view to_string(Verdict verdict);

struct Probe {
  std::string protocol;  // "icmp", "tcp", "udp"; ICMP of the address's family
  base::IpAddress target;
  std::uint16_t port = 0;
  int timeout_ms = 900;
};
struct ProbeResult {
  Verdict verdict = Verdict::kLost;
  std::int64_t microseconds = 0;
};

struct FlowReport {
  std::uint64_t sent = 0;
  std::uint64_t echoed = 0;
  std::uint64_t lost = 0;           // UDP: not echoed although a later one was; what is under way does not count
  std::uint64_t retransmitted = 0;  // TCP: of both ends
  std::int64_t longest_gap_us = 0;  // between two echoes
  std::int64_t first_echo_us = 0;   // on the machine's monotonic clock; 0: none yet
  std::string state;                // "running", or why it ended
};

// Runs in a guest's holder, as its only work. Returns only if the socket cannot be served.
class ProbeServer {
 public:
  // Binds `socket_path`; the network is used later, from serve().
  static base::Result<base::Fd> listen(const std::string& socket_path);
  [[noreturn]] static void serve(base::Fd listener);
};

// One guest's prober, seen from the lab.
class ProbeClient {
 public:
  static base::Result<ProbeClient> connect(const std::string& socket_path);

  base::Result<std::vector<ProbeResult>> run(const std::vector<Probe>& probes);
  base::Result<> start_flow(const std::string& id, const std::string& protocol, const base::IpAddress& target,
                            std::uint16_t port, int per_second);
  base::Result<> quiet_flow(const std::string& id);
  base::Result<> stop_flow(const std::string& id);
  base::Result<std::map<std::string, FlowReport>> flows();
  // Packets or connections that reached this guest: "udp 10.65.0.11 5432" -> count.
  base::Result<std::map<std::string, std::uint64_t>> arrivals();

  // run() in two halves, so that many guests can work at the same time.
  base::Result<> begin(const std::vector<Probe>& probes);
  base::Result<std::vector<ProbeResult>> finish();

 private:
  explicit ProbeClient(base::Fd fd) : fd_(std::move(fd)) {}
  base::Result<> send(const std::string& text);
  base::Result<std::string> line();
  base::Result<> expect_ok();

  base::Fd fd_;
  std::string buffer_;
  std::size_t outstanding_ = 0;
};

}  // namespace lab
