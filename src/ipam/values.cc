#include "ipam/values.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include "base/symbol.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"
#include "model/selector.h"

namespace ipam {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;

base::Result<json::object> parse_object(std::string_view value, std::string_view what) {
  boost::system::error_code failure;
  json::value parsed = json::parse(json::string_view(value.data(), value.size()), failure);
  if (failure || !parsed.is_object())
    return base::fail(Error::invalid(std::string(what) + " is not a JSON object", value.substr(0, 200)));
  return std::move(parsed.get_object());
}

}  // namespace

std::string encode_affinity(AffinityState state) {
  constexpr std::array<std::string_view, 3> kNames = {"confirmed", "pending", "pendingDeletion"};
  return R"({"state":")" + std::string(kNames.at(static_cast<std::size_t>(state))) + R"(","deleted":false})";
}

AffinityState parse_affinity(std::string_view value) {
  const auto object = parse_object(value, "affinity");
  const std::string_view state = object ? model::text_of(*object, "state") : std::string_view();
  if (state == "pending") return AffinityState::kPending;
  if (state == "pendingDeletion") return AffinityState::kPendingDeletion;
  return AffinityState::kConfirmed;
}

base::Result<Handle> Handle::parse(std::string_view value) {
  const auto object = parse_object(value, "handle");
  if (!object) return base::fail(object.error());
  Handle handle;
  const json::value* blocks = object->if_contains("block");
  if (blocks == nullptr || blocks->is_null()) return handle;
  if (!blocks->is_object()) return base::fail(Error::invalid("handle: block is not an object"));
  for (const auto& [cidr, count] : blocks->get_object()) {
    if (!count.is_int64()) return base::fail(Error::invalid("handle: a count is not a number"));
    handle.blocks[std::string(cidr)] = count.get_int64();
  }
  return handle;
}

std::string Handle::encode() const {
  json::object counts;
  for (const auto& [cidr, count] : blocks) counts[cidr] = count;
  return model::to_go_json(json::object{{"block", std::move(counts)}, {"deleted", false}});
}

void Handle::add(const base::Prefix& block, std::int64_t count) { blocks[base::to_string(block)] += count; }

void Handle::subtract(const base::Prefix& block, std::int64_t count) {
  const auto found = blocks.find(base::to_string(block));
  if (found == blocks.end()) return;
  found->second -= count;
  if (found->second <= 0) blocks.erase(found);
}

Config Config::initial() { return {.auto_allocate_blocks = true, .vm_persistence = "Enabled", .unknown = {}}; }

base::Result<Config> Config::parse(std::string_view value) {
  const auto object = parse_object(value, "IPAM configuration");
  if (!object) return base::fail(object.error());
  Config config;
  for (const auto& [name, content] : *object) {
    if (name == "strict_affinity" && content.is_bool()) {
      config.strict_affinity = content.get_bool();
    } else if (name == "auto_allocate_blocks" && content.is_bool()) {
      config.auto_allocate_blocks = content.get_bool();
    } else if (name == "maxBlocksPerHost" && content.is_int64()) {
      config.max_blocks_per_host = content.get_int64();
    } else if (name == "kubeVirtVMAddressPersistence" && content.is_string()) {
      config.vm_persistence = content.get_string().c_str();
    } else {
      config.unknown[name] = content;
    }
  }
  return config;
}

std::string Config::encode() const {
  json::object object;
  if (strict_affinity) object["strict_affinity"] = true;
  if (auto_allocate_blocks) object["auto_allocate_blocks"] = true;
  if (max_blocks_per_host != 0) object["maxBlocksPerHost"] = max_blocks_per_host;
  if (!vm_persistence.empty()) object["kubeVirtVMAddressPersistence"] = vm_persistence;
  for (const auto& [name, content] : unknown) object[name] = content;
  return model::to_go_json(object);
}

std::string_view to_string(Use use) {
  switch (use) {
    case Use::kWorkload: return "Workload";
    case Use::kTunnel: return "Tunnel";
    case Use::kLoadBalancer: return "LoadBalancer";
  }
  return {};
}

bool Pool::allows(Use use) const { return std::ranges::find(uses, use) != uses.end(); }

std::optional<Pool> pool_of(const model::Resource& resource) {
  const json::object& spec = resource.spec();
  const auto cidr = base::parse_cidr(model::text_of(spec, "cidr"));
  if (!cidr) return std::nullopt;
  Pool pool;
  pool.name = resource.name();
  pool.cidr = *cidr;
  const auto size = model::number_of(spec, "blockSize").value_or(0);
  pool.block_size = static_cast<int>(size != 0 ? size : cidr->family() == base::Family::kIpv4 ? 26 : 122);
  const bool usable = pool.block_size > 0 && pool.block_size <= base::address_bits(cidr->family()) &&
                      pool.block_size >= base::address_bits(cidr->family()) - 12;
  if (!usable) return std::nullopt;
  pool.disabled = model::flag_of(spec, "disabled") || pool.cidr.length > pool.block_size;
  pool.deleting = !resource.metadata_text("deletionTimestamp").empty();
  pool.manual = model::text_of(spec, "assignmentMode") == "Manual";
  const auto take = [&](std::string& into, std::string_view member) {
    if (const auto found = model::text_of(spec, member); !found.empty()) into = found;
  };
  take(pool.node_selector, "nodeSelector");
  take(pool.namespace_selector, "namespaceSelector");
  take(pool.ipip_mode, "ipipMode");
  take(pool.vxlan_mode, "vxlanMode");
  if (const json::value* uses = model::find(spec, "allowedUses"); uses != nullptr && uses->is_array()) {
    for (const Use use : {Use::kWorkload, Use::kTunnel, Use::kLoadBalancer}) {
      const json::value named(to_string(use));
      if (std::ranges::find(uses->get_array(), named) != uses->get_array().end()) pool.uses.push_back(use);
    }
  }
  if (pool.uses.empty()) pool.uses = {Use::kWorkload, Use::kTunnel};
  const json::value* conditions = model::find(resource, "status.conditions");
  if (conditions != nullptr && conditions->is_array()) {
    for (const json::value& condition : conditions->get_array()) {
      if (!condition.is_object()) continue;
      const auto& object = condition.get_object();
      if (model::text_of(object, "type") == "Allocatable" && model::text_of(object, "status") == "False")
        pool.unallocatable = true;
    }
  }
  return pool;
}

std::vector<base::Prefix> reserved_ranges(const model::Resource& reservation) {
  std::vector<base::Prefix> ranges;
  const json::value* list = model::find(reservation, "spec.reservedCIDRs");
  if (list == nullptr || !list->is_array()) return ranges;
  for (const json::value& entry : list->get_array()) {
    if (!entry.is_string()) continue;
    if (const auto range = base::parse_cidr_or_address(entry.get_string().c_str())) ranges.push_back(*range);
  }
  return ranges;
}

LabelMap labels_of(const model::Resource& resource) {
  LabelMap labels;
  const json::object* object = resource.labels();
  if (object == nullptr) return labels;
  for (const auto& [name, value] : *object) {
    if (value.is_string()) labels[std::string(name)] = value.get_string().c_str();
  }
  return labels;
}

bool selects(const std::string& selector, const LabelMap& labels) {
  base::Interner names;
  const auto parsed = model::Selector::parse(selector, names);
  if (!parsed) return false;
  model::Labels interned;
  for (const auto& [name, value] : labels) interned.push_back({names.intern(name), names.intern(value)});
  model::normalise(interned);
  return parsed->matches(interned);
}

const Pool* pool_containing(std::span<const Pool> pools, const base::Prefix& range) {
  const auto found = std::ranges::find_if(pools, [&](const Pool& pool) { return pool.cidr.contains(range); });
  return found == pools.end() ? nullptr : &*found;
}

namespace {

base::Result<std::vector<Pool>> requested_pools(std::span<const Pool> enabled, const PoolQuery& query) {
  std::vector<Pool> chosen;
  for (const base::Prefix& wanted : query.requested) {
    const auto found = std::ranges::find(enabled, wanted, &Pool::cidr);
    if (found == enabled.end()) {
      return base::fail(
          Error::not_found("the given pool (" + base::to_string(wanted) + ") does not exist, or is not enabled"));
    }
    chosen.push_back(*found);
  }
  return chosen;
}

}  // namespace

base::Result<std::vector<Pool>> eligible_pools(std::span<const Pool> pools, const PoolQuery& query) {
  std::vector<Pool> enabled;
  for (const Pool& pool : pools) {
    if (pool.enabled() && pool.cidr.family() == query.family) enabled.push_back(pool);
  }
  if (enabled.empty()) return base::fail(Error::not_found("cannot find a qualified ippool"));
  std::vector<Pool> chosen;
  if (!query.requested.empty()) {
    auto named = requested_pools(enabled, query);
    if (!named) return named;
    chosen = *std::move(named);
  } else {
    std::ranges::copy_if(enabled, std::back_inserter(chosen), [&](const Pool& pool) {
      const bool name_space = pool.namespace_selector.empty() ||
                              selects(pool.namespace_selector, query.namespace_labels.value_or(LabelMap{}));
      return !pool.manual && name_space && selects(pool.node_selector, query.node_labels);
    });
    if (chosen.empty()) return base::fail(Error::not_found("no configured Calico pools for node " + query.host));
  }
  std::erase_if(chosen, [&](const Pool& pool) { return !pool.allows(query.use); });
  if (chosen.empty()) {
    return base::fail(Error::not_found("cannot find a qualified ippool, no pools match the required use (" +
                                       std::string(to_string(query.use)) + ")"));
  }
  return chosen;
}

}  // namespace ipam
