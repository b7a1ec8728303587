// options.h: percaled's command line (spec felix-agent §1.4).
#pragma once

#include <optional>
#include <string>

namespace agent {

struct Options {
  std::string config_file = "/etc/calico/felix.cfg";
  bool version = false;
  bool check_config = false;  // print all problems and the values in effect, then leave
};

struct ParsedOptions {
  Options options;
  std::optional<int> exit_status;  // leave with it: the arguments were wrong, or help was asked for and printed
};
ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace agent
