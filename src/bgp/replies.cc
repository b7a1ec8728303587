#include "bgp/replies.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/strings.h"

namespace bgp {
namespace {

// `show protocols` of ten thousand sessions is about a megabyte; more than this is no reply of BIRD.
constexpr std::size_t kMaxReplyBytes = 16u << 20;

std::vector<std::string_view> words(std::string_view text, std::size_t limit) {
  std::vector<std::string_view> result;
  while (result.size() < limit) {
    text = base::trim(text);
    if (text.empty()) break;
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    result.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  result.push_back(base::trim(text));  // the rest
  return result;
}

constexpr std::array kSessionStates = {"Idle",        "Connect", "Active",  "OpenSent", "OpenConfirm",
                                       "Established", "Close",   "Passive", "Down"};

}  // namespace

std::optional<Reply> ReplyReader::next() {
  while (!malformed_) {
    const auto end = buffer_.find('\n');
    if (end == buffer_.npos) {
      malformed_ = buffer_.size() > kMaxReplyBytes;
      return std::nullopt;
    }
    const std::string line = buffer_.substr(0, end);
    buffer_.erase(0, end + 1);
    if (take_line(line)) return std::exchange(pending_, {});
  }
  return std::nullopt;
}

bool ReplyReader::take_line(std::string_view line) {
  if (line.starts_with(' ') || line.starts_with('+')) {
    const int code = pending_.empty() ? reply_code::kOk : pending_.back().code;
    pending_.push_back({code, std::string(line.substr(1))});
    return false;
  }
  int code = 0;
  const bool numbered = line.size() >= 5 && (line[4] == '-' || line[4] == ' ') &&
                        std::from_chars(line.data(), line.data() + 4, code).ptr == line.data() + 4;
  if (!numbered) {
    malformed_ = true;
    return false;
  }
  pending_.push_back({code, std::string(line.substr(5))});
  return line[4] == ' ';
}

bool ProtocolRow::is_calico_session() const {
  return type == "BGP" && (name.starts_with("Mesh_") || name.starts_with("Global_") || name.starts_with("Node_") ||
                           name.starts_with("Local_Workload_"));
}

std::vector<ProtocolRow> parse_protocols(const Reply& reply) {
  std::vector<ProtocolRow> rows;
  for (const ReplyLine& line : reply) {
    if (line.code != reply_code::kProtocolRow || base::trim(line.text).empty()) continue;
    const auto columns = words(line.text, 5);  // name, type, table, state, since, rest
    if (columns.size() < 6) continue;
    ProtocolRow row{.name = std::string(columns[0]),
                    .type = std::string(columns[1]),
                    .state = std::string(columns[3]),
                    .since = std::string(columns[4]),
                    .session = "",
                    .detail = std::string(columns[5])};
    const auto info = words(columns[5], 1);
    if (row.type == "BGP" && info.size() == 2 && std::ranges::find(kSessionStates, info[0]) != kSessionStates.end()) {
      row.session = info[0];
      row.detail = info[1];
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

DaemonStatus parse_status(const Reply& reply) {
  DaemonStatus status;
  for (const ReplyLine& line : reply) {
    const std::string_view text = base::trim(line.text);
    if (line.code == reply_code::kVersion && text.starts_with("BIRD ")) status.version = text.substr(5);
    if (line.code == reply_code::kRecovering) status.recovering = true;
    if (line.code == reply_code::kStatusEnd) status.running = text == "Daemon is up and running";
    if (line.code != reply_code::kStatusDetail) continue;
    if (text.starts_with("Router ID is ")) status.router_id = text.substr(13);
    if (text.starts_with("Last reboot on ")) status.last_reboot = text.substr(15);
  }
  return status;
}

// An IPv4 address leaves exactly four numbers; of an IPv6 one some part is empty, hexadecimal, or the fifth.
bool ProtocolRow::is_v4_session() const {
  std::string_view rest = name;
  for (const std::string_view prefix : {"Mesh_", "Global_", "Node_", "Local_Workload_"}) {
    if (rest.starts_with(prefix)) rest.remove_prefix(prefix.size());
  }
  rest = rest.substr(0, rest.find("_port_"));
  const auto parts = base::split(rest, '_');
  return parts.size() == 4 && std::ranges::all_of(parts, [](std::string_view part) {
           return !part.empty() && part.size() <= 3 && part.find_first_not_of("0123456789") == part.npos;
         });
}

std::optional<std::string> why_not_ready(const BgpStatus& status, ReadinessRule rule, bool starting_up) {
  if (!status.daemon_up) return "BIRD does not answer";
  if (!status.configuration_error.empty()) return "BIRD refused the configuration: " + status.configuration_error;
  const bool all = rule == ReadinessRule::kAll || (rule == ReadinessRule::kStart && starting_up);
  if (all && status.daemon.recovering && !status.sessions.empty()) return "BIRD is recovering from a restart";
  for (const bool v4 : {true, false}) {
    const auto in_family = [&](const ProtocolRow& row) { return row.is_v4_session() == v4; };
    const auto configured = std::ranges::count_if(status.sessions, in_family);
    const auto established = std::ranges::count_if(
        status.sessions, [&](const ProtocolRow& row) { return in_family(row) && row.established(); });
    if (established < (all ? configured : std::min<std::ptrdiff_t>(configured, 1))) {
      return std::to_string(established) + " of " + std::to_string(configured) + (v4 ? " IPv4" : " IPv6") +
             " BGP sessions are established";
    }
  }
  return std::nullopt;
}

}  // namespace bgp
