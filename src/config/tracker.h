// tracker.h: the configuration as its resources change: local sources fixed at start, datastore sources from the
// documents given so far. Used for reading the configuration at start and for noticing changes later (spec felix-agent
// §1.6, §1.7).
//
// Pure: evaluate() answers for what it was told, in any order of telling. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <boost/json/fwd.hpp>

#include "config/resolve.h"
#include "config/resources.h"

namespace config {

using Document = std::shared_ptr<const boost::json::object>;  // the whole resource; null: it does not exist

struct Configuration {
  Resolved resolved;
  Diagnostics diagnostics;       // of the sources, of resolving and of validate()
  bool datastore_ready = false;  // ClusterInformation exists and says so
  std::optional<base::IpAddress> host_ip;
};

class ConfigTracker {
 public:
  // `local`: file and environment, and overrides if any; `local_diagnostics` are repeated by every evaluate().
  ConfigTracker(RawSources local, Diagnostics local_diagnostics, std::string system_hostname, Probe probe,
                SelectorPredicate matches);

  const std::string& hostname() const { return hostname_; }

  // Names other than "default" of ClusterInformations and other than ours of Nodes are ignored.
  void felix_configuration(const std::string& name, Document document);
  void cluster_information(const std::string& name, Document document);
  void node(const std::string& name, Document document);
  // A snapshot begins that replaces all documents: forgets those that are neither told nor kept before evaluate().
  void clear();
  // The document is there, but cannot be read: it stays as it was, and so do the parameters it sets. The default may be
  // the opposite of what is meant.
  void keep_felix_configuration(const std::string& name);
  void keep_cluster_information(const std::string& name);
  void keep_node(const std::string& name);

  // Whether anything was told since the last evaluate().
  bool dirty() const { return dirty_; }
  Configuration evaluate();

 private:
  RawSources sources_;
  Diagnostics local_diagnostics_;
  std::string system_hostname_;
  Probe probe_;
  SelectorPredicate matches_;
  std::string hostname_;
  struct Documents {
    std::map<std::string, Document> felix;
    Document cluster;
    Document node;
  };
  Documents now_;
  Documents before_;  // the snapshot that is being read
  bool dirty_ = true;
};

}  // namespace config
