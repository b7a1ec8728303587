// subnet.h: a subnet as the DHCP side reads it (spec openstack §2.6). Pure.
#pragma once

#include "neutron/translate/value.h"

namespace neutron {

// No key while DHCP is off. The value has the bytes that upstream's driver writes, since it compares texts.
Translation translate_subnet(const json::object& subnet, const Region& region);

}  // namespace neutron
