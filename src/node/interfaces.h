// interfaces.h: this host's interfaces, and by which address it reaches others. Reads the kernel's state, changes
// nothing.
#pragma once

#include <vector>

#include "base/result.h"
#include "node/autodetect.h"

namespace node {

base::Result<std::vector<Interface>> list_interfaces();

// No packet is sent. A name is looked up with `getent`, because a static program cannot use the system's resolver.
base::Result<base::IpAddress> find_local_address(const std::string& host, base::Family family);

}  // namespace node
