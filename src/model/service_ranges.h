// service_ranges.h: the addresses of services that a BGPConfiguration has announced, for the data plane: packets to one
// that no service has must not circle between hosts and routers (spec dataplane §12, ServiceLoopPrevention). Pure.
#pragma once

#include <optional>
#include <vector>

#include "base/ip.h"
#include "model/update.h"

namespace model {

// Sorted, without duplicates; none for a document that is gone. Nothing if the change is not of the one document that
// counts, BGPConfiguration "default". Members that are no CIDR are left out: whoever reads the whole document says so.
std::optional<std::vector<base::Prefix>> service_ranges(const DocumentChange& change);

}  // namespace model
