// options.h: the bridge's part of neutron.conf: [calico] as upstream's driver has it, and [percale]
// (docs/openstack.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_level.h"
#include "base/result.h"
#include "store/open_store.h"

namespace neutron {

// oslo.config's file format: sections, `name = value` or `name : value`, '#' and ';' at the start of a line, values
// continued on lines that begin with a blank. Later files and lines win.
class OsloFile {
 public:
  base::Result<> add(std::string_view text, const std::string& path);
  // The default if it is not set. "section", "name".
  std::string get(const std::string& section, const std::string& name, std::string otherwise = {}) const;

 private:
  std::map<std::pair<std::string, std::string>, std::string> values_;
};

struct Options {
  store::ConnectionSettings etcd;
  std::chrono::seconds etcd_timeout{10};
  std::string region;
  std::string elector_name;
  std::chrono::seconds resync_interval{60};  // 0: only the first
  std::chrono::seconds resync_max_interval{3600};
  std::chrono::minutes compaction_period{60};
  std::int64_t compaction_min_revisions = 1000;
  std::int64_t max_ingress_connections = 0, max_egress_connections = 0;
  std::vector<std::string> socket_users;  // names or numbers
  unsigned socket_mode = 0660;
  base::LogLevel log_level = base::LogLevel::kInfo;
};

// All problems in one text. `host_name` is the default for elector_name.
base::Result<Options> read_options(const OsloFile& file, const std::string& host_name);

// Numbers of users by /etc/passwd's text; names that it lacks are left out.
std::vector<unsigned> user_ids(const std::vector<std::string>& names, std::string_view passwd);

}  // namespace neutron
