// static_chains.h: hooks into the kernel's chains, and the chains that do not depend on endpoints or policies, or only
// on a small map (spec dataplane §6, §7, §12).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "render/iptables/context.h"
#include "render/iptables/rendered_chain.h"
#include "render/iptables/rule.h"
#include "render/objects.h"

namespace render::iptables {

// Our rules in one chain of the kernel: first (or last, with InsertMode::kAppend), and always last.
struct Hooks {
  std::vector<HookRule> inserted;
  std::vector<HookRule> appended;
};
// By kernel chain. The same for both families.
std::map<std::string, Hooks> render_hooks(const Context& context, Table table);

// The chains of one table whose text depends on the settings alone.
std::vector<Chain> render_static(const Context& context, Family family, Table table);

// Packets to addresses of services that reached the end of the FORWARD chain: no service took them.
Chain render_cidr_block(const Context& context, const std::vector<base::Prefix>& ranges);
Chain render_nat_outgoing(const Context& context, Family family, bool active);
Chain render_fip_dnat(const NatMap& nat);
Chain render_fip_snat(const Context& context, const NatMap& nat);
Chain render_egress_dscp(const DscpMap& dscp);
Chain render_rpf_skip(const SpoofMap& spoof);

}  // namespace render::iptables
