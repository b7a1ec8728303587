#include "agent/local_config.h"

#include <unistd.h>
#include <array>

#include <fmt/core.h>

#include "base/strings.h"
#include "config/ini.h"
#include "os/files.h"
#include "os/process.h"

extern char** environ;

namespace agent {
namespace {

void append(config::Diagnostics& to, const config::Diagnostics& from) { to.insert(to.end(), from.begin(), from.end()); }

std::string shown(const config::ParameterInfo& parameter, const std::string& value) {
  return fmt::format("  {} = {}", parameter.name, value.empty() ? "(nothing)" : value);
}

// Values that differ from the default, and where they come from.
std::string effective_values(const config::Resolved& resolved) {
  std::string out;
  for (const config::ParameterInfo& parameter : config::all_parameters()) {
    if (resolved.source(parameter.id) == config::Source::kDefault) continue;
    out += fmt::format("{}  ({})\n", shown(parameter, resolved.printed(parameter.id)),
                       label(resolved.source(parameter.id)));
  }
  return out;
}

std::string describe(const config::DatastoreSettings& settings) {
  if (!settings.uses_etcd()) return "resource files in " + settings.directory;
  if (!settings.discovery_domain.empty()) return "etcd found by DNS at " + settings.discovery_domain;
  return "etcd at " + base::join(settings.endpoints, ", ") +
         (settings.username.empty() ? "" : " as " + settings.username);
}

}  // namespace

config::Environment process_environment() {
  std::vector<std::string> entries;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return config::environment_from(entries);
}

std::string system_hostname(const config::Environment& environment) {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) == 0) {
    if (std::string trimmed = base::to_lower(base::trim(name.data())); !trimmed.empty()) return trimmed;
  }
  const auto variable = environment.find("HOSTNAME");
  return variable == environment.end() ? "" : base::to_lower(variable->second);
}

config::Probe host_probe() {
  return {[](const std::string& path) { return os::file_exists(path); },
          [](const std::string& name) -> std::optional<std::string> {
            auto found = os::find_program(name);
            return found && os::file_exists(*found) ? std::optional(*std::move(found)) : std::nullopt;
          }};
}

base::Result<LocalConfig> load_local_config(const std::string& config_file, config::Environment environment,
                                            const config::Probe& probe) {
  LocalConfig local;
  local.system_hostname = system_hostname(environment);
  local.environment = std::move(environment);
  local.sources.set(config::Source::kEnvironment, config::felix_parameters(local.environment));
  auto text = os::read_file(config_file);
  if (text) {
    auto file = config::parse_ini(*text);
    if (!file) return base::fail(std::move(file).error().in("configuration file " + config_file));
    local.sources.set(config::Source::kFile, std::move(file->values));
    local.diagnostics = std::move(file->diagnostics);
  } else if (text.error().kind() != base::ErrorKind::kNotFound) {
    return base::fail(std::move(text).error().in("configuration file"));
  }
  local.resolution = config::resolve(local.sources, local.system_hostname, probe);
  return local;
}

int check_config(const std::string& config_file, config::Environment environment, std::string& out) {
  auto local = load_local_config(config_file, std::move(environment), host_probe());
  if (!local) {
    out = "error: " + local.error().text() + "\n";
    return 1;
  }
  config::Diagnostics all = local->diagnostics;
  append(all, local->resolution.diagnostics);
  append(all, config::validate(local->resolution.resolved));
  bool bad = has_errors(all);
  for (const config::Diagnostic& diagnostic : all) out += diagnostic.text() + "\n";
  const auto datastore = config::datastore_settings(local->environment, local->resolution.resolved);
  if (!datastore) {
    bad = true;
    out += "error: datastore: " + datastore.error().text() + "\n";
  } else {
    out += "datastore: " + describe(*datastore) + "\n";
  }
  out += "node name: " + local->resolution.resolved.text(config::Parameter::kFelixHostname) + "\n";
  if (const std::string values = effective_values(local->resolution.resolved); !values.empty()) {
    out += "set in file and environment (resources in the datastore may set more):\n" + values;
  }
  out += bad ? "the agent would not start with this configuration\n" : "the configuration is good\n";
  return bad ? 1 : 0;
}

void log_diagnostics(base::Log& log, const config::Diagnostics& diagnostics) {
  for (const config::Diagnostic& d : diagnostics) {
    const auto say = [&](base::LogLevel level) {
      if (!log.enabled(level)) return;
      log.write(level, "config.problem", d.parameter + ": " + d.problem,
                {{"parameter", d.parameter}, {"source", label(d.source)}, {"value", d.value}, {"remedy", d.remedy}});
    };
    switch (d.severity) {
      case config::Severity::kNote: say(base::LogLevel::kInfo); break;
      case config::Severity::kWarning: say(base::LogLevel::kWarning); break;
      case config::Severity::kError: say(base::LogLevel::kError); break;
    }
  }
}

}  // namespace agent
