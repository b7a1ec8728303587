// replies.h: what BIRD says on its control socket (spec bgp §5.2–§5.4), as values. Pure: bytes in, values out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bgp {

// Codes the program acts on; the full list is in the spec.
namespace reply_code {
constexpr int kOk = 0;
constexpr int kWelcome = 1;
constexpr int kReadingConfiguration = 2;
constexpr int kReconfigured = 3;
constexpr int kReconfigurationInProgress = 4;
constexpr int kReconfigurationQueued = 5;
constexpr int kShuttingDown = 6;
constexpr int kStatusEnd = 13;
constexpr int kNothingToDo = 19;
constexpr int kConfigurationGood = 20;
constexpr int kRecovering = 24;
constexpr int kVersion = 1000;
constexpr int kProtocolRow = 1002;
constexpr int kInterfaceRow = 1005;
constexpr int kProtocolDetail = 1006;
constexpr int kRouteRow = 1007;
constexpr int kRouteDetail = 1008;
constexpr int kStatusDetail = 1011;
constexpr int kRouteAttribute = 1012;
constexpr int kBfdSession = 1020;
constexpr int kConfigurationRefused = 8002;
constexpr int kNotUnderstood = 9001;
constexpr bool is_error(int code) { return code >= 8000; }
}  // namespace reply_code

struct ReplyLine {
  int code = 0;
  std::string text;
  friend bool operator==(const ReplyLine&, const ReplyLine&) = default;
};
// Complete: the last line is the one that ended it, and its code says how the command went.
using Reply = std::vector<ReplyLine>;

// Cuts a byte stream into replies. After malformed() nothing more comes out: the peer is not BIRD.
class ReplyReader {
 public:
  void feed(std::string_view bytes) { buffer_ += bytes; }
  std::optional<Reply> next();
  bool malformed() const { return malformed_; }

 private:
  bool take_line(std::string_view line);  // true when it ended a reply

  std::string buffer_;
  Reply pending_;
  bool malformed_ = false;
};

struct ProtocolRow {
  std::string name;
  std::string type = {};   // "BGP", "Kernel", …
  std::string state = {};  // "up", "start", "down", "stop", "flush"
  std::string since = {};
  std::string session = {};        // BGP: "Established", "Active", …; empty when the row is down
  std::string detail = {};         // what BIRD adds, e.g. "Socket: Connection refused"
  bool is_calico_session() const;  // Mesh_, Global_, Node_ or Local_Workload_
  bool established() const { return session == "Established"; }
  bool is_v4_session() const;  // by its name, which is made of the neighbour's address
  friend bool operator==(const ProtocolRow&, const ProtocolRow&) = default;
};

struct DaemonStatus {
  std::string version;  // "2.0.12"
  std::string router_id;
  std::string last_reboot;
  bool recovering = false;  // graceful-restart recovery in progress
  bool running = false;     // "Daemon is up and running", not reconfiguring or shutting down
};

std::vector<ProtocolRow> parse_protocols(const Reply& reply);
DaemonStatus parse_status(const Reply& reply);

// What readiness, `percalectl node status` and the metrics are made of.
struct BgpStatus {
  bool daemon_up = false;
  DaemonStatus daemon;
  std::vector<ProtocolRow> sessions;  // only Calico's, in the daemon's order
  std::string configuration_error;    // why the newest configuration is not in force; empty when it is
};

// How strictly sessions count for readiness. kStart is upstream's rule: while the node starts up, all of them and no
// recovery in progress; afterwards kOne. kOne: one of each family that has any, because one dead external peer must not
// take a working node out of service.
enum class ReadinessRule : std::uint8_t { kOne, kStart, kAll };

// Spec §5.1. Why BGP is not ready, in a few words; nothing if it is. Always needed: a daemon that answers and runs the
// newest configuration.
std::optional<std::string> why_not_ready(const BgpStatus& status, ReadinessRule rule, bool starting_up);

}  // namespace bgp
