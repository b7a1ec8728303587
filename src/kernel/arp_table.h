// arp_table.h: the table `arp calico-arp` of nf_tables, which Calico's agent keeps (spec dataplane §15.6) and Percale
// does not.
#pragma once

#include "base/result.h"

namespace kernel {

// Removes the table from this network namespace, over netlink: nothing is run. True if there was one. Without nf_tables
// in the kernel there is none. Left behind by Calico's agent, its rules go on dropping the host's ARP replies for
// addresses that have moved to other guests since.
[[nodiscard]] base::Result<bool> remove_calico_arp_table();

}  // namespace kernel
