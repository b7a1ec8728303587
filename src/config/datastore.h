// datastore.h: how to reach the datastore (spec felix-agent §1.5).
//
// Two layers: the common client variables (DATASTORE_TYPE, ETCD_…, each also with CALICO_ in front, which wins), then
// what the agent's own file and environment set. Unlike upstream, the second layer counts in any spelling, a type
// without endpoints gets the default address, DNS discovery alone means etcd, and nothing at all means etcd at
// http://127.0.0.1:2379.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/environment.h"
#include "config/resolve.h"

namespace config {

struct DatastoreSettings {
  std::string directory;               // not empty: resource files instead of etcd, and nothing below counts
  std::vector<std::string> endpoints;  // "https://10.0.0.1:2379/"
  std::string discovery_domain;        // DNS SRV; then there are no endpoints
  std::string username;                // both or neither
  std::string password;
  std::string ca_file;  // empty: the system's certificates
  std::string certificate_file;
  std::string key_file;

  bool uses_etcd() const { return directory.empty(); }
  friend bool operator==(const DatastoreSettings&, const DatastoreSettings&) = default;
};

base::Result<DatastoreSettings> datastore_settings(const Environment& environment, const Resolved& resolved);

}  // namespace config
