// Giving addresses back (spec datamodel §7.2, spec cli §13.3).

#include <algorithm>
#include <utility>

#include "ipam/addressing.h"
#include "ipam/ipam.h"

namespace ipam {

using base::Error;
using base::ErrorKind;

// Where each address lives: by the pools, and those outside every pool by looking at all blocks. An address without
// block goes under its own host prefix, which is never a block's key here.
base::Result<std::map<base::Prefix, std::vector<Release>>> Ipam::by_block(std::span<const Release> requests) {
  std::map<base::Prefix, std::vector<Release>> shares;
  const auto known = pools();
  if (!known) return base::fail(known.error());
  std::map<base::Family, std::vector<base::Prefix>> existing;
  for (const Release& request : requests) {
    const base::Prefix host = base::Prefix::host(request.address);
    base::Prefix home = host;
    if (const Pool* pool = pool_containing(*known, host)) {
      home = block_around(request.address, pool->block_size);
    } else {
      const base::Family family = request.address.family();
      if (!existing.contains(family)) {
        const auto keys = access_.list_keys(block_root(family));
        if (!keys) return base::fail(keys.error());
        auto& blocks = existing[family];
        for (const store::KeyValue& item : keys->items) {
          if (const auto block = parse_block_key(item.key)) blocks.push_back(*block);
        }
      }
      for (const base::Prefix& block : existing[family]) {
        if (block.contains(request.address)) home = block;
      }
    }
    shares[home].push_back(request);
  }
  return shares;
}

// Reads, changes and writes one block until nobody interferes. `change` gives what it released.
template <typename Change>
base::Result<Released> Ipam::change_for_release(const base::Prefix& cidr, Change change) {
  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    auto there = read_block(cidr);
    if (!there) return base::fail(there.error());
    if (!*there) return base::fail(Error::not_found("no block " + base::to_string(cidr)));
    Block& block = (*there)->block;
    const Block before = block;
    auto released = change(block);
    if (!released || released->released.empty()) return released;
    const std::string key = block_key(cidr);
    const bool abandoned = !block.affinity() && block.empty();
    const auto written = abandoned ? access_.remove(key, (*there)->revision)
                                   : access_.update(key, block.encode_update(), (*there)->revision);
    if (!written) return base::fail(written.error());
    bool done = written->outcome == Written::kDone;
    if (written->outcome == Written::kUnclear) {
      const auto now = read_block(cidr);
      if (!now) return base::fail(now.error());
      // Free, or given to somebody else since.
      done = !*now || std::ranges::all_of(released->released, [&](const base::IpAddress& address) {
        return !(*now)->block.owner_of(address) || (*now)->block.sequence_of(address) != before.sequence_of(address);
      });
    }
    if (done) {
      const bool now_empty = !abandoned && block.empty() && !block.host().empty();
      if (now_empty) {
        if (auto ok = release_unselected(cidr); !ok) return base::fail(ok.error());
      }
      return released;
    }
    backoff.wait();
  }
  return base::fail(too_many_tries());
}

// An empty block goes when its pool no longer selects the node that holds it.
base::Result<void> Ipam::release_unselected(const base::Prefix& cidr) {
  const auto known = pools();
  if (!known) return base::fail(known.error());
  const Pool* pool = pool_containing(*known, cidr);
  if (pool == nullptr || !pool->enabled()) return {};
  const auto there = read_block(cidr);
  if (!there) return base::fail(there.error());
  if (!*there || (*there)->block.host().empty()) return {};
  const std::string host((*there)->block.host());
  const auto labels = node_labels(host);
  if (!labels) return base::fail(labels.error());
  if (!*labels || selects(pool->node_selector, **labels)) return {};
  const auto released = release_affinity(host, cidr, {.require_empty = true});
  if (!released && released.error().kind() != ErrorKind::kConflict) return released;
  return {};
}

base::Result<Released> Ipam::release_in_block(const base::Prefix& block, std::span<const Release> requests) {
  return change_for_release(block, [&](Block& stored) { return stored.release(requests); });
}

base::Result<Released> Ipam::release_handle_in_block(const base::Prefix& block, std::string_view handle) {
  return change_for_release(block,
                            [&](Block& stored) -> base::Result<Released> { return stored.release_handle(handle); });
}

base::Result<Ipam::ReleaseOutcome> Ipam::release(std::span<const Release> requests) {
  ReleaseOutcome outcome;
  auto shares = by_block(requests);
  if (!shares) return base::fail(shares.error());
  const auto remember = [&](const Error& error) {
    if (!outcome.error) outcome.error = error;
  };
  for (const auto& [block, share] : *shares) {
    const auto released = release_in_block(block, share);
    if (!released && released.error().kind() == ErrorKind::kNotFound) {
      for (const Release& request : share) outcome.unallocated.push_back(request.address);
      continue;
    }
    if (!released) {
      remember(released.error());
      continue;
    }
    outcome.released.insert(outcome.released.end(), released->released.begin(), released->released.end());
    outcome.unallocated.insert(outcome.unallocated.end(), released->unallocated.begin(), released->unallocated.end());
    for (const auto& [handle, count] : released->handles) {
      if (auto done = decrement_handle(handle, block, count); !done) remember(done.error());
    }
  }
  return outcome;
}

base::Result<std::size_t> Ipam::release_by_handle(std::string_view handle) {
  const std::string key = handle_key(handle);
  const std::string name(handle);
  auto item = access_.get(key);
  if (!item) return base::fail(item.error());
  if (!*item) {
    return base::fail(Error::not_found("resource does not exist: IPAMHandle(" + name + ") with error: <nil>"));
  }
  const auto counts = Handle::parse((*item)->value);
  if (!counts) return base::fail(counts.error().in(key));
  std::size_t total = 0;
  for (const auto& [text, count] : counts->blocks) {
    const auto block = base::parse_cidr(text);
    if (!block || !is_block(*block)) continue;
    const auto released = release_handle_in_block(*block, handle);
    if (!released && released.error().kind() != ErrorKind::kNotFound) return base::fail(released.error());
    const std::size_t here = released ? released->released.size() : 0;
    total += here;
    const store::Revision revision = *item ? (*item)->mod_revision : 0;
    const auto forgotten = forget_block_of_handle(name, *block, revision, static_cast<std::int64_t>(here));
    if (!forgotten) return base::fail(forgotten.error());
    item = access_.get(key);
    if (!item) return base::fail(item.error());
  }
  // Nothing left to count: a handle that somebody wrote without any block.
  if (*item && counts->blocks.empty()) {
    if (const auto removed = access_.remove(key, (*item)->mod_revision); !removed) return base::fail(removed.error());
  }
  return total;
}

}  // namespace ipam
