// Durations and the printing of values.
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/core.h>

#include "base/strings.h"
#include "config/value_type.h"

namespace config {
namespace {

using base::Error;
using base::fail;
using base::Result;

struct Unit {
  std::string_view name;
  double nanoseconds;
};
// Longer names first, so that "ms" is not read as minutes.
constexpr std::array<Unit, 8> kUnits = {
    {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"μs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}}};

template <typename Range, typename Print>
std::string joined(const Range& range, Print print) {
  std::string out;
  for (const auto& item : range) {
    if (!out.empty()) out.push_back(',');
    out += print(item);
  }
  return out;
}

std::string print_port(const ProtocolPort& port) {
  std::string out = port.protocol == 17 ? "udp:" : "tcp:";
  if (port.network) {
    const std::string network = base::to_string(*port.network);
    out += port.network->family() == base::Family::kIpv6 ? "[" + network + "]:" : network + ":";
  }
  return out + std::to_string(port.port);
}

std::string print_ports(const PortRange& range) {
  return range.first == range.last ? std::to_string(range.first) : fmt::format("{}:{}", range.first, range.last);
}

struct Printer {
  const ValueType& type;

  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const {
    return type.kind == Kind::kMarkMask ? fmt::format("{:#x}", value) : std::to_string(value);
  }
  std::string operator()(base::Duration value) const {
    return type.kind == Kind::kMilliseconds ? seconds_text(value * 1000) : seconds_text(value);
  }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const Texts& value) const {
    if (type.kind == Kind::kInterfaceRegexList) return joined(value, [](const auto& item) { return "/" + item + "/"; });
    return base::join(value, ",");
  }
  std::string operator()(const base::IpAddress& value) const { return base::to_string(value); }
  std::string operator()(const std::vector<base::Prefix>& value) const {
    return joined(value, [](const auto& item) { return base::to_string(item); });
  }
  std::string operator()(const std::vector<ProtocolPort>& value) const { return joined(value, print_port); }
  std::string operator()(const std::vector<PortRange>& value) const { return joined(value, print_ports); }
  std::string operator()(const std::vector<TableRange>& value) const {
    return joined(value, [](const auto& item) { return fmt::format("{}-{}", item.first, item.last); });
  }
  std::string operator()(const TextMap& value) const {
    return joined(value, [](const auto& item) { return item.first + "=" + item.second; });
  }
  std::string operator()(const DurationMap& value) const {
    return joined(value, [](const auto& item) { return item.first + "=" + seconds_text(item.second) + "s"; });
  }
};

}  // namespace

Result<base::Duration> parse_duration(std::string_view text) {
  const std::string_view whole = text;
  const auto bad = [&] { return fail(Error::invalid("not a duration such as 1m30s", whole)); };
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return base::Duration(0);
  if (text.empty()) return bad();
  double total = 0;
  while (!text.empty()) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || number < 0) return bad();
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (text.starts_with(candidate.name)) {
        unit = &candidate;
        break;
      }
    }
    if (unit == nullptr) return bad();
    text.remove_prefix(unit->name.size());
    total += number * unit->nanoseconds;
  }
  if (!(total < 9.2e18)) return bad();
  const auto nanoseconds = std::llround(total);
  return base::Duration(negative ? -nanoseconds : nanoseconds);
}

std::string seconds_text(base::Duration duration) {
  const std::int64_t count = duration.count();
  const std::uint64_t magnitude = count < 0 ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
  std::string out = fmt::format("{}{}", count < 0 ? "-" : "", magnitude / 1'000'000'000);
  std::string fraction = fmt::format("{:09}", magnitude % 1'000'000'000);
  fraction.erase(fraction.find_last_not_of('0') + 1);
  return fraction.empty() ? out : out + "." + fraction;
}

std::string to_string(const ValueType& type, const Value& value) { return std::visit(Printer{type}, value); }

}  // namespace config
