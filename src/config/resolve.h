// resolve.h: from the raw texts of all sources to one typed value for each parameter (spec felix-agent §1.1, §1.2,
// §1.7).
//
// Pure: what the operating system knows (host name, which files exist) is handed in. Rules worth remembering:
// an empty text means "not set here"; `none` is the zero value; a text that does not parse gives the parameter's
// *default* and still hides lower sources; with kFatal or kNonZero it is an error, in a losing source too; datastore
// sources cannot set kLocal parameters; unknown names never stop anything. Two spellings of one name in one source: the
// one that sorts last by its bytes wins, with a warning. (Upstream leaves it open.)
#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "config/diagnostic.h"
#include "config/parameter.h"

namespace config {

using RawMap = std::map<std::string, std::string>;  // names as found

class RawSources {
 public:
  // Replaces what `source` says; empty texts are left out.
  void set(Source source, RawMap raw);
  const RawMap& get(Source source) const { return maps_[static_cast<std::size_t>(source)]; }

 private:
  std::array<RawMap, kSourceCount> maps_;
};

class Resolved {
 public:
  Resolved();  // every parameter at its default

  // The type must be the parameter's (value_type.h says which C++ type each Kind has); anything else is our bug and
  // aborts.
  bool flag(Parameter p) const { return get<bool>(p); }
  std::int64_t integer(Parameter p) const { return get<std::int64_t>(p); }
  base::Duration duration(Parameter p) const { return get<base::Duration>(p); }
  const std::string& text(Parameter p) const { return get<std::string>(p); }
  const Texts& texts(Parameter p) const { return get<Texts>(p); }
  const std::vector<base::Prefix>& prefixes(Parameter p) const { return get<std::vector<base::Prefix>>(p); }
  const std::vector<ProtocolPort>& ports(Parameter p) const { return get<std::vector<ProtocolPort>>(p); }
  const std::vector<PortRange>& port_ranges(Parameter p) const { return get<std::vector<PortRange>>(p); }
  const std::vector<TableRange>& table_ranges(Parameter p) const { return get<std::vector<TableRange>>(p); }
  const TextMap& map(Parameter p) const { return get<TextMap>(p); }
  const DurationMap& durations(Parameter p) const { return get<DurationMap>(p); }
  std::optional<bool> optional_flag(Parameter p) const;
  std::optional<base::IpAddress> address(Parameter p) const;

  const Value& value(Parameter p) const { return entries_[index(p)].value; }
  Source source(Parameter p) const { return entries_[index(p)].source; }
  // The text as printed by to_string(), for logs and --check-config.
  std::string printed(Parameter p) const;
  // Set in the file or the environment, as the datastore connection asks (§1.5).
  bool set_locally(Parameter p) const;

  void set(Parameter p, Value value, Source source) { entries_[index(p)] = {std::move(value), source}; }

 private:
  template <typename T>
  const T& get(Parameter p) const {
    const T* held = std::get_if<T>(&value(p));
    CHECK(held != nullptr);
    return *held;
  }
  struct Entry {
    Value value;
    Source source = Source::kDefault;
  };
  std::vector<Entry> entries_;
};

struct Resolution {
  Resolved resolved;
  Diagnostics diagnostics;
};

// `system_hostname`: the operating system's, trimmed and in lower case; used unless FelixHostname is set.
Resolution resolve(const RawSources& sources, std::string_view system_hostname, const Probe& probe);

// What must hold between parameters before the agent can start (§1.2); errors only.
Diagnostics validate(const Resolved& resolved);

struct ChangeEffect {
  std::vector<Parameter> changed;
  std::vector<Parameter> restart;  // those of `changed` that need one
};
// By parsed value: re-spelling a boolean is no change, reordering a list is. A change of ClusterType that turns
// OpenStack mode on or off needs a restart although the parameter itself is live.
ChangeEffect compare(const Resolved& before, const Resolved& after);

}  // namespace config
