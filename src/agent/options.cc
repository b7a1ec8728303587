#include "agent/options.h"

#include <CLI/CLI.hpp>

namespace agent {

ParsedOptions parse_options(int argc, const char* const* argv) {
  ParsedOptions parsed;
  CLI::App app("Percale's node agent: programs policy, routes and BIRD of one host from the datastore.", "percaled");
  app.add_option("-c,--config-file", parsed.options.config_file, "configuration file; a missing one is no error")
      ->capture_default_str();
  app.add_flag("--version", parsed.options.version, "print the version and leave");
  app.add_flag("--check-config", parsed.options.check_config,
               "read file and environment, print every problem and every value that is not the default, and leave");
  app.footer(
      "Parameters come from the configuration file, FELIX_* variables and FelixConfiguration resources; the datastore "
      "from\n"
      "DATASTORE_TYPE (etcdv3 or dir:PATH) and ETCD_* or CALICO_ETCD_* variables.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    parsed.exit_status = app.exit(error);
  }
  return parsed;
}

}  // namespace agent
