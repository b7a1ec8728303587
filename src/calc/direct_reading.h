// direct_reading.h: the meaning of policy, read off the objects themselves: selectors are asked about the labels of the
// endpoints that own the packet's addresses, and no IP set, index or calculated state is involved. It knows the whole
// cloud at once.
//
// It must agree with evaluate() on the calculated state, packet by packet; and it answers questions about objects that
// are not programmed anywhere yet. Same scope as evaluator.h. Slow: every call looks at everything.
#pragma once

#include <optional>

#include "calc/evaluator.h"
#include "calc/world.h"

namespace calc {

// Nothing if there is no such endpoint. Workload endpoints of any host; one without interface side counts as enabled.
std::optional<Verdict> read_directly(const World& world, const model::WorkloadEndpointKey& endpoint,
                                     Direction direction, const Packet& packet);
std::optional<Verdict> read_directly(const World& world, const model::HostEndpointKey& endpoint, PolicyList list,
                                     Direction direction, const Packet& packet);

// "allow tcp from has(role) to ports 80,443": the rule as its author wrote it, with selectors.
std::string to_string(const model::Rule& rule);

// The rule that decided, in that form; empty if no rule did.
std::string deciding_rule(const World& world, const Verdict& verdict, Direction direction);

}  // namespace calc
