// percalectl, installed also as calicoctl.

#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.h"
#include "cli/system_environment.h"
#ifdef PERCALE_HAVE_LAB
#include "lab/command.h"
#endif

int main(int argc, char** argv, char** variables) {
  std::string_view program = argc > 0 ? argv[0] : "percalectl";
  program.remove_prefix(program.rfind('/') + 1);
  if (program.starts_with("kubectl-")) program = "kubectl-calico";
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  cli::SystemEnvironment environment(variables);
  std::vector<cli::ForeignCommand> foreign;
#ifdef PERCALE_HAVE_LAB
  foreign.push_back({"lab", "Run several hosts on one machine.", lab::run_command});
#endif
  return cli::run(program, arguments, environment, foreign);
}
