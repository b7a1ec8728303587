#include "config/diagnostic.h"

#include <algorithm>

namespace config {

std::string_view label(Source source) {
  switch (source) {
    case Source::kDefault: return "<default>";
    case Source::kGlobal: return "datastore (global)";
    case Source::kPerSelector: return "datastore (per-node-selector)";
    case Source::kPerHost: return "datastore (per-host)";
    case Source::kFile: return "config file";
    case Source::kEnvironment: return "environment variable";
    case Source::kOverride: return "internal override";
  }
  return "";
}

std::string Diagnostic::text() const {
  std::string out = severity == Severity::kError ? "error: " : severity == Severity::kWarning ? "warning: " : "note: ";
  out += parameter;
  if (source != Source::kDefault) out.append(" from ").append(label(source));
  if (!value.empty()) out.append(" = '").append(value).append("'");
  out.append(": ").append(problem);
  if (!remedy.empty()) out.append("; ").append(remedy);
  return out;
}

bool has_errors(const Diagnostics& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& diagnostic) { return diagnostic.severity == Severity::kError; });
}

}  // namespace config
