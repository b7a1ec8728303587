// percale-lab: the lab commands as a program of their own, for working on the lab without the rest of percalectl.
#include <string>
#include <string_view>
#include <vector>

#include "lab/command.h"

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "lab") arguments.erase(arguments.begin());
  return lab::run_command(arguments);
}
