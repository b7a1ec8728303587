// bench_namespace.h: benchmarks on the real kernel run as root, each in a network namespace of its own; for benchmarks
// only.
#pragma once

#include <sched.h>
#include <unistd.h>

namespace kernel::bench {

// Moves the calling thread into an empty namespace; what it leaves goes with the last thing in it. False without root.
inline bool enter_fresh_namespace() { return ::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0; }

}  // namespace kernel::bench
