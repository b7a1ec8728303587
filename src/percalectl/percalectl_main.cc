// percalectl, installed also as calicoctl.

#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/system_environment.h"
#include "lab/command.h"
#include "neutron/command.h"

int main(int argc, char** argv, char** variables) {
  std::string_view program = argc > 0 ? argv[0] : "percalectl";
  program.remove_prefix(program.rfind('/') + 1);
  if (program.starts_with("kubectl-")) program = "kubectl-calico";
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  cli::SystemEnvironment environment(variables);
  const cli::ForeignCommand foreign[] = {{"lab", "Run several hosts on one machine.", lab::run_command},
                                         {"neutron", "Talk to the Neutron bridge.", neutron::run_command}};
  return cli::run(program, arguments, environment, foreign);
}
