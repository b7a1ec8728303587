// open_store.h: how to reach a datastore (spec datamodel §2.7). Plain values: whoever reads files and environment
// fills them in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "store/store.h"

namespace store {

enum class StoreType { kEtcd, kDirectory };

struct ConnectionSettings {
  StoreType type = StoreType::kEtcd;
  // etcd: "http://host:port" or "https://host:port"; a missing scheme means http, a missing port 2379.
  std::vector<std::string> endpoints;
  std::string discovery_srv;  // DNS domain; not together with endpoints
  std::string username;       // used only when both are set
  std::string password;
  std::string ca_file, cert_file, key_file;  // paths
  std::string ca_pem, cert_pem, key_pem;     // the same inline; may not be mixed with paths
  // directory
  std::string directory;
};

// "dir:/etc/percale/resources" gives a directory; a comma-separated list of URLs gives etcd endpoints.
base::Result<ConnectionSettings> parse_location(std::string_view location);

// Starts the store's own thread and returns at once: connecting happens behind. Fails only on settings that cannot work
// (all problems in one text): unusable URL, missing file, certificate without key, no such directory, a build without
// etcd. `log` and `metrics` must outlive the store.
base::Result<std::unique_ptr<Store>> open_store(const ConnectionSettings& settings, base::Log& log,
                                                base::MetricRegistry& metrics);

}  // namespace store
