#include "config/tracker.h"

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
    felix_[name] = std::move(document);
  } else {
    felix_.erase(name);
  }
}

void ConfigTracker::cluster_information(const std::string& name, Document document) {
  if (name != "default") return;
  dirty_ = true;
  cluster_ = std::move(document);
}

void ConfigTracker::node(const std::string& name, Document document) {
  if (name != hostname_) return;
  dirty_ = true;
  node_ = std::move(document);
}

void ConfigTracker::clear() {
  dirty_ = true;
  felix_.clear();
  cluster_.reset();
  node_.reset();
}

Configuration ConfigTracker::evaluate() {
  dirty_ = false;
  Configuration out;
  out.diagnostics = local_diagnostics_;
  const auto felix_raw = [&](const std::string& name, Source source) {
    const auto found = felix_.find(name);
    if (found == felix_.end()) return RawMap();
    ResourceParameters parameters = from_felix_configuration(*found->second, source);
    append(out.diagnostics, parameters.diagnostics);
    return std::move(parameters.raw);
  };

  RawMap global = felix_raw("default", Source::kGlobal);
  if (cluster_) {
    const ClusterParameters cluster = from_cluster_information(*cluster_);
    out.datastore_ready = cluster.datastore_ready;
    global = merged(std::move(global), cluster.raw);
  }
  sources_.set(Source::kGlobal, std::move(global));

  const NodeParameters node = node_ ? from_node(*node_) : NodeParameters();
  out.host_ip = node.host_ip;
  std::vector<ScopedConfiguration> candidates;
  for (const auto& [name, document] : felix_) {
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
