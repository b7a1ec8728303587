// local_config.h: the part of the configuration that is known without a datastore: file, environment, host name.
#pragma once

#include <string>

#include "base/log.h"
#include "base/result.h"
#include "config/datastore.h"
#include "config/environment.h"
#include "config/resolve.h"
#include "config/tracker.h"

namespace agent {

// The environment of this process.
config::Environment process_environment();
// The operating system's name for this host, trimmed and in lower case; else the HOSTNAME variable; else empty.
std::string system_hostname(const config::Environment& environment);
// Files and programs of this host.
config::Probe host_probe();

struct LocalConfig {
  config::Environment environment;
  std::string system_hostname;
  config::RawSources sources;
  config::Diagnostics diagnostics;  // of the file's syntax; resolving gives more
  config::Resolution resolution;    // with file and environment only
};

// A missing file is fine; one that cannot be read or parsed is an error that names it.
base::Result<LocalConfig> load_local_config(const std::string& config_file, config::Environment environment,
                                            const config::Probe& probe);

// Says on `out` everything that is wrong and every value that is not the default. The exit status: 0 unless there are
// errors.
int check_config(const std::string& config_file, config::Environment environment, std::string& out);

void log_diagnostics(base::Log& log, const config::Diagnostics& diagnostics);

}  // namespace agent
