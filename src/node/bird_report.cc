#include "node/bird_report.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/strings.h"

namespace node {
namespace {

constexpr int kProtocolDetail = 1006;
constexpr int kRouteRow = 1007;
constexpr int kRouteAttribute = 1008;
constexpr int kRouteDetail = 1012;
constexpr std::array<std::string_view, 9> kSessionWords = {
    "Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Close", "Passive", "Down"};

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (const std::string_view word : base::split(text, ' ')) {
    if (const auto trimmed = base::trim(word); !trimmed.empty()) words.emplace_back(trimmed);
  }
  return words;
}

// The part of a protocol's name that is made of its address, and the port if it has one.
struct NameParts {
  std::string_view kind;  // "Mesh", "Global", "Node", "Local_Workload" or ""
  std::string address;    // with dots or colons; "" if it is none
  std::string port;
};

NameParts split_name(std::string_view name) {
  NameParts parts;
  for (const std::string_view kind : {"Mesh", "Global", "Node", "Local_Workload"}) {
    if (!name.starts_with(std::string(kind) + "_")) continue;
    parts.kind = kind;
    std::string_view rest = name.substr(kind.size() + 1);
    constexpr std::string_view kPort = "_port_";
    if (const auto at = rest.find(kPort); at != rest.npos) {
      parts.port = rest.substr(at + kPort.size());
      rest = rest.substr(0, at);
    }
    for (const char separator : {'.', ':'}) {
      const auto address = base::parse_address(base::replace_all(rest, "_", std::string(1, separator)));
      if (address) parts.address = base::to_string(*address);
    }
    break;
  }
  return parts;
}

bool is_date(std::string_view word) { return word.size() == 10 && word[4] == '-' && word[7] == '-'; }
bool is_time(std::string_view word) { return word.size() >= 5 && word[2] == ':'; }

// Name Proto Table State Since [time] Info…
std::optional<Session> parse_row(std::string_view text) {
  const auto words = words_of(text);
  if (words.size() < 5 || words[1] != "BGP") return std::nullopt;
  Session session{.protocol = words[0]};
  session.state = words[3];
  session.since = words[4];
  std::size_t rest = 5;
  if (words.size() > rest && is_date(words[4]) && is_time(words[rest])) session.since += " " + words[rest++];
  const std::vector<std::string> info(words.begin() + static_cast<std::ptrdiff_t>(rest), words.end());
  session.info = base::join(info, " ");
  if (!info.empty() && std::ranges::find(kSessionWords, info.front()) != kSessionWords.end())
    session.session = info.front();
  return session;
}

void set_address(Session& session, std::string_view text) {
  const auto zone = text.find('%');  // fe80::1%eth0
  const auto address = base::parse_address(text.substr(0, zone));
  if (!address) return;
  const std::string port = split_name(session.protocol).port;
  session.is_v4 = address->is_v4();
  session.address = base::to_string(*address);
  if (zone != text.npos) session.address += text.substr(zone);
  if (!port.empty()) session.address = (session.is_v4 ? session.address : "[" + session.address + "]") + ":" + port;
}

// "Neighbor address: 192.0.2.12" -> its value.
std::optional<std::string_view> value_of(std::string_view line, std::string_view label) {
  line = base::trim(line);
  if (!base::equal_ignoring_case(line.substr(0, label.size()), label)) return std::nullopt;
  return base::trim(line.substr(label.size()));
}

}  // namespace

std::string_view peer_type(const Session& session) {
  const std::string_view kind = split_name(session.protocol).kind;
  if (kind == "Mesh") return "node-to-node mesh";
  if (kind == "Global") return "global";
  if (kind == "Node") return "node specific";
  if (kind == "Local_Workload") return "local workload";
  return "-";
}

std::string_view resource_peer_type(const Session& session) {
  const std::string_view kind = split_name(session.protocol).kind;
  if (kind == "Mesh") return "NodeMesh";
  if (kind == "Global") return "GlobalPeer";
  if (kind == "Node") return "NodePeer";
  return {};
}

std::vector<Session> parse_sessions(const bgp::Reply& reply) {
  std::vector<Session> sessions;
  bool in_bgp = false;
  for (const bgp::ReplyLine& line : reply) {
    if (line.code == bgp::reply_code::kProtocolRow) {
      auto session = parse_row(line.text);
      in_bgp = session.has_value();
      if (!in_bgp) continue;
      set_address(*session, split_name(session->protocol).address);
      sessions.push_back(*std::move(session));
    } else if (line.code == kProtocolDetail && in_bgp) {
      Session& session = sessions.back();
      if (const auto address = value_of(line.text, "Neighbor address:")) set_address(session, *address);
      if (const auto state = value_of(line.text, "BGP state:"); state && session.session.empty())
        session.session = *state == "Down" ? std::string() : std::string(*state);
    }
  }
  return sessions;
}

namespace {

// "unicast [Mesh_192_0_2_12 10:00:05 from A] * (100) [i]", or BIRD 1.6's "via A on X [kernel1 10:00:00] * (10)".
void parse_route_head(std::string_view text, Route& route) {
  const auto open = text.find('['), close = text.find(']');
  if (open == text.npos || close == text.npos || close < open) return;
  const auto words = words_of(text.substr(0, open));
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "via" && i + 1 < words.size()) route.gateway = words[i + 1];
    if ((words[i] == "on" || words[i] == "dev") && i + 1 < words.size()) route.interface = words[i + 1];
    for (const std::string_view kind : {"blackhole", "unreachable", "prohibited"}) {
      if (words[i] == kind) route.interface = kind;
    }
  }
  const auto inside = words_of(text.substr(open + 1, close - open - 1));
  if (!inside.empty()) route.protocol = inside.front();
  const std::string_view flags = base::trim(text.substr(close + 1));
  route.primary = flags.starts_with('*') || flags.starts_with('!');
}

void parse_next_hop(std::string_view text, Route& route) {
  const auto words = words_of(text);
  const bool hop = !words.empty() && (words[0] == "via" || words[0] == "dev");
  if (!hop || !route.interface.empty() || words.size() < 2) return;  // the first of several
  if (words[0] == "dev") {
    route.interface = words[1];
    return;
  }
  route.gateway = words[1];
  if (words.size() > 3 && words[2] == "on") route.interface = words[3];
}

}  // namespace

std::vector<Route> parse_routes(const bgp::Reply& reply) {
  std::vector<Route> routes;
  std::string destination;
  for (const bgp::ReplyLine& line : reply) {
    if (line.code != kRouteRow && line.code != kRouteAttribute && line.code != kRouteDetail) continue;
    const std::string_view text = line.text;
    const bool indented = text.starts_with('\t');
    if (indented) {
      if (!routes.empty()) parse_next_hop(base::trim(text), routes.back());
      continue;
    }
    if (line.code != kRouteRow || base::trim(text).empty() || text.starts_with("Table ")) continue;
    std::string_view rest = text;
    if (!text.starts_with(' ')) {
      const auto end = std::min(text.find(' '), text.size());
      destination = text.substr(0, end);
      rest = text.substr(end);
    }
    if (rest.find('[') == rest.npos) continue;
    Route route{.destination = destination};
    parse_route_head(rest, route);
    routes.push_back(std::move(route));
  }
  return routes;
}

}  // namespace node
