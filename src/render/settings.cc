#include "render/settings.h"

#include <algorithm>

namespace render {

std::vector<FailsafePort> default_failsafe_inbound() {
  return {{"tcp", 22, {}},   {"udp", 68, {}},   {"tcp", 179, {}},  {"tcp", 2379, {}}, {"tcp", 2380, {}},
          {"tcp", 5473, {}}, {"tcp", 6443, {}}, {"tcp", 6666, {}}, {"tcp", 6667, {}}};
}

std::vector<FailsafePort> default_failsafe_outbound() {
  return {{"udp", 53, {}},   {"udp", 67, {}},   {"tcp", 179, {}},  {"tcp", 2379, {}}, {"tcp", 2380, {}},
          {"tcp", 5473, {}}, {"tcp", 6443, {}}, {"tcp", 6666, {}}, {"tcp", 6667, {}}};
}

bool Settings::is_workload_interface(std::string_view name) const {
  return std::any_of(interface_prefixes.begin(), interface_prefixes.end(),
                     [&](const std::string& prefix) { return name.starts_with(prefix); });
}

}  // namespace render
