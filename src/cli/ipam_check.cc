// ipam check (spec cli §9.4): what IPAM records against what endpoints and nodes use.
//
// Neutron chooses the addresses of instances and records them nowhere here, so an endpoint of OpenStack never counts as
// a problem; upstream reports each.

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <boost/json/array.hpp>

#include "base/strings.h"
#include "cli/commands.h"
#include "ipam/addressing.h"
#include "ipam/ipam.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"

namespace cli {

using base::Error;
using base::IpAddress;
using model::Resource;

namespace {

constexpr std::size_t kTopNodes = 20;

struct Allocation {
  std::optional<ipam::Owner> owner;  // nothing: a broken index
  std::uint64_t sequence = 0;
  std::string node;
  bool borrowed = false;

  std::string handle() const { return owner && owner->handle ? owner->handle_text() : std::string(); }
  bool windows() const { return base::equal_ignoring_case(handle(), ipam::kWindowsHandle); }
  std::string attribute(const std::string& name) const {
    if (!owner || !owner->attributes) return {};
    const auto found = owner->attributes->find(name);
    return found == owner->attributes->end() ? std::string() : found->second;
  }
};

struct InUse {
  std::vector<std::string> owners;
  bool needs_ipam = false;  // some owner is not Neutron's
};

std::string pairs(const ipam::Attributes& attributes) {
  std::vector<std::string> words;
  for (const auto& [name, value] : attributes) words.push_back(name + "=" + value);
  return base::join(words, ",");
}

std::string describe(const Allocation& allocation) {
  if (!allocation.owner) return "<missing>";
  const ipam::Owner& owner = *allocation.owner;
  std::string text = "Main:" + (owner.handle ? owner.handle_text() : "<none>");
  text += " Extra:" + pairs(owner.attributes.value_or(ipam::Attributes{}));
  if (const auto* other = owner.alternate.if_object(); other != nullptr && !other->empty()) {
    ipam::Attributes sorted;
    for (const auto& [name, value] : *other) sorted[name] = value.is_string() ? value.get_string().c_str() : "";
    text += " Alternate:" + pairs(sorted);
  }
  return text;
}

class Check {
 public:
  Check(Session& session, const Arguments& arguments, Client& client)
      : session_(session),
        arguments_(arguments),
        client_(client),
        ipam_(client.store(), client.ipam_sources(), {.outage = {}}),
        all_(arguments.has("show-all-ips")),
        problems_shown_(all_ || arguments.has("show-problem-ips")) {}

  base::Result<void> run() {
    auto information = client_.get(model::kinds::kClusterInformation, {}, "default");
    if (!information) return base::fail(information.error());
    information_ = *std::move(information);
    say("Checking IPAM for inconsistencies...\n");
    for (const auto step :
         {&Check::load_blocks, &Check::load_pools, &Check::load_nodes, &Check::load_endpoints, &Check::load_handles}) {
      if (auto done = (this->*step)(); !done) return done;
    }
    rank_nodes();
    find_leaks();
    find_unallocated();
    find_handles();
    say(fmt::format("Check complete; found {} problems.", problems_));
    return arguments_.has("output") ? write_report(arguments_.value("output")) : base::Result<void>();
  }

 private:
  void say(const std::string& line) { session_.environment().print(line + "\n"); }
  void say_if(bool wanted, const std::string& line) {
    if (wanted) say("  " + line);
  }

  base::Result<void> load_blocks() {
    say("Loading all IPAM blocks...");
    std::vector<std::string> unreadable;
    const auto blocks = ipam_.blocks({}, &unreadable);
    if (!blocks) return base::fail(blocks.error());
    for (const std::string& key : unreadable) session_.environment().print_error("Warning: cannot read " + key + "\n");
    say(fmt::format("Found {} IPAM blocks.", blocks->size()));
    for (const ipam::StoredBlock& stored : *blocks) load_block(stored.block);
    say(fmt::format("IPAM blocks record {} allocations.\n", allocations_.size()));
    return {};
  }

  void load_block(const ipam::Block& block) {
    say(fmt::format(" IPAM block {} affinity={}:", base::to_string(block.cidr()), block.affinity().value_or("<none>")));
    block.for_each_used([&](const IpAddress& address, const ipam::Owner* owner) {
      Allocation allocation;
      if (owner != nullptr) allocation.owner = *owner;
      allocation.sequence = block.sequence_of(address);
      allocation.node = allocation.attribute("node");
      allocation.borrowed = !allocation.node.empty() && allocation.node != block.host();
      if (allocation.node.empty()) allocation.node = block.host();
      say_if(all_, base::to_string(address) + " allocated; attrs " + describe(allocation));
      if (allocation.windows()) in_use_[address] = {{"Reserved for Windows"}, false};
      if (!allocation.handle().empty()) handles_in_blocks_.insert(allocation.handle());
      allocations_.emplace(address, std::move(allocation));
    });
  }

  base::Result<void> load_pools() {
    say("Loading all IPAM pools...");
    const auto pools = ipam_.pools();
    if (!pools) return base::fail(pools.error());
    for (const ipam::Pool& pool : *pools) {
      if (!pool.enabled()) continue;
      pools_.push_back(pool);
      say("  " + base::to_string(pool.cidr));
    }
    say(fmt::format("Found {} active IP pools.\n", pools_.size()));
    return {};
  }

  void use(const IpAddress& address, const std::string& owner, bool needs_ipam) {
    InUse& entry = in_use_[address];
    entry.owners.push_back(owner);
    entry.needs_ipam = entry.needs_ipam || needs_ipam;
    say_if(all_, base::to_string(address) + " belongs to " + owner);
  }

  base::Result<void> load_nodes() {
    say("Loading all nodes.");
    const auto nodes = client_.list(model::kinds::kNode, {});
    if (!nodes) return base::fail(nodes.error());
    int count = 0;
    for (const Resource& node : nodes->items) {
      for (const std::string_view path :
           {"ipv4VXLANTunnelAddr", "wireguard.interfaceIPv4Address", "bgp.ipv4IPIPTunnelAddr", "ipv6VXLANTunnelAddr",
            "wireguard.interfaceIPv6Address"}) {
        const auto address = base::parse_address(model::text_of(node.spec(), path));
        if (!address) continue;
        use(*address, "Node(" + std::string(node.name()) + ")", true);
        ++count;
      }
    }
    say(fmt::format("Found {} node tunnel IPs.\n", count));
    return {};
  }

  base::Result<void> load_endpoints() {
    say("Loading all workload endpoints.");
    const auto endpoints = client_.list(model::kinds::kWorkloadEndpoint, {});
    if (!endpoints) return base::fail(endpoints.error());
    int count = 0, neutron = 0;
    for (const Resource& endpoint : endpoints->items) {
      const bool from_neutron = model::text_of(endpoint.spec(), "orchestrator") == "openstack";
      const boost::json::value* networks = model::find(endpoint, "spec.ipNetworks");
      if (networks == nullptr || !networks->is_array()) continue;
      const std::string owner = "Workload(" + std::string(endpoint.ns()) + "/" + std::string(endpoint.name()) + ")";
      for (const boost::json::value& network : networks->get_array()) {
        if (!network.is_string()) continue;
        const auto range = base::parse_cidr_or_address(network.get_string().c_str());
        if (!range) continue;
        use(range->address, owner, !from_neutron);
        ++(from_neutron ? neutron : count);
      }
    }
    say(fmt::format("Found {} workload IPs.", count));
    if (neutron > 0) say(fmt::format("Found {} workload IPs managed by Neutron (not expected in IPAM).", neutron));
    say(fmt::format("Workloads and nodes are using {} IPs.\n", in_use_.size()));
    return {};
  }

  base::Result<void> load_handles() {
    say("Loading all handles");
    const auto listing = ipam_.access().list(std::string(ipam::kHandleRoot));
    if (!listing) return base::fail(listing.error());
    for (const store::KeyValue& item : listing->items)
      handles_[item.key.substr(ipam::kHandleRoot.size())] = item.mod_revision;
    return {};
  }

  void rank_nodes() {
    say("Looking for top (up to 20) nodes by allocations...");
    std::map<std::string, int> counts;
    for (const auto& [address, allocation] : allocations_) ++counts[allocation.node];
    std::vector<std::pair<int, std::string>> ranked;
    for (const auto& [name, count] : counts) ranked.emplace_back(count, name);
    std::ranges::stable_sort(ranked, std::ranges::greater{}, &std::pair<int, std::string>::first);
    for (std::size_t i = 0; i < std::min(ranked.size(), kTopNodes); ++i)
      say_if(true, fmt::format("{} has {} allocations", ranked[i].second, ranked[i].first));
    if (!ranked.empty()) {
      say(fmt::format("Node with most allocations has {}; median is {}", ranked.front().first,
                      ranked[ranked.size() / 2].first));
    }
    say("");
  }

  void find_leaks() {
    say("Scanning for IPs that are allocated but not actually in use...");
    int leaked = 0;
    for (const auto& [address, allocation] : allocations_) {
      if (in_use_.contains(address)) continue;
      ++leaked;
      say_if(problems_shown_, base::to_string(address) + " leaked; attrs " + describe(allocation));
    }
    say(fmt::format("Found {} IPs that are allocated in IPAM but not actually in use.", leaked));
    problems_ += leaked;
  }

  void find_unallocated() {
    say("Scanning for IPs that are in use by a workload or node but not allocated in IPAM...");
    int outside = 0, missing = 0;
    for (const auto& [address, entry] : in_use_) {
      const std::string text = base::to_string(address);
      if (entry.owners.size() > 1) say_if(problems_shown_, text + " has multiple owners.");
      if (!entry.needs_ipam || allocations_.contains(address)) continue;
      const std::string who = text + " in use by " + base::join(entry.owners, " ");
      if (ipam::pool_containing(pools_, base::Prefix::host(address)) == nullptr) {
        ++outside;
        say_if(problems_shown_, who + " is not in any active IP pool.");
      } else {
        ++missing;
        say_if(problems_shown_, who + " and in active IPAM pool but has no IPAM allocation.");
      }
    }
    say(fmt::format("Found {} in-use IPs that are not in active IP pools.", outside));
    say(fmt::format("Found {} in-use IPs that are in active IP pools but have no corresponding IPAM allocation.\n",
                    missing));
    problems_ += outside + missing;
  }

  void find_handles() {
    say("Scanning for IPAM handles with no matching IPs...");
    for (const auto& [handle, revision] : handles_) {
      if (handles_in_blocks_.contains(handle)) continue;
      leaked_handles_.push_back(handle);
      say_if(all_, handle + " doesn't have any active IPs.");
    }
    say(fmt::format("Found {} handles with no matching IPs (and {} handles with matches).", leaked_handles_.size(),
                    handles_.size() - leaked_handles_.size()));
    problems_ += static_cast<int>(leaked_handles_.size());
    say("Scanning for IPs with missing handle...");
    int missing = 0;
    for (const std::string& handle : handles_in_blocks_) {
      if (handles_.contains(handle) || base::equal_ignoring_case(handle, ipam::kWindowsHandle)) continue;
      ++missing;
      say_if(problems_shown_, handle + " is in use in a block but doesn't exist.");
    }
    say(fmt::format("Found {} handles mentioned in blocks with no matching handle resource.", missing));
  }

  boost::json::object report_entry(const std::string& address, const Allocation& allocation,
                                   const InUse* in_use) const {
    boost::json::object entry;
    entry["ip"] = address;
    entry["handle"] = allocation.handle();
    entry["sequenceNumber"] = allocation.sequence;
    entry["node"] = allocation.node;
    const auto optional = [&](std::string_view member, const std::string& value) {
      if (!value.empty()) entry[member] = value;
    };
    optional("pod", allocation.attribute("pod"));
    optional("namespace", allocation.attribute("namespace"));
    optional("creationTimestamp", allocation.attribute("timestamp"));
    optional("type", allocation.attribute("type"));
    if (allocation.borrowed) entry["borrowed"] = true;
    entry["inUse"] = in_use != nullptr;
    if (in_use == nullptr) {
      entry["owners"] = nullptr;
    } else {
      entry["owners"] = boost::json::array(in_use->owners.begin(), in_use->owners.end());
    }
    return entry;
  }

  base::Result<void> write_report(const std::string& path) {
    const boost::json::value* ready = model::find(information_, "spec.datastoreReady");
    const auto cluster = [&](std::string_view member) { return model::text_of(information_.spec(), member); };
    boost::json::object report;
    report["version"] = kClientVersion;
    report["clusterGUID"] = cluster("clusterGUID");
    report["datastoreLocked"] = ready != nullptr && ready->is_bool() && !ready->get_bool();
    report["clusterInformationRevision"] = information_.resource_version();
    report["clusterType"] = cluster("clusterType");
    std::map<std::string, boost::json::array> entries;
    for (const auto& [address, allocation] : allocations_) {
      const std::string text = base::to_string(address);
      const auto used = in_use_.find(address);
      entries[text].push_back(report_entry(text, allocation, used == in_use_.end() ? nullptr : &used->second));
    }
    boost::json::object allocations;
    for (auto& [address, list] : entries) allocations[address] = std::move(list);
    report["allocations"] = std::move(allocations);
    boost::json::array handles;
    for (const std::string& handle : leaked_handles_) {
      handles.push_back(
          boost::json::object{{"ID", handle}, {"UID", nullptr}, {"Revision", std::to_string(handles_.at(handle))}});
    }
    if (!handles.empty()) report["leakedHandles"] = std::move(handles);
    return session_.environment().host().write_file(path, model::to_go_json_indented(report));
  }

  Session& session_;
  const Arguments& arguments_;
  Client& client_;
  ipam::Ipam ipam_;
  const bool all_;
  const bool problems_shown_;
  Resource information_;
  std::map<IpAddress, Allocation> allocations_;
  std::map<IpAddress, InUse> in_use_;
  std::vector<ipam::Pool> pools_;
  std::set<std::string> handles_in_blocks_;
  std::map<std::string, store::Revision> handles_;
  std::vector<std::string> leaked_handles_;
  int problems_ = 0;
};

}  // namespace

int run_ipam_check(Session& session, const Arguments& arguments) {
  const auto client = session.checked_client(arguments);
  if (!client) return session.fail(client.error().text());
  const auto done = Check(session, arguments, **client).run();
  return done ? 0 : session.fail(done.error().text());
}

}  // namespace cli
