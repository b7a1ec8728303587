// dispatch_chains.h: trees that find an interface's chain in two comparisons of its name (spec dataplane §8.1).
//
// The root compares the common prefix plus one character, a child the whole name. Every comparison ends in a goto, so
// the rules that catch everything else stand at the end of the root and of every child.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "render/iptables/rule.h"

namespace render::iptables {

struct DispatchBin {
  std::string key;                           // common prefix of the names
  std::vector<std::string_view> interfaces;  // sorted; one: matched in the root
  char next = '\0';                          // last character of the key
};
// REQUIRES: sorted, no duplicates. The views point into `interfaces`.
std::vector<DispatchBin> bin_interfaces(const std::vector<std::string_view>& interfaces);

struct DispatchTree {
  std::string_view root;
  bool by_input = true;              // match the in-interface, else the out-interface
  std::string_view endpoint_prefix;  // "cali-fw-"
  std::vector<Rule> end;
};

std::string child_name(const DispatchTree& tree, const DispatchBin& bin);
Chain render_dispatch_root(const DispatchTree& tree, const std::vector<DispatchBin>& bins);
Chain render_dispatch_child(const DispatchTree& tree, const DispatchBin& bin);  // REQUIRES: several interfaces

}  // namespace render::iptables
