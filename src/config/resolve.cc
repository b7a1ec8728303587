#include "config/resolve.h"

#include <algorithm>

#include "base/strings.h"
#include "config/derived.h"

namespace config {
namespace {

constexpr std::array kHighestFirst = {Source::kOverride, Source::kEnvironment, Source::kFile,
                                      Source::kPerHost,  Source::kPerSelector, Source::kGlobal};

bool from_datastore(Source source) {
  return source == Source::kGlobal || source == Source::kPerSelector || source == Source::kPerHost;
}

Value default_of(const ParameterInfo& parameter) {
  // The default program is not looked for: nobody wants it unless it is configured.
  if (parameter.type.kind == Kind::kProgram) return std::string(parameter.default_value);
  auto value = parse_value(parameter.type, parameter.default_value, Probe{});
  CHECK(value.has_value());  // a unit test checks every one
  return *std::move(value);
}

std::string set_to(const ParameterInfo& parameter) { return "use " + expectation(parameter.type); }

// Resolves one source after the other, from the highest.
class Resolver {
 public:
  Resolver(std::string_view system_hostname, const Probe& probe)
      : probe_(probe), taken_(all_parameters().size(), false) {
    hostname_.assign(system_hostname);
    result_.resolved.set(Parameter::kFelixHostname, hostname_, Source::kDefault);
  }

  void take(Source source, const RawMap& raw) {
    std::map<const ParameterInfo*, const std::string*> by_parameter;
    for (const auto& [name, text] : raw) {
      const ParameterInfo* parameter = find_parameter(name);
      if (parameter == nullptr) {
        unknown(source, name, text);
        continue;
      }
      const auto [slot, fresh] = by_parameter.emplace(parameter, &text);
      if (!fresh) {
        say(Severity::kWarning, source, *parameter, *slot->second, "is set twice, in two spellings",
            "'" + text + "' is used");
        slot->second = &text;
      }
    }
    for (const ParameterInfo& parameter : all_parameters()) {
      const auto found = by_parameter.find(&parameter);
      if (found != by_parameter.end()) take_one(source, parameter, *found->second);
    }
  }

  Resolution finish() && { return std::move(result_); }

 private:
  void take_one(Source source, const ParameterInfo& parameter, const std::string& text) {
    if (parameter.has(kLocal) && from_datastore(source)) {
      say(Severity::kWarning, source, parameter, text, "cannot be set in the datastore and is ignored",
          "set it in the configuration file or as " + environment_name(parameter));
      return;
    }
    std::optional<Value> value = parse(source, parameter, text);
    if (!value || taken_[index(parameter.id)]) return;
    taken_[index(parameter.id)] = true;
    // Switching off what is not there has the effect that is wanted.
    const bool off = std::holds_alternative<bool>(*value) && !std::get<bool>(*value);
    if (parameter.has(kIgnored) && !off && *value != default_of(parameter)) {
      say(Severity::kWarning, source, parameter, text, "has no effect in Percale",
          "remove it, unless Calico's agent uses the same configuration");
    }
    result_.resolved.set(parameter.id, *std::move(value), source);
  }

  // Nothing when it is an error.
  std::optional<Value> parse(Source source, const ParameterInfo& parameter, const std::string& text) {
    if (base::equal_ignoring_case(text, "none")) {
      if (!parameter.has(kNonZero)) return zero_value(parameter.type);
      say(Severity::kError, source, parameter, text, "must have a value", set_to(parameter));
      return std::nullopt;
    }
    auto value = parse_value(parameter.type, text, probe_);
    if (value) return *std::move(value);
    if (parameter.has(kFatal)) {
      say(Severity::kError, source, parameter, text, value.error().text(), set_to(parameter));
      return std::nullopt;
    }
    // A host name of the system must not take the place of a misspelt one: validate() refuses the empty one.
    const std::string_view shown = parameter.default_value.empty() ? "nothing" : parameter.default_value;
    say(Severity::kWarning, source, parameter, text,
        value.error().text() + ", so the default (" + std::string(shown) + ") is used", set_to(parameter));
    return default_of(parameter);
  }

  void unknown(Source source, const std::string& name, const std::string& text) {
    const std::string_view near = nearest_parameter(name);
    result_.diagnostics.push_back({Severity::kWarning, source, name, text, "there is no such parameter; it is ignored",
                                   near.empty() ? "" : "did you mean " + std::string(near) + "?"});
  }

  void say(Severity severity, Source source, const ParameterInfo& parameter, const std::string& text,
           std::string problem, std::string remedy) {
    result_.diagnostics.push_back(
        {severity, source, std::string(parameter.name), text, std::move(problem), std::move(remedy)});
  }

  const Probe& probe_;
  std::string hostname_;
  std::vector<bool> taken_;
  Resolution result_;
};

void demand(Diagnostics& out, bool holds, std::string parameter, std::string problem, std::string remedy) {
  if (!holds)
    out.push_back(
        {Severity::kError, Source::kDefault, std::move(parameter), "", std::move(problem), std::move(remedy)});
}

}  // namespace

void RawSources::set(Source source, RawMap raw) {
  std::erase_if(raw, [](const auto& entry) { return entry.second.empty(); });
  maps_[static_cast<std::size_t>(source)] = std::move(raw);
}

Resolved::Resolved() {
  for (const ParameterInfo& parameter : all_parameters()) entries_.push_back({default_of(parameter), Source::kDefault});
}

std::optional<bool> Resolved::optional_flag(Parameter p) const {
  const bool* held = std::get_if<bool>(&value(p));
  return held != nullptr ? std::optional(*held) : std::nullopt;
}

std::optional<base::IpAddress> Resolved::address(Parameter p) const {
  const base::IpAddress* held = std::get_if<base::IpAddress>(&value(p));
  return held != nullptr ? std::optional(*held) : std::nullopt;
}

std::string Resolved::printed(Parameter p) const { return to_string(info(p).type, value(p)); }

bool Resolved::set_locally(Parameter p) const {
  return source(p) == Source::kFile || source(p) == Source::kEnvironment;
}

Resolution resolve(const RawSources& sources, std::string_view system_hostname, const Probe& probe) {
  Resolver resolver(system_hostname, probe);
  for (const Source source : kHighestFirst) resolver.take(source, sources.get(source));
  return std::move(resolver).finish();
}

Diagnostics validate(const Resolved& resolved) {
  Diagnostics out;
  demand(out, !resolved.text(Parameter::kFelixHostname).empty(), "FelixHostname", "this node has no usable name",
         "use " + expectation(info(Parameter::kFelixHostname).type));
  demand(out, resolved.text(Parameter::kDatastoreType) != "kubernetes", "DatastoreType",
         "the kubernetes datastore is not supported", "use etcdv3, or dir:PATH for a directory of resource files");
  demand(out, resolved.flag(Parameter::kUseInternalDataplaneDriver), "UseInternalDataplaneDriver",
         "external data plane drivers are not supported", "remove it");
  if (resolved.text(Parameter::kDatastoreType) == "etcdv3" && resolved.texts(Parameter::kEtcdEndpoints).empty()) {
    const bool whole = !resolved.text(Parameter::kEtcdScheme).empty() && !resolved.text(Parameter::kEtcdAddr).empty();
    demand(out, whole, "EtcdAddr", "no etcd server is configured", "set EtcdEndpoints, or EtcdScheme and EtcdAddr");
  }
  return out;
}

ChangeEffect compare(const Resolved& before, const Resolved& after) {
  ChangeEffect effect;
  const bool mode_changed = openstack_mode(before) != openstack_mode(after);
  for (const ParameterInfo& parameter : all_parameters()) {
    if (before.value(parameter.id) == after.value(parameter.id)) continue;
    effect.changed.push_back(parameter.id);
    const bool live = parameter.has(kLive) && !(parameter.id == Parameter::kClusterType && mode_changed);
    if (!live && !parameter.has(kIgnored)) effect.restart.push_back(parameter.id);
  }
  return effect;
}

}  // namespace config
