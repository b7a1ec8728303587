// print.h: calculation results as text, one object a line, sorted: for people, for diffs in tests, and for `percalectl
// plan`.
#pragma once

#include <string>

#include "calc/output.h"

namespace calc {

std::string to_string(const SetMember& member);  // "10.0.0.0/24", "10.0.0.1,tcp:80"
// "allow tcp from set s:… to 10.0.0.0/8 ports 80,443". The rule as programmed, with sets instead of selectors.
std::string to_string(const Rule& rule);
std::string to_string(const ClusterRoute& route);
std::string to_text(const State& state);

}  // namespace calc
