// ipam show (spec cli §9.1).

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <boost/json/array.hpp>

#include "cli/box_table.h"
#include "cli/commands.h"
#include "ipam/addressing.h"
#include "ipam/ipam.h"
#include "model/kinds/kinds.h"

namespace cli {

namespace {

// As Go's %.5g and %.f write them.
std::string total_cell(double count) { return fmt::format("{:.5g}", count); }
std::string share_cell(double count, double total) {
  return fmt::format("{:.5g} ({:.0f}%)", count, std::nearbyint(100 * count / total));
}

std::vector<std::string> usage_row(std::string grouping, const base::Prefix& range, double used) {
  const double total = std::ldexp(1.0, base::address_bits(range.family()) - range.length);
  return {std::move(grouping), base::to_string(range), total_cell(total), share_cell(used, total),
          share_cell(total - used, total)};
}

double used_of(const ipam::Block& block) { return static_cast<double>(block.size() - block.free_count()); }

base::Result<std::string> usage(ipam::Ipam& ipam, bool with_blocks) {
  const auto pools = ipam.pools();
  if (!pools) return base::fail(pools.error());
  const auto blocks = ipam.blocks();
  if (!blocks) return base::fail(blocks.error());
  std::vector<std::vector<const ipam::Block*>> by_pool(pools->size() + 1);  // the last: in no pool
  for (const ipam::StoredBlock& stored : *blocks) {
    const auto home =
        std::ranges::find_if(*pools, [&](const ipam::Pool& pool) { return pool.cidr.overlaps(stored.block.cidr()); });
    by_pool[static_cast<std::size_t>(home - pools->begin())].push_back(&stored.block);
  }
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < by_pool.size(); ++i) {
    double used = 0;
    for (const ipam::Block* block : by_pool[i]) used += used_of(*block);
    if (i < pools->size()) rows.push_back(usage_row("IP Pool", (*pools)[i].cidr, used));
    if (!with_blocks) continue;
    for (const ipam::Block* block : by_pool[i]) rows.push_back(usage_row("Block", block->cidr(), used_of(*block)));
  }
  return box_table({"GROUPING", "CIDR", "IPS TOTAL", "IPS IN USE", "IPS FREE"}, rows);
}

std::string attribute(const ipam::Owner& owner, const std::string& name) {
  if (!owner.attributes) return {};
  const auto found = owner.attributes->find(name);
  return found == owner.attributes->end() ? std::string() : found->second;
}

std::pair<std::string, std::string> purpose_of(const ipam::Owner& owner) {
  const std::string ns = attribute(owner, "namespace");
  if (const std::string machine = attribute(owner, "vmi-name"); !machine.empty()) return {"vmi", ns + "/" + machine};
  if (const std::string pod = attribute(owner, "pod"); !pod.empty()) return {"pod", ns + "/" + pod};
  return {attribute(owner, "type"), ""};
}

base::Result<std::string> borrowed(ipam::Ipam& ipam) {
  const auto blocks = ipam.blocks();
  if (!blocks) return base::fail(blocks.error());
  std::vector<std::vector<std::string>> rows;
  int unknown = 0;
  for (const ipam::StoredBlock& stored : *blocks) {
    const ipam::Block& block = stored.block;
    const std::string host(block.host());
    block.for_each_used([&](const base::IpAddress& address, const ipam::Owner* owner) {
      const std::string node = owner == nullptr ? "" : attribute(*owner, "node");
      if (node.empty()) {
        ++unknown;
      } else if (node != host) {
        const auto [type, allocated_to] = purpose_of(*owner);
        rows.push_back({base::to_string(address), node, base::to_string(block.cidr()), host, type, allocated_to});
      }
    });
  }
  std::string text = box_table({"IP", "BORROWING-NODE", "BLOCK", "BLOCK OWNER", "TYPE", "ALLOCATED-TO"}, rows);
  if (unknown > 0) {
    text += fmt::format(
        "\nNote: found {} IP allocations without an explicit node association. Unable to determine if they are "
        "borrowed.\n",
        unknown);
  }
  return text;
}

base::Result<std::string> configuration(ipam::Ipam& ipam) {
  const auto config = ipam.config();
  if (!config) return base::fail(config.error());
  const auto word = [](bool value) { return std::string(value ? "true" : "false"); };
  return box_table({"PROPERTY", "VALUE"}, {{"StrictAffinity", word(config->strict_affinity)},
                                           {"AutoAllocateBlocks", word(config->auto_allocate_blocks)},
                                           {"MaxBlocksPerHost", std::to_string(config->max_blocks_per_host)},
                                           {"KubeVirtVMAddressPersistence", config->vm_persistence}});
}

// Neutron's addresses are not in IPAM; whoever asks for one wants to know that it is in use all the same.
std::string endpoint_note(Client& client, const base::IpAddress& address) {
  const auto endpoints = client.list(model::kinds::kWorkloadEndpoint, {});
  if (!endpoints) return {};
  for (const model::Resource& endpoint : endpoints->items) {
    const boost::json::value* networks = model::find(endpoint, "spec.ipNetworks");
    if (networks == nullptr || !networks->is_array()) continue;
    for (const boost::json::value& network : networks->get_array()) {
      const auto range = network.is_string() ? base::parse_cidr_or_address(network.get_string().c_str())
                                             : base::Result<base::Prefix>(base::Prefix{});
      if (range && *range == base::Prefix::host(address)) return "It belongs to " + endpoint.id() + "\n";
    }
  }
  return {};
}

std::string attribute_lines(const ipam::Attributes& attributes) {
  std::string text;
  for (const auto& [name, value] : attributes) text += "  " + name + ": " + value + "\n";
  return text;
}

base::Result<std::string> owner_text(ipam::Ipam& ipam, Client& client, const base::IpAddress& address) {
  const auto block = ipam.block_of(address);
  if (!block) return base::fail(block.error());
  const auto owner = *block ? (*block)->block.owner_of(address) : std::nullopt;
  if (!owner) return "IP is not assigned\n" + endpoint_note(client, address);
  std::string text = "IP " + base::to_string(address) + " is in use\n";
  text += "Handle ID: " + (owner->handle ? owner->handle_text() : "<none>") + "\n";
  const bool any = owner->attributes && !owner->attributes->empty();
  text += any ? "Active Owner Attributes:\n" + attribute_lines(*owner->attributes)
              : std::string("No Active Owner attributes defined\n");
  if (const auto* other = owner->alternate.if_object(); other != nullptr && !other->empty()) {
    ipam::Attributes sorted;
    for (const auto& [name, value] : *other) sorted[name] = value.is_string() ? value.get_string().c_str() : "";
    text += "Alternate Owner Attributes:\n" + attribute_lines(sorted);
  }
  return text;
}

}  // namespace

int run_ipam_show(Session& session, const Arguments& arguments) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  ipam::Ipam ipam((*client)->store(), (*client)->ipam_sources(), {.outage = {}});
  base::Result<std::string> text;
  if (arguments.has("ip")) {
    const auto address = base::parse_address(arguments.value("ip"));
    if (!address) {
      return session.fail("Error executing command: invalid IP address specified: " + arguments.value("ip"));
    }
    text = owner_text(ipam, **client, *address);
  } else if (arguments.has("show-configuration")) {
    text = configuration(ipam);
  } else if (arguments.has("show-borrowed")) {
    text = borrowed(ipam);
  } else {
    text = usage(ipam, arguments.has("show-blocks"));
  }
  if (!text) return session.fail(text.error().text());
  session.environment().print(*text);
  return 0;
}

}  // namespace cli
