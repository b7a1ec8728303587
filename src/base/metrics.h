// metrics.h: counters, gauges and summaries by Prometheus name. Handles are cheap, copyable and thread-safe; the
// registry outlives them. Names and labels are Felix's where Felix has the metric (spec felix-agent §5), `percale_`
// otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace base {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

struct MetricCell;

class Counter {
 public:
  Counter() = default;
  explicit Counter(std::shared_ptr<MetricCell> cell) : cell_(std::move(cell)) {}
  void add(std::uint64_t n = 1);

 private:
  std::shared_ptr<MetricCell> cell_;
};

class Gauge {
 public:
  Gauge() = default;
  explicit Gauge(std::shared_ptr<MetricCell> cell) : cell_(std::move(cell)) {}
  void set(double value);
  void add(double delta);

 private:
  std::shared_ptr<MetricCell> cell_;
};

// Quantiles 0.5, 0.9, 0.99 over a sliding sample, plus _sum and _count.
class Summary {
 public:
  Summary() = default;
  explicit Summary(std::shared_ptr<MetricCell> cell) : cell_(std::move(cell)) {}
  void observe(double value);

 private:
  std::shared_ptr<MetricCell> cell_;
};

// A default-constructed handle discards what it is given, so code can be tested without a registry.
class MetricRegistry {
 public:
  MetricRegistry();
  ~MetricRegistry();
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // Asking again for the same name and labels gives the same series.
  Counter counter(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  Gauge gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {});
  Summary summary(std::string_view name, std::string_view help, const MetricLabels& labels = {});

  // Prometheus text format 0.0.4, families sorted by name, series by label.
  std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace base
