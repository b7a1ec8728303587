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

bool is_ready(const BgpStatus& status, bool starting_up) {
  if (!status.daemon_up || !status.configuration_error.empty()) return false;
  if (status.sessions.empty()) return true;
  const auto established = std::ranges::count_if(status.sessions, &ProtocolRow::established);
  if (!starting_up) return established > 0;
  return !status.daemon.recovering && established == std::ssize(status.sessions);
}

}  // namespace bgp
