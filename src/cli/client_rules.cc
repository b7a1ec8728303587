// What writing one object demands of others, and what it does to them (spec datamodel §2.4, §2.8, §4.5, §4.10, §4.11,
// §4.15).

#include <algorithm>
#include <string>
#include <vector>

#include <boost/json/array.hpp>

#include "base/ip.h"
#include "base/strings.h"
#include "cli/client.h"
#include "ipam/ipam.h"
#include "model/kinds/kinds.h"

namespace cli {

using base::Error;
using base::ErrorKind;
using model::Resource;

namespace {

constexpr std::string_view kBgpFilterRoot = "/calico/resources/v3/projectcalico.org/bgpfilters/";
constexpr std::string_view kBlockRoot = "/calico/ipam/v2/assignment/";
constexpr base::Duration kPoolPause =
    std::chrono::milliseconds(500);  // for allocators to notice that the pool is disabled
// A person waits for the command: an unreachable datastore is reported at once.
constexpr ipam::Patience kNoPatience = {.outage = {}};
constexpr int kInitialisationTries = 5;
constexpr base::Duration kInitialisationPause = std::chrono::seconds(1);

bool is_policy(const model::Kind& kind) { return kind.stores_policy_name; }

Error field_error(std::string_view field, std::string_view value, std::string_view reason) {
  const model::Problem problem{std::string(field), std::string(value), std::string(reason)};
  return Error(ErrorKind::kInvalid, to_string(std::span(&problem, 1)));
}

// "10.65.0.0-26" in a block's key.
std::optional<base::Prefix> block_of_key(std::string_view key) {
  const auto slash = key.rfind('/');
  return base::parse_cidr(base::replace_all(key.substr(slash + 1), "-", "/"))
      .map([](auto p) { return std::optional(p); })
      .value_or(std::nullopt);
}

}  // namespace

base::Result<void> Client::check_references(const Resource& resource) {
  if (is_policy(*resource.kind)) {
    const std::string tier(model::text_of(resource.spec(), "tier"));
    const bool built_in = tier == "default" || tier == "kube-admin" || tier == "kube-baseline";
    if (dry_run_ && built_in) return {};  // a real run would have created it
    const auto found = store_.get(model::resource_key(model::kinds::kTier, {}, tier));
    if (!found && found.error().kind() == ErrorKind::kNotFound) return base::fail(does_not_exist("Tier(" + tier + ")"));
    if (!found) return base::fail(found.error());
  }
  if (resource.kind == &model::kinds::kBgpPeer) {
    const boost::json::value* filters = model::find(resource, "spec.filters");
    std::vector<std::string> missing;
    if (filters != nullptr) {
      for (const boost::json::value& filter : filters->as_array()) {
        const std::string name = filter.as_string().c_str();
        if (!store_.get(std::string(kBgpFilterRoot) + name)) missing.push_back(name);
      }
    }
    if (!missing.empty()) {
      return base::fail(
          field_error("BGPPeer.Spec.Filters", "[" + base::join(missing, " ") + "]", "BGPFilter(s) not found"));
    }
  }
  if (resource.kind == &model::kinds::kIpPool) return check_pool_ranges(resource);
  return {};
}

base::Result<void> Client::check_pool_ranges(const Resource& pool) {
  const std::string text(model::text_of(pool.spec(), "cidr"));
  const auto cidr = base::parse_cidr(text);
  if (!cidr) return {};  // refused by the validators
  const auto pools = list(model::kinds::kIpPool, {});
  if (!pools) return base::fail(pools.error());
  for (const Resource& other : pools->items) {
    const std::string other_text(model::text_of(other.spec(), "cidr"));
    const auto other_cidr = base::parse_cidr(other_text);
    if (other.name() != pool.name() && other_cidr && other_cidr->overlaps(*cidr)) {
      return base::fail(field_error("IPPool.Spec.CIDR", text,
                                    pool.id() + " CIDR overlaps with " + other.id() + " CIDR " + other_text));
    }
  }
  const std::string family = cidr->family() == base::Family::kIpv4 ? "ipv4/" : "ipv6/";
  const auto blocks = store_.list(std::string(kBlockRoot) + family);
  if (!blocks) return base::fail(blocks.error());
  const auto size = model::number_of(pool.spec(), "blockSize");
  for (const store::KeyValue& item : blocks->items) {
    const auto block = block_of_key(item.key);
    if (block && cidr->overlaps(*block) && block->length != size) {
      return base::fail(
          field_error("IPPool.Spec.BlockSize", std::to_string(size.value_or(0)),
                      "IPPool blocksSize conflicts with existing allocations that use a different blockSize"));
    }
  }
  return {};
}

base::Result<void> Client::check_tier_is_empty(std::string_view tier) {
  for (const model::Kind* kind : model::all_kinds()) {
    if (!is_policy(*kind)) continue;
    const auto policies = list(*kind, {});
    if (!policies) return base::fail(policies.error());
    const bool used = std::ranges::any_of(
        policies->items, [&](const Resource& policy) { return model::text_of(policy.spec(), "tier") == tier; });
    if (used) return base::fail(not_supported("delete", tier, "Cannot delete a non-empty tier"));
  }
  return {};
}

base::Result<void> Client::remove_pool(const Stored& pool, std::string_view resource_version) {
  if (!model::flag_of(pool.resource.spec(), "disabled")) {
    Resource disabled = pool.resource;
    disabled.spec()["disabled"] = true;
    if (!resource_version.empty()) disabled.set_metadata("resourceVersion", resource_version);
    if (auto done = update(std::move(disabled)); !done) return base::fail(done.error());
    if (!dry_run_) sources_.pause(kPoolPause);
    resource_version = {};
  }
  const auto cidr = base::parse_cidr(model::text_of(pool.resource.spec(), "cidr"));
  if (cidr && !dry_run_) {
    ipam::Ipam ipam(store_, sources_.ipam, kNoPatience);
    if (auto released = ipam.release_pool_affinities(*cidr); !released) return released;
  }
  return remove_key(pool.key, pool.resource.id(), resource_version);
}

// What the node's endpoints and tunnels hold in IPAM, if anything (spec datamodel §4.10): Neutron's addresses are not
// there. Upstream forgets the IPv6 tunnel.
base::Result<void> Client::release_addresses_of(std::string_view node) {
  std::vector<ipam::Release> addresses;
  const auto add = [&](std::string_view text) {
    const auto range = base::parse_cidr_or_address(text);
    if (range && range->is_host()) addresses.push_back({.address = range->address});
  };
  const auto endpoints = list(model::kinds::kWorkloadEndpoint, {});
  if (!endpoints) return base::fail(endpoints.error());
  for (const Resource& endpoint : endpoints->items) {
    const boost::json::value* networks = model::find(endpoint, "spec.ipNetworks");
    if (model::text_of(endpoint.spec(), "node") != node || networks == nullptr || !networks->is_array()) continue;
    for (const boost::json::value& network : networks->get_array()) {
      if (network.is_string()) add(network.get_string().c_str());
    }
  }
  if (const auto stored = read(model::kinds::kNode, {}, node)) {
    for (const std::string_view path : {"bgp.ipv4IPIPTunnelAddr", "ipv4VXLANTunnelAddr", "ipv6VXLANTunnelAddr",
                                        "wireguard.interfaceIPv4Address", "wireguard.interfaceIPv6Address"}) {
      add(model::text_of(stored->resource.spec(), path));
    }
  }
  if (addresses.empty() || dry_run_) return {};
  const auto released = ipam::Ipam(store_, sources_.ipam, kNoPatience).release(addresses);
  if (!released) return base::fail(released.error());
  if (released->error) return base::fail(*released->error);
  return {};
}

// Objects that mean nothing without their node. Absent ones and kinds that may not be deleted are no error.
base::Result<void> Client::remove_node_objects(std::string_view node) {
  const auto remove_quietly = [&](const Resource& resource) -> base::Result<void> {
    auto done = remove_key(model::resource_key(*resource.kind, resource.ns(), resource.name()), resource.id(), {});
    if (!done && done.error().kind() != ErrorKind::kNotFound && done.error().kind() != ErrorKind::kUnsupported)
      return done;
    return {};
  };
  const std::string own = "node." + std::string(node);
  const auto remove_of_node = [&](const model::Kind& kind) -> base::Result<void> {
    const auto objects = list(kind, {});
    if (!objects) return base::fail(objects.error());
    for (const Resource& object : objects->items) {
      if (model::text_of(object.spec(), "node") != node) continue;
      if (auto ok = remove_quietly(object); !ok) return ok;
    }
    return {};
  };
  if (auto ok = release_addresses_of(node); !ok) return ok;
  if (auto ok = remove_of_node(model::kinds::kWorkloadEndpoint); !ok) return ok;
  if (!dry_run_) {
    if (auto ok = ipam::Ipam(store_, sources_.ipam, kNoPatience).forget_host(node); !ok) return ok;
  }
  if (auto ok = remove_of_node(model::kinds::kBgpPeer); !ok) return ok;
  for (const model::Kind* kind : {&model::kinds::kFelixConfiguration, &model::kinds::kBgpConfiguration}) {
    if (auto ok = remove_quietly(model::make_resource(*kind, own)); !ok) return ok;
  }
  return remove_of_node(model::kinds::kHostEndpoint);
}

base::Result<void> Client::ensure_initialized() {
  if (dry_run_) return {};
  base::Result<void> first;
  const auto remember = [&](const base::Result<void>& step) {
    if (!step && first) first = step;
  };
  remember(ensure_cluster_information());
  remember(ensure_tier("default", 1'000'000, "Deny"));
  remember(ensure_tier("kube-admin", 1'000, "Pass"));
  remember(ensure_tier("kube-baseline", 10'000'000, "Pass"));
  return first;
}

base::Result<void> Client::ensure_cluster_information() {
  const model::Kind& kind = model::kinds::kClusterInformation;
  const std::string key = model::resource_key(kind, {}, "default");
  base::Result<void> result;
  for (int attempt = 0; attempt < kInitialisationTries; ++attempt) {
    if (attempt > 0) sources_.pause(kInitialisationPause);
    const auto item = store_.get(key);
    if (!item && item.error().kind() != ErrorKind::kNotFound) return base::fail(item.error());
    auto resource = item ? decode(kind, *item, model::ReadReason::kGet)
                         : base::Result<Resource>(model::make_resource(kind, "default"));
    if (!resource) return base::fail(resource.error());
    boost::json::object& spec = resource->spec();
    const bool has_guid = !model::text_of(spec, "clusterGUID").empty();
    if (has_guid && spec.contains("datastoreReady")) return {};
    if (!has_guid) spec["clusterGUID"] = base::replace_all(sources_.new_uid(), "-", "");
    if (!spec.contains("datastoreReady")) spec["datastoreReady"] = true;
    if (resource->metadata_text("uid").empty()) resource->set_metadata("uid", sources_.new_uid());
    if (resource->metadata_text("creationTimestamp").empty())
      resource->set_metadata("creationTimestamp", sources_.timestamp());
    const std::string value = encode_stored(*resource);
    const auto reply = item ? store_.update(key, value, item->mod_revision) : store_.create(key, value);
    if (!reply) return base::fail(reply.error());
    if (reply->status == store::WriteStatus::kDone) return {};
    result = base::fail(update_conflict(resource->id()));
  }
  return result;
}

base::Result<void> Client::ensure_tier(std::string_view name, double order, std::string_view action) {
  Resource tier = model::make_resource(model::kinds::kTier, name);
  const std::string key = model::resource_key(*tier.kind, {}, name);
  if (store_.get(key)) return {};  // the usual case, without a write
  tier.spec()["order"] = order;
  tier.spec()["defaultAction"] = action;
  const auto created = create(std::move(tier));
  const bool fine =
      created || created.error().kind() == ErrorKind::kExists || created.error().kind() == ErrorKind::kDenied;
  if (!fine) return base::fail(created.error());
  return {};
}

}  // namespace cli
