// cluster.h: what every deployment needs in ClusterInformation and FelixConfiguration 'default' (spec openstack §2.8).
// Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "neutron/translate/value.h"

namespace neutron {

struct Adjusted {
  std::optional<std::string> value;     // nothing: what is there is right
  std::vector<std::string> members;     // what differs
  std::vector<std::string> notes = {};  // for operators
};

// `fresh_guid`: 32 hex digits, used only if neither the stored text nor `last_good` (a value read earlier) has one.
Adjusted adjust_cluster_information(const std::optional<std::string>& stored,
                                    const std::optional<std::string>& last_good, const std::string& fresh_guid,
                                    const Stamp& stamp);
Adjusted adjust_felix_configuration(const std::optional<std::string>& stored, const Stamp& stamp);

// Whether agents let endpoints send from foreign addresses: workloadSourceSpoofing: Any.
bool allows_spoofing(const std::optional<std::string>& felix_configuration);

}  // namespace neutron
