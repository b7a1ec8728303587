#include "config/tracker.h"

#include <utility>

#include <boost/json.hpp>

namespace config {
namespace {

void append(Diagnostics& to, const Diagnostics& from) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

ConfigTracker::ConfigTracker(RawSources local, Diagnostics local_diagnostics, std::string system_hostname, Probe probe,
                             SelectorPredicate matches)
    : sources_(std::move(local)),
      local_diagnostics_(std::move(local_diagnostics)),
      system_hostname_(std::move(system_hostname)),
      probe_(std::move(probe)),
      matches_(std::move(matches)),
      // Only file and environment can set it.
      hostname_(resolve(sources_, system_hostname_, probe_).resolved.text(Parameter::kFelixHostname)) {}

void ConfigTracker::felix_configuration(const std::string& name, Document document) {
  dirty_ = true;
  if (document) {
    now_.felix[name] = std::move(document);
  } else {
    now_.felix.erase(name);
  }
}

void ConfigTracker::cluster_information(const std::string& name, Document document) {
  if (name != "default") return;
  dirty_ = true;
  now_.cluster = std::move(document);
}

void ConfigTracker::node(const std::string& name, Document document) {
  if (name != hostname_) return;
  dirty_ = true;
  now_.node = std::move(document);
}

void ConfigTracker::clear() {
  dirty_ = true;
  // A snapshot may be cut short by another: what neither of the two has named so far comes from before the first.
  now_.felix.merge(before_.felix);
  if (!now_.cluster) now_.cluster = before_.cluster;
  if (!now_.node) now_.node = before_.node;
  before_ = std::exchange(now_, {});
}

void ConfigTracker::keep_felix_configuration(const std::string& name) {
  if (const auto known = before_.felix.find(name); known != before_.felix.end()) now_.felix.insert(*known);
}

void ConfigTracker::keep_cluster_information(const std::string& name) {
  if (name == "default" && !now_.cluster) now_.cluster = before_.cluster;
}

void ConfigTracker::keep_node(const std::string& name) {
  if (name == hostname_ && !now_.node) now_.node = before_.node;
}

Configuration ConfigTracker::evaluate() {
  dirty_ = false;
  before_ = {};
  Configuration out;
  out.diagnostics = local_diagnostics_;
  const auto felix_raw = [&](const std::string& name, Source source) {
    const auto found = now_.felix.find(name);
    if (found == now_.felix.end()) return RawMap();
    ResourceParameters parameters = from_felix_configuration(*found->second, source);
    append(out.diagnostics, parameters.diagnostics);
    return std::move(parameters.raw);
  };

  RawMap global = felix_raw("default", Source::kGlobal);
  if (now_.cluster) {
    const ClusterParameters cluster = from_cluster_information(*now_.cluster);
    out.datastore_ready = cluster.datastore_ready;
    global = merged(std::move(global), cluster.raw);
  }
  sources_.set(Source::kGlobal, std::move(global));

  const NodeParameters node = now_.node ? from_node(*now_.node) : NodeParameters();
  out.host_ip = node.host_ip;
  std::vector<ScopedConfiguration> candidates;
  for (const auto& [name, document] : now_.felix) {
    if (is_scoped_configuration(name)) candidates.push_back(scoped_configuration(*document));
  }
  const ScopedChoice choice = choose_scoped(candidates, node.labels, matches_);
  append(out.diagnostics, choice.diagnostics);
  RawMap selected;
  if (choice.index) {
    ResourceParameters parameters = from_felix_configuration(*candidates[*choice.index].resource, Source::kPerSelector);
    append(out.diagnostics, parameters.diagnostics);
    selected = std::move(parameters.raw);
  }
  sources_.set(Source::kPerSelector, std::move(selected));
  sources_.set(Source::kPerHost, merged(felix_raw("node." + hostname_, Source::kPerHost), node.raw));

  Resolution resolution = resolve(sources_, system_hostname_, probe_);
  out.resolved = std::move(resolution.resolved);
  append(out.diagnostics, resolution.diagnostics);
  append(out.diagnostics, validate(out.resolved));
  return out;
}

}  // namespace config
