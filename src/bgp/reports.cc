#include "bgp/reports.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/strings.h"

namespace bgp {
namespace {

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The next word; `rest` begins after it.
std::string_view take_word(std::string_view& rest) {
  rest = base::trim(rest);
  const auto end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

std::size_t indent(std::string_view text) { return std::min(text.find_first_not_of(" \t"), text.size()); }

// "Routes:         1 imported, 2 exported, 1 preferred", in any order and with other words between.
void read_counts(std::string_view text, ChannelReport& channel) {
  for (std::string_view part : base::split(text, ',')) {
    const std::uint64_t count = number(take_word(part));
    const std::string_view what = take_word(part);
    if (what == "imported") channel.imported = count;
    if (what == "exported") channel.exported = count;
    if (what == "preferred") channel.preferred = count;
  }
}

class ProtocolReader {
 public:
  void line(const ReplyLine& line) {
    if (base::trim(line.text).empty()) return;
    if (indent(line.text) == 0) return row(line);
    if (!reports_.empty()) detail(line.text);
  }
  std::vector<ProtocolReport> take() { return std::move(reports_); }

 private:
  void row(const ReplyLine& line) {
    auto rows = parse_protocols({{reply_code::kProtocolRow, line.text}});
    if (rows.empty()) return;
    reports_.push_back({.row = std::move(rows.front()), .details = {}, .channels = {}});
    in_channel_ = in_neighbour_ = false;
  }

  void detail(std::string_view text) {
    const std::string_view trimmed = base::trim(text);
    ProtocolReport& report = reports_.back();
    if (trimmed.starts_with("Channel ")) {
      report.channels.push_back({.name = std::string(base::trim(trimmed.substr(8))), .state = {}});
      in_channel_ = true;
      return;
    }
    const auto colon = trimmed.find(':');
    const std::string_view label = trimmed.substr(0, colon);
    const std::string_view value = colon == trimmed.npos ? std::string_view() : base::trim(trimmed.substr(colon + 1));
    if (!in_channel_) {
      if (trimmed == "Neighbor capabilities") in_neighbour_ = true;
      if (trimmed == "Route refresh" && in_neighbour_) report.peer_refreshes = true;
      report.details.emplace(label, value);  // the first wins: capabilities repeat labels for the neighbour
      return;
    }
    ChannelReport& channel = report.channels.back();
    if (label == "State") channel.state = value;
    if (label == "Routes") read_counts(value, channel);
    if (label == "GR recovery") channel.recovering = true;
  }

  std::vector<ProtocolReport> reports_;
  bool in_channel_ = false;
  bool in_neighbour_ = false;  // among what it said it can do
};

// "via 192.0.2.12 on eth0 onlink weight 1" or "dev tap1".
std::optional<NextHop> parse_next_hop(std::string_view text) {
  NextHop hop;
  std::string_view rest = text;
  const std::string_view first = take_word(rest);
  if (first == "dev") {
    hop.interface = take_word(rest);
    return hop;
  }
  if (first != "via") return std::nullopt;
  const auto gateway = base::parse_address(take_word(rest));
  if (gateway) hop.gateway = *gateway;
  while (!base::trim(rest).empty()) {
    const std::string_view word = take_word(rest);
    if (word == "on") hop.interface = take_word(rest);
    if (word == "onlink") hop.onlink = true;
  }
  return hop;
}

class RouteReader {
 public:
  void line(const ReplyLine& line) {
    const std::string_view text = line.text;
    const std::string_view trimmed = base::trim(text);
    if (trimmed.empty()) return;
    if (trimmed.starts_with("Table ") && trimmed.ends_with(":")) {
      table_ = trimmed.substr(6, trimmed.size() - 7);
      return;
    }
    if (trimmed.find(" [") != trimmed.npos && !text.starts_with('\t')) return route(text);
    if (!routes_.empty()) attribute(trimmed);
  }
  std::vector<RouteReport> take() { return std::move(routes_); }

 private:
  // "10.65.7.0/26         unicast [Mesh_192_0_2_12 10:00:05 from 192.0.2.13] * (100/?) [i]"; a further route of the
  // same prefix begins with blanks.
  void route(std::string_view text) {
    RouteReport report;
    report.table = table_;
    const auto open = text.find(" [");
    std::string_view head = text.substr(0, open);
    if (indent(text) == 0) destination_ = take_word(head);
    report.destination = destination_;
    head = base::trim(head);
    if (auto hop = parse_next_hop(head)) {  // 1.6: the next hop stands here, and the type is not said
      report.type = "unicast";
      report.next_hops.push_back(std::move(*hop));
    } else {
      report.type = head;
    }
    const auto close = std::min(text.find(']', open), text.size());
    source(text.substr(open + 2, close - open - 2), report);
    flags(text.substr(std::min(close + 1, text.size())), report);
    routes_.push_back(std::move(report));
  }

  static void source(std::string_view rest, RouteReport& report) {
    report.protocol = take_word(rest);
    while (!base::trim(rest).empty()) {
      if (take_word(rest) != "from") continue;
      if (const auto from = base::parse_address(take_word(rest))) report.from = *from;
    }
  }

  static void flags(std::string_view rest, RouteReport& report) {
    std::string_view word = take_word(rest);
    report.primary = word == "*" || word == "!";
    report.unsynchronised = word == "!";
    if (report.primary) word = take_word(rest);
    if (word.starts_with('(')) report.preference = static_cast<int>(number(word.substr(1)));
  }

  void attribute(std::string_view text) {
    RouteReport& report = routes_.back();
    if (auto hop = parse_next_hop(text)) {
      report.next_hops.push_back(std::move(*hop));
      return;
    }
    const auto colon = text.find(':');
    if (colon == text.npos) return;
    std::string name = base::to_lower(text.substr(0, colon));
    std::ranges::replace(name, '.', '_');
    report.attributes[std::move(name)] = base::trim(text.substr(colon + 1));
  }

  std::string table_;
  std::string destination_;
  std::vector<RouteReport> routes_;
};

}  // namespace

std::string ProtocolReport::detail(const std::string& label) const {
  const auto found = details.find(label);
  return found == details.end() ? std::string() : found->second;
}

bool ProtocolReport::peer_restarting() const { return details.contains("Neighbor graceful restart active"); }

std::vector<ProtocolReport> parse_protocol_reports(const Reply& reply) {
  ProtocolReader reader;
  for (const ReplyLine& line : reply) {
    if (line.code == reply_code::kProtocolRow || line.code == reply_code::kProtocolDetail) reader.line(line);
  }
  return reader.take();
}

std::vector<RouteReport> parse_route_reports(const Reply& reply) {
  RouteReader reader;
  for (const ReplyLine& line : reply) {
    if (line.code == reply_code::kRouteRow || line.code == reply_code::kRouteDetail ||
        line.code == reply_code::kRouteAttribute) {
      reader.line(line);
    }
  }
  return reader.take();
}

// "192.0.2.12                ---        Up         10:00:04.250    0.300    0.900" between headings.
std::vector<BfdReport> parse_bfd_reports(const Reply& reply) {
  std::vector<BfdReport> reports;
  for (const ReplyLine& line : reply) {
    if (line.code != reply_code::kBfdSession) continue;
    std::vector<std::string> words;
    for (std::string_view rest = line.text; !base::trim(rest).empty();) words.emplace_back(take_word(rest));
    if (words.size() < 6) continue;
    const auto address = base::parse_address(words[0].substr(0, words[0].find('%')));
    if (!address) continue;
    const std::size_t timers = words.size() - 2;
    reports.push_back({.address = *address,
                       .interface = words[1] == "---" ? std::string() : words[1],
                       .state = words[2],
                       .since = words[3],
                       .interval = words[timers],
                       .timeout = words[timers + 1]});
    for (std::size_t i = 4; i < timers; ++i) reports.back().since += " " + words[i];  // date and time
  }
  return reports;
}

}  // namespace bgp
