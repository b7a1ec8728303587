// convergence.h: measures how fast a host learns what happened elsewhere, with real packets and the kernels' own news
// of their routes: a guest appears, a guest goes, BIRD dies, a host dies.
#pragma once

#include <string>

#include "lab/lab.h"

namespace lab {

struct ConvergenceOptions {
  std::string name = "convergence";
  AgentOptions agent;
  int patience = 1;
  int guests = 50;
  // Also without BFD, where only the hold time (four minutes) and the restart time (two) tell that a host is gone.
  bool wait_for_hold_time = true;
};

// Prints a line for each measurement as it is made. Exit status: 0 if nothing was lost that should not be, and a dead
// host was noticed in under a second with BFD.
int measure_convergence(const ConvergenceOptions& options);

}  // namespace lab
