// set_changes.h: hands what the renderer wants of IP sets to a syncer.
#pragma once

#include "kernel/ipset_syncer.h"
#include "render/objects.h"

namespace kernel {

// `changes` is by kernel name, as render::iptables::FamilyChanges has it. Marks only; apply_updates() writes.
// `max_elements` is MaxIpsetSize. A change of a set that is not wanted is ignored: it was removed by an earlier change.
void take_set_changes(IpSetSyncer& syncer, const render::SetChanges& changes, std::uint32_t max_elements);

}  // namespace kernel
