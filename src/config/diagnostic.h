// diagnostic.h: what is wrong with a configuration, for people: which parameter, from where, what value, what to do.
#pragma once

#include <string>
#include <vector>

namespace config {

// Sources from the lowest precedence to the highest (spec felix-agent §1.1).
enum class Source {
  kDefault,
  kGlobal,       // ClusterInformation and FelixConfiguration "default"
  kPerSelector,  // another FelixConfiguration whose nodeSelector matches
  kPerHost,      // FelixConfiguration "node.<host>" and Node
  kFile,
  kEnvironment,
  kOverride,  // the agent itself
};
constexpr std::size_t kSourceCount = 7;

std::string_view label(Source source);  // "datastore (global)", as in Calico's messages

enum class Severity {
  kNote,     // nothing is wrong, but the reader may not expect it
  kWarning,  // a value is ignored or replaced by its default
  kError,    // the agent does not start with this, and keeps its former configuration when it appears
};

struct Diagnostic {
  Severity severity = Severity::kWarning;
  Source source = Source::kDefault;
  std::string parameter;  // a parameter's name, or what else the message is about
  std::string value;      // as found; may be empty
  std::string problem;
  std::string remedy;  // may be empty

  // warning: InterfacePrefix from config file: 'tap,': not an interface name; use …
  std::string text() const;
  friend bool operator==(const Diagnostic&, const Diagnostic&) = default;
};

using Diagnostics = std::vector<Diagnostic>;

bool has_errors(const Diagnostics& diagnostics);

}  // namespace config
