#include "kernel/neighbour_fake.h"

namespace kernel {

using base::Result;
using reconcile::NeighbourEdit;
using reconcile::NeighbourEntry;

Result<std::vector<NeighbourEntry>> FakeNeighbours::list(base::Family family) {
  std::vector<NeighbourEntry> found = entries;
  std::erase_if(found, [&](const NeighbourEntry& entry) { return entry.neighbour.address.family() != family; });
  return found;
}

Result<std::vector<NeighbourReply>> FakeNeighbours::apply(std::span<const NeighbourEdit> edits) {
  if (break_conversations > 0) {
    --break_conversations;
    return base::fail(base::Error::unavailable("netlink: the kernel did not answer in time"));
  }
  std::vector<NeighbourReply> replies;
  for (const NeighbourEdit& edit : edits) {
    const bool remove = edit.kind == NeighbourEdit::Kind::kRemove;
    if (interfaces_down.contains(edit.entry.interface)) {
      replies.push_back({.done = remove, .interface_down = true});
      continue;
    }
    if (refused.contains(edit.entry.neighbour.address)) {
      replies.push_back({.done = false, .text = "Invalid argument"});
      continue;
    }
    std::erase_if(entries, [&](const NeighbourEntry& entry) {
      return entry.interface == edit.entry.interface && entry.neighbour.address == edit.entry.neighbour.address;
    });
    if (!remove) entries.push_back(edit.entry);
    replies.push_back({});
  }
  return replies;
}

}  // namespace kernel
