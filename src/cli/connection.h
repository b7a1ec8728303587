// connection.h: how the command line finds its datastore (spec cli §1.5, §1.6; spec datamodel §2.7).
//
// --datastore LOCATION wins; then the configuration file, if there is one (the environment is then ignored entirely);
// then the environment; then the directory of a single host, if it exists.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/environment.h"
#include "store/open_store.h"

namespace cli {

inline constexpr std::string_view kDefaultConfigPath = "/etc/calico/calicoctl.cfg";
inline constexpr std::string_view kDefaultDirectory = "/etc/percale/resources";

struct ConnectionChoice {
  store::ConnectionSettings settings;
  std::string source;   // "file /etc/calico/calicoctl.cfg", for -l info
  std::string warning;  // something the operator may have meant otherwise; may be empty
};

// `location` is the value of --datastore, `config_path` of --config; either may be empty.
base::Result<ConnectionChoice> choose_connection(std::string_view location, std::string_view config_path,
                                                 const Environment& environment);

// The text of a configuration file.
base::Result<store::ConnectionSettings> parse_config(std::string_view text, const std::string& path);

}  // namespace cli
