// command.h: `percalectl lab …`.
#pragma once

#include <span>
#include <string>

namespace lab {

// Arguments after "lab". Returns the exit status: 0 good, 1 not as it should be, 2 wrong usage. Prints to standard
// output and error. Must be called before the program starts threads. `lab __holder` does not return.
int run_command(std::span<const std::string> arguments);

}  // namespace lab
