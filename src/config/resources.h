// resources.h: what FelixConfiguration, ClusterInformation and Node say about parameters (spec felix-agent §1.6).
// Resources come as the JSON stored in etcd. Nothing in them can fail as a whole: a field that cannot be used is a
// diagnostic.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/ip.h"
#include "base/result.h"
#include "config/resolve.h"

namespace config {

struct ResourceParameters {
  RawMap raw;
  Diagnostics diagnostics;
};

// `source` is only named in the diagnostics.
ResourceParameters from_felix_configuration(const boost::json::object& resource, Source source);

struct ClusterParameters {
  RawMap raw;
  bool datastore_ready = false;  // false also when the resource does not say
};
ClusterParameters from_cluster_information(const boost::json::object& resource);

struct NodeParameters {
  RawMap raw;
  std::optional<base::IpAddress> host_ip;                    // IPv4
  std::optional<std::map<std::string, std::string>> labels;  // nothing when the Node has no label map
};
NodeParameters from_node(const boost::json::object& resource);

// Both maps of one source; where both name a parameter, `second` wins.
RawMap merged(RawMap first, const RawMap& second);

// A FelixConfiguration that is neither "default" nor "node.<host>".
struct ScopedConfiguration {
  std::string name;
  std::string creation_timestamp;  // RFC 3339, as stored
  std::string node_selector;
  const boost::json::object* resource = nullptr;  // not used here; for the caller
};
ScopedConfiguration scoped_configuration(const boost::json::object& resource);
bool is_scoped_configuration(std::string_view name);

// Says whether a selector matches labels; fails when it does not parse.
using SelectorPredicate =
    std::function<base::Result<bool>(std::string_view selector, const std::map<std::string, std::string>& labels)>;

struct ScopedChoice {
  std::optional<std::size_t> index;  // into the candidates
  Diagnostics diagnostics;
};
// Exactly one applies, as a whole: of those that match, the oldest, then the smallest name. Without a label map none
// does.
ScopedChoice choose_scoped(const std::vector<ScopedConfiguration>& candidates,
                           const std::optional<std::map<std::string, std::string>>& node_labels,
                           const SelectorPredicate& matches);

}  // namespace config
