// iptables_save.h: reads what iptables-save prints, as far as this agent needs it (spec dataplane §5.3, §13.3): which
// chains exist, the ids of our rules in them, and the full text of our rules outside our own chains, for deleting them
// by value.
//
// Pure. One pass, about 100 ns a line.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "render/iptables/context.h"
#include "render/iptables/rendered_chain.h"

namespace reconcile {

// A chain of ours, reduced to what tells two contents apart.
struct ChainState {
  std::uint32_t rule_count = 0;
  render::iptables::Fingerprint fingerprint;
  friend bool operator==(const ChainState&, const ChainState&) = default;
};

inline ChainState state_of(const render::iptables::RenderedChain& chain) {
  return {chain.rule_count, chain.fingerprint};
}

// A rule in a chain of somebody else's: a kernel chain, or another program's.
struct PlacedRule {
  enum class Owner : std::uint8_t { kForeign, kOurs, kOld };  // kOld: left by an older release, without an id
  Owner owner = Owner::kForeign;
  std::string id;    // kOurs
  std::string line;  // kOurs, kOld: "-A FORWARD …"
};

struct TableState {
  std::unordered_map<std::string, ChainState> owned;
  // Chains of others, with all their rules in order, if they hold a rule of ours.
  std::map<std::string, std::vector<PlacedRule>> placed;
  // Number of rules in the other chains of others that have any.
  std::map<std::string, std::size_t> foreign_only;
};

// A table that is not mentioned is empty. Fails if a table of ours cannot be shown by this program.
[[nodiscard]] base::Result<std::map<render::iptables::Table, TableState>> parse_save(std::string_view text);

}  // namespace reconcile
