// Auto-assignment and assignment of a given address (spec datamodel §7.4, spec cli §13.2).

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"
#include "ipam/addressing.h"
#include "ipam/ipam.h"

namespace ipam {

using base::Error;
using base::ErrorKind;

namespace {

constexpr std::int64_t kDefaultMaxBlocks = 20;
// A block that was claimed just now may be empty only because its host is about to use it.
constexpr base::Duration kReclaimAge = std::chrono::minutes(1);

std::int64_t block_limit(std::int64_t requested, std::int64_t configured) {
  if (requested > 0 && configured > 0) return std::min(requested, configured);
  if (requested > 0 || configured > 0) return std::max(requested, configured);
  return kDefaultMaxBlocks;
}

Owner owner_for(const std::optional<std::string>& handle, const Attributes& attributes) {
  return {
      .handle = handle, .attributes = attributes.empty() ? std::nullopt : std::optional(attributes), .alternate = {}};
}

bool carries(const Block& block, const std::vector<base::IpAddress>& addresses, const Owner& owner,
             std::uint64_t sequence) {
  return std::ranges::all_of(addresses, [&](const base::IpAddress& address) {
    return block.owner_of(address) == owner && block.sequence_of(address) == sequence;
  });
}

}  // namespace

// Up to `count` addresses of one block. Fewer, or none, if it has no more, is gone or belongs to the wrong host.
base::Result<std::vector<base::IpAddress>> Ipam::assign_from(const FromBlock& request) {
  std::int64_t held = 0;  // what the handle counts for us beyond what we have
  const std::string handle = request.owner.handle.value_or("");
  const bool counted = request.owner.handle.has_value();
  const auto give_back = [&](std::int64_t count) {
    if (counted) (void)decrement_handle(handle, request.block, count);  // too high a count does no harm
    held -= count;
  };
  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    auto there = read_block(request.block);
    if (!there) {
      give_back(held);
      return base::fail(there.error());
    }
    std::vector<base::IpAddress> taken;
    std::uint64_t sequence = 0;
    const bool usable = *there && (!request.required_host || (*there)->block.host() == *request.required_host);
    if (usable) {
      sequence = (*there)->block.sequence();
      taken = (*there)->block.assign(request.count, request.owner, request.reserved);
    }
    const auto wanted = static_cast<std::int64_t>(taken.size());
    if (wanted == 0) {
      give_back(held);
      return taken;
    }
    if (counted && wanted > held) {
      if (auto done = increment_handle(handle, request.block, wanted - held); !done) return base::fail(done.error());
      held = wanted;
    }
    const auto written = access_.update(block_key(request.block), (*there)->block.encode_update(), (*there)->revision);
    if (!written) return base::fail(written.error());  // not known whether done: the handle keeps the count
    bool done = written->outcome == Written::kDone;
    if (written->outcome == Written::kUnclear) {
      const auto now = read_block(request.block);
      if (!now) return base::fail(now.error());
      done = *now && carries((*now)->block, taken, request.owner, sequence);
    }
    if (done) {
      if (counted) give_back(held - wanted);
      return taken;
    }
    backoff.wait();
  }
  give_back(held);
  return base::fail(too_many_tries());
}

// One request, step by step. Addresses found before an error are kept: the error is then the shortfall.
class AutoAssigner {
 public:
  AutoAssigner(Ipam& ipam, const AutoAssign& request)
      : ipam_(ipam), request_(request), owner_(owner_for(request.handle, request.attributes)) {}

  base::Result<Assignment> run() {
    if (request_.count == 0) return Assignment{};
    if (auto prepared = prepare(); !prepared) return base::fail(prepared.error());
    if (auto step = from_own_blocks(); !step) return finish(step.error());
    if (missing() > 0) {
      if (auto step = from_new_blocks(); !step) return finish(step.error());
    }
    if (missing() > 0) {
      if (config_.strict_affinity) {
        return finish(Error::not_found("No more free affine blocks and strict affinity enabled"));
      }
      if (auto step = from_any_block(); !step) return finish(step.error());
    }
    if (missing() == 0) return std::move(result_);
    std::vector<std::string> names;
    for (const Pool& pool : pools_) names.push_back(base::to_string(pool.cidr));
    return finish(Error::not_found("No IPs available in pools: [" + base::join(names, " ") + "]"));
  }

 private:
  std::size_t missing() const { return request_.count - result_.addresses.size(); }

  Assignment finish(const Error& why) {
    result_.shortfall =
        Error(why.kind(), fmt::format("Assigned {} out of {} requested IPv{} addresses; {}", result_.addresses.size(),
                                      request_.count, static_cast<int>(request_.family), why.text()));
    return std::move(result_);
  }

  base::Result<void> prepare() {
    auto config = ipam_.config();
    if (!config) return base::fail(config.error());
    config_ = *std::move(config);
    auto labels = ipam_.node_labels(request_.host);
    if (!labels) return base::fail(labels.error());
    if (!*labels && request_.use != Use::kLoadBalancer) {
      return base::fail(Error::not_found("resource does not exist: Node(" + request_.host + ") with error: <nil>"));
    }
    auto all = ipam_.pools();
    if (!all) return base::fail(all.error());
    const LabelMap node_labels = labels->value_or(LabelMap{});
    auto chosen = eligible_pools(*all, {.family = request_.family,
                                        .use = request_.use,
                                        .requested = request_.pools,
                                        .namespace_labels = request_.namespace_labels,
                                        .host = request_.host,
                                        .node_labels = node_labels});
    if (!chosen) return base::fail(chosen.error());
    pools_ = *std::move(chosen);
    auto reserved = ipam_.reservations();
    if (!reserved) return base::fail(reserved.error());
    reserved_ = *std::move(reserved);
    return list_own(*all, node_labels);
  }

  // The host's blocks in the pools of this request. Empty ones whose pool has turned away from the node go.
  base::Result<void> list_own(const std::vector<Pool>& all, const LabelMap& labels) {
    const auto listing = ipam_.access_.list(affinity_root(request_.host, request_.family));
    if (!listing) return base::fail(listing.error());
    for (const store::KeyValue& item : listing->items) {
      const auto key = parse_affinity_key(item.key);
      if (!key) continue;
      if (pool_containing(pools_, key->block) != nullptr) {
        own_.emplace_back(key->block, item);
        continue;
      }
      const Pool* pool = pool_containing(all, key->block);
      if (pool == nullptr || !pool->enabled() || selects(pool->node_selector, labels)) continue;
      const auto released = ipam_.release_affinity(request_.host, key->block, {.require_empty = true});
      if (!released && released.error().kind() != ErrorKind::kConflict) return base::fail(released.error());
    }
    return {};
  }

  base::Result<void> take_from(const base::Prefix& block, bool foreign) {
    const std::optional<std::string> host = foreign ? std::nullopt : std::optional(request_.host);
    auto taken = ipam_.assign_from(
        {.block = block, .count = missing(), .owner = owner_, .required_host = host, .reserved = reserved_});
    if (!taken) return base::fail(taken.error());
    result_.addresses.insert(result_.addresses.end(), taken->begin(), taken->end());
    return {};
  }

  bool wholly_reserved(const base::Prefix& block) const {
    return std::ranges::any_of(reserved_, [&](const base::Prefix& range) { return range.contains(block); });
  }

  base::Result<void> from_own_blocks() {
    for (const auto& [block, affinity] : own_) {
      if (missing() == 0) break;
      if (wholly_reserved(block)) continue;
      const auto usable = ipam_.take_up(request_.host, affinity, block, request_.host_reserved);
      if (!usable) return base::fail(usable.error());
      if (!*usable) {
        ++lost_;
        continue;
      }
      if (auto taken = take_from(block, false); !taken) return taken;
    }
    return {};
  }

  base::Result<void> from_new_blocks() {
    auto owned = static_cast<std::int64_t>(own_.size()) - lost_;
    const std::int64_t limit = block_limit(request_.max_blocks_per_host, config_.max_blocks_per_host);
    while (missing() > 0) {
      if (owned >= limit) {
        return base::fail(Error::unsupported(fmt::format(
            "Need to allocate an IPAM block but could not - limit of {} blocks reached for this node", limit)));
      }
      if (!config_.auto_allocate_blocks) {
        return base::fail(Error::unsupported(
            "Need to allocate an IPAM block but could not - automatic allocation of blocks is switched off"));
      }
      auto claimed = claim_somewhere();
      if (!claimed) return base::fail(claimed.error());
      if (!*claimed) return {};
      ++owned;
      if (auto taken = take_from(**claimed, false); !taken) return taken;
    }
    return {};
  }

  BlockWalk walk(const Pool& pool) const {
    const bool single = pool.block_size == base::address_bits(pool.cidr.family());
    const auto seed = single ? static_cast<std::uint64_t>(ipam_.access_.sources().wall().time_since_epoch().count())
                             : std::uint64_t{fnv1(request_.host)};
    return BlockWalk(pool.cidr, pool.block_size, seed);
  }

  base::Result<std::optional<base::Prefix>> claim_somewhere() {
    const auto keys = ipam_.access_.list_keys(block_root(request_.family));
    if (!keys) return base::fail(keys.error());
    std::set<base::Prefix> existing;
    for (const store::KeyValue& item : keys->items) {
      if (const auto block = parse_block_key(item.key)) existing.insert(*block);
    }
    for (const Pool& pool : pools_) {
      BlockWalk candidates = walk(pool);
      while (const auto block = candidates.next(reserved_)) {
        if (existing.contains(*block)) continue;
        const auto claimed = ipam_.claim(request_.host, *block, request_.host_reserved);
        if (!claimed) return base::fail(claimed.error());
        if (*claimed == Ipam::Claim::kClaimed) return std::optional(*block);
      }
    }
    return reclaim();
  }

  // An empty block that another host has not used for a while.
  base::Result<std::optional<base::Prefix>> reclaim() {
    const auto all = ipam_.blocks(request_.family);
    if (!all) return base::fail(all.error());
    for (const StoredBlock& stored : *all) {
      const Block& block = stored.block;
      const std::string host(block.host());
      const bool foreign = !host.empty() && host != request_.host;
      if (!foreign || pool_containing(pools_, block.cidr()) == nullptr || wholly_reserved(block.cidr())) continue;
      const auto claimed_at = parse_rfc3339(block.claim_time());
      const bool old = !claimed_at || ipam_.access_.sources().wall() - *claimed_at >= kReclaimAge;
      if (!block.empty() || !old) continue;
      const auto released =
          ipam_.release_affinity(host, block.cidr(), {.require_empty = true, .sequence = block.sequence()});
      if (!released && released.error().kind() != ErrorKind::kConflict) return base::fail(released.error());
      if (!released) continue;
      const auto claimed = ipam_.claim(request_.host, block.cidr(), request_.host_reserved);
      if (!claimed) return base::fail(claimed.error());
      if (*claimed == Ipam::Claim::kClaimed) return std::optional(block.cidr());
    }
    return std::optional<base::Prefix>();
  }

  // "Borrowing": whoever owns the block. Each such address later needs a route of its own.
  base::Result<void> from_any_block() {
    const auto all = ipam_.blocks(request_.family);
    if (!all) return base::fail(all.error());
    for (const Pool& pool : pools_) {
      const BlockWalk order = walk(pool);
      std::vector<std::pair<Wide, base::Prefix>> candidates;
      for (const StoredBlock& stored : *all) {
        const base::Prefix& cidr = stored.block.cidr();
        const bool fits = pool.cidr.contains(cidr) && cidr.length == pool.block_size;
        if (fits && stored.block.has_free(reserved_)) candidates.emplace_back(order.distance(cidr), cidr);
      }
      std::ranges::sort(candidates);
      for (const auto& [distance, block] : candidates) {
        if (missing() == 0) return {};
        if (auto taken = take_from(block, true); !taken) return taken;
      }
    }
    return {};
  }

  Ipam& ipam_;
  const AutoAssign& request_;
  const Owner owner_;
  Config config_;
  std::vector<Pool> pools_;
  std::vector<base::Prefix> reserved_;
  std::vector<std::pair<base::Prefix, store::KeyValue>> own_;
  std::int64_t lost_ = 0;  // of own_: turned out to belong to somebody else
  Assignment result_;
};

base::Result<Assignment> Ipam::auto_assign(const AutoAssign& request) { return AutoAssigner(*this, request).run(); }

base::Result<void> Ipam::assign_address(const AssignAddress& request) {
  const auto known = pools();
  if (!known) return base::fail(known.error());
  std::vector<Pool> enabled;
  std::ranges::copy_if(*known, std::back_inserter(enabled), &Pool::enabled);
  const Pool* pool = pool_containing(enabled, base::Prefix::host(request.address));
  if (pool == nullptr) return base::fail(Error::not_found("The provided IP address is not in a configured pool"));
  const auto settings = config();
  if (!settings) return base::fail(settings.error());
  const base::Prefix cidr = block_around(request.address, pool->block_size);
  const Owner owner = owner_for(request.handle, request.attributes);

  Backoff backoff(access_.sources());
  for (int i = 0; i < access_.patience().tries; ++i) {
    auto there = read_block(cidr);
    if (!there) return base::fail(there.error());
    if (!*there) {
      const auto claimed = claim(request.host, cidr, request.host_reserved);
      if (!claimed) return base::fail(claimed.error());
      continue;
    }
    Block& block = (*there)->block;
    if (settings->strict_affinity && !block.affinity()) {
      return base::fail(
          Error(ErrorKind::kConflict, "Attempt to assign from block " + base::to_string(cidr) + " with no affinity"));
    }
    if (settings->strict_affinity && block.host() != request.host)
      return base::fail(Error(ErrorKind::kConflict, "Block host affinity does not match"));
    const std::uint64_t sequence = block.sequence();
    if (auto assigned = block.assign_address(request.address, owner); !assigned) return assigned;
    if (request.handle) {
      if (auto counted = increment_handle(*request.handle, cidr, 1); !counted) return counted;
    }
    const auto written = access_.update(block_key(cidr), block.encode_update(), (*there)->revision);
    if (!written) return base::fail(written.error());
    bool done = written->outcome == Written::kDone;
    if (written->outcome == Written::kUnclear) {
      const auto now = read_block(cidr);
      if (!now) return base::fail(now.error());
      done = *now && carries((*now)->block, {request.address}, owner, sequence);
    }
    if (done) return {};
    if (request.handle) (void)decrement_handle(*request.handle, cidr, 1);  // too high a count does no harm
    backoff.wait();
  }
  return base::fail(too_many_tries());
}

}  // namespace ipam
