#include "base/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "base/check.h"

namespace base {

// One series. Summaries keep the newest kSample observations: enough for a stable p99, small enough to sort on demand.
struct MetricCell {
  static constexpr std::size_t kSample = 1024;
  mutable std::mutex mutex;
  double value = 0;
  double sum = 0;
  std::uint64_t count = 0;
  std::vector<double> sample;
};

namespace {

enum class Type { kCounter, kGauge, kSummary };

struct Family {
  Type type;
  std::string help;
  std::map<std::string, std::shared_ptr<MetricCell>> series;  // by rendered labels, "" or `a="b",c="d"`
};

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  out.append(text.data(), end);
}

std::string render_labels(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out.push_back(',');
    out.append(name).append("=\"");
    for (const char c : value) {
      if (c == '\\' || c == '"') out.push_back('\\');
      if (c == '\n') {
        out += "\\n";
      } else {
        out.push_back(c);
      }
    }
    out.push_back('"');
  }
  return out;
}

void append_series(std::string& out, std::string_view name, std::string_view suffix, const std::string& labels,
                   std::string_view extra, double value) {
  out.append(name).append(suffix);
  if (!labels.empty() || !extra.empty()) {
    out.push_back('{');
    out += labels;
    if (!labels.empty() && !extra.empty()) out.push_back(',');
    out.append(extra).push_back('}');
  }
  out.push_back(' ');
  append_number(out, value);
  out.push_back('\n');
}

void append_summary(std::string& out, const std::string& name, const std::string& labels, const MetricCell& cell) {
  std::vector<double> sorted = cell.sample;
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [text, share] :
       {std::pair{"quantile=\"0.5\"", 0.5}, {"quantile=\"0.9\"", 0.9}, {"quantile=\"0.99\"", 0.99}}) {
    const double value = sorted.empty()
                             ? std::nan("")
                             : sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
    append_series(out, name, "", labels, text, value);
  }
  append_series(out, name, "_sum", labels, "", cell.sum);
  append_series(out, name, "_count", labels, "", static_cast<double>(cell.count));
}

}  // namespace

void Counter::add(std::uint64_t n) {
  if (!cell_) return;
  const std::lock_guard lock(cell_->mutex);
  cell_->value += static_cast<double>(n);
}

void Gauge::set(double value) {
  if (!cell_) return;
  const std::lock_guard lock(cell_->mutex);
  cell_->value = value;
}

void Gauge::add(double delta) {
  if (!cell_) return;
  const std::lock_guard lock(cell_->mutex);
  cell_->value += delta;
}

void Summary::observe(double value) {
  if (!cell_) return;
  const std::lock_guard lock(cell_->mutex);
  cell_->sum += value;
  if (cell_->sample.size() < MetricCell::kSample) {
    cell_->sample.push_back(value);
  } else {
    cell_->sample[cell_->count % MetricCell::kSample] = value;
  }
  ++cell_->count;
}

struct MetricRegistry::Families {
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> by_name;

  std::shared_ptr<MetricCell> cell(Type type, std::string_view name, std::string_view help,
                                   const MetricLabels& labels) {
    const std::lock_guard lock(mutex);
    auto found = by_name.find(name);
    if (found == by_name.end()) found = by_name.emplace(std::string(name), Family{type, std::string(help), {}}).first;
    CHECK(found->second.type == type);
    auto& series = found->second.series[render_labels(labels)];
    if (!series) series = std::make_shared<MetricCell>();
    return series;
  }
};

MetricRegistry::MetricRegistry() : families_(std::make_unique<Families>()) {}
MetricRegistry::~MetricRegistry() = default;

Counter MetricRegistry::counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return Counter(families_->cell(Type::kCounter, name, help, labels));
}
Gauge MetricRegistry::gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return Gauge(families_->cell(Type::kGauge, name, help, labels));
}
Summary MetricRegistry::summary(std::string_view name, std::string_view help, const MetricLabels& labels) {
  return Summary(families_->cell(Type::kSummary, name, help, labels));
}

std::string MetricRegistry::text() const {
  constexpr std::array<std::string_view, 3> kTypeNames = {"counter", "gauge", "summary"};
  std::string out;
  const std::lock_guard lock(families_->mutex);
  for (const auto& [name, family] : families_->by_name) {
    out.append("# HELP ").append(name).append(" ").append(family.help).append("\n# TYPE ").append(name).append(" ");
    out.append(kTypeNames[static_cast<std::size_t>(family.type)]).append("\n");
    for (const auto& [labels, cell] : family.series) {
      const std::lock_guard cell_lock(cell->mutex);
      if (family.type == Type::kSummary) {
        append_summary(out, name, labels, *cell);
      } else {
        append_series(out, name, "", labels, "", cell->value);
      }
    }
  }
  return out;
}

}  // namespace base
