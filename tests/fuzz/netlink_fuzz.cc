// Any bytes as what a netlink socket received: the messages, then each parser of a payload.
#include <cstdint>
#include <set>

#include "base/check.h"
#include "kernel/conntrack_netlink.h"
#include "kernel/ipset_netlink.h"
#include "kernel/link_monitor.h"
#include "kernel/neighbour.h"
#include "kernel/route_netlink.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kernel::netlink::Bytes;
  const std::set<base::IpAddress> addresses{base::IpAddress::v4(0x0A000001)};
  kernel::netlink::MessageReader reader(Bytes(data, size));
  reconcile::IpSetContents contents;
  while (const auto message = reader.next()) {
    CHECK(message->payload.size() <= size);
    if (const auto ack = kernel::netlink::parse_acknowledgement(*message)) {
      CHECK(ack->error >= 0);
      CHECK(ack->request.size() <= size && ack->text.size() <= size);
    }
    (void)kernel::parse_ip_set_message(message->payload, contents);
    for (const reconcile::IpSetMember& member : contents.members) {
      CHECK(member.prefix.length <= base::address_bits(member.prefix.family()));
      CHECK(!reconcile::to_string(member).empty());
    }
    for (const std::uint32_t table : {kernel::kMainTable, kernel::kLocalTable}) {
      const auto route = kernel::parse_route_message(message->payload, table);
      if (!route) continue;
      CHECK(route->key.prefix.length <= base::address_bits(route->key.prefix.family()));
      CHECK(reconcile::same_route(*route, *route) || route->attributes.exotic);
      CHECK(!reconcile::to_string(*route).empty());
    }
    if (const auto link = kernel::parse_link_message(message->payload)) CHECK(link->index != 0);
    if (const auto entry = kernel::parse_neighbour_message(message->payload)) CHECK(entry->interface != 0);
    (void)kernel::conntrack_entry_belongs(message->payload, addresses);
  }
  return 0;
}
