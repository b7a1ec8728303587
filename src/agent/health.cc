#include "agent/health.h"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/core.h>

namespace agent {
namespace {

using Row = std::array<std::string, 5>;

// A frame of +, - and |, headings centred, cells to the left: what operators know from Calico.
std::string render(const std::vector<Row>& rows) {
  const Row headings = {"COMPONENT", "TIMEOUT", "LIVENESS", "READINESS", "DETAIL"};
  std::array<std::size_t, 5> width{};
  for (std::size_t c = 0; c < width.size(); ++c) {
    width[c] = headings[c].size();
    for (const Row& row : rows) width[c] = std::max(width[c], row[c].size());
  }
  std::string rule = "+";
  for (const std::size_t w : width) rule += std::string(w + 2, '-') + "+";
  rule += "\n";
  const auto line = [&](const Row& row, std::string_view layout) {
    std::string out = "|";
    for (std::size_t c = 0; c < width.size(); ++c) out += fmt::format(fmt::runtime(layout), row[c], width[c]);
    return out + "\n";
  };
  std::string out = rule + line(headings, " {:^{}} |") + rule;
  for (const Row& row : rows) out += line(row, " {:<{}} |");
  return out + rule;
}

std::string cell(bool reports, bool timed_out, bool good, std::string_view word) {
  if (!reports) return "-";
  if (timed_out) return "timed out";
  return fmt::format("reporting {}{}", good ? "" : "non-", word);
}

}  // namespace

std::string duration_text(base::Duration duration) {
  const std::int64_t count = duration.count();
  if (count == 0) return "0s";
  if (count < 0) return "-" + duration_text(-duration);
  if (count < 1'000) return fmt::format("{}ns", count);
  if (count < 1'000'000) return fmt::format("{}µs", static_cast<double>(count) / 1e3);
  if (count < 1'000'000'000) return fmt::format("{}ms", static_cast<double>(count) / 1e6);
  const std::int64_t hours = count / 3'600'000'000'000;
  const std::int64_t minutes = count / 60'000'000'000 % 60;
  const double seconds = static_cast<double>(count % 60'000'000'000) / 1e9;
  if (hours > 0) return fmt::format("{}h{}m{}s", hours, minutes, seconds);
  if (minutes > 0) return fmt::format("{}m{}s", minutes, seconds);
  return fmt::format("{}s", seconds);
}

void HealthAggregator::add(const std::string& name, HealthAspects aspects, base::Duration timeout) {
  const std::lock_guard lock(mutex_);
  reporters_[name] = {aspects, timeout, true, false, "", clock_.now()};
}

void HealthAggregator::report(const std::string& name, bool live, bool ready, std::string detail) {
  const std::lock_guard lock(mutex_);
  const auto found = reporters_.find(name);
  if (found == reporters_.end()) return;
  found->second.live = live;
  found->second.ready = ready;
  found->second.detail = std::move(detail);
  found->second.last = clock_.now();
}

void HealthAggregator::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  reporters_.erase(name);
}

void HealthAggregator::set_overrides(std::map<std::string, base::Duration> overrides) {
  const std::lock_guard lock(mutex_);
  overrides_ = std::move(overrides);
}

HealthSummary HealthAggregator::summary() const {
  const std::lock_guard lock(mutex_);
  HealthSummary summary;
  std::vector<Row> rows;
  for (const auto& [name, reporter] : reporters_) {
    const auto override = overrides_.find(name);
    const bool overridden = override != overrides_.end();
    const base::Duration timeout = overridden ? override->second : reporter.timeout;
    const bool timed_out = timeout > base::Duration(0) && clock_.now() - reporter.last > timeout;
    if (reporter.aspects.live) summary.live &= reporter.live && !timed_out;
    if (reporter.aspects.ready) summary.ready &= reporter.ready && !timed_out;
    rows.push_back({name,
                    (timeout > base::Duration(0) ? duration_text(timeout) : "-") + (overridden ? " (override)" : ""),
                    cell(reporter.aspects.live, timed_out, reporter.live, "live"),
                    cell(reporter.aspects.ready, timed_out, reporter.ready, "ready"), reporter.detail});
  }
  summary.table = render(rows);
  return summary;
}

}  // namespace agent
