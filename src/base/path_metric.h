// path_metric.h: percale_path_seconds, one summary for each step on the way from datastore to kernel. The steps are the
// rows of docs/hot-path.md; each part observes its own.
#pragma once

#include <string>
#include <string_view>

#include "base/metrics.h"

namespace base {

inline Summary path_summary(MetricRegistry& registry, std::string_view step) {
  return registry.summary("percale_path_seconds", "Time from etcd event to kernel commit, by step (docs/hot-path.md).",
                          {{"step", std::string(step)}});
}

}  // namespace base
