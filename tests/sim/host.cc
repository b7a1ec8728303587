#include "host.h"

#include <algorithm>

#include <fmt/core.h>

namespace sim {
namespace {

constexpr std::string_view kTables[] = {"raw", "mangle", "nat", "filter"};
constexpr base::Duration kNewsDelay = std::chrono::milliseconds(3);

// The names in "--match-set NAME" of a rule.
std::vector<std::string> sets_named(std::string_view rule) {
  constexpr std::string_view kFlag = "--match-set ";
  std::vector<std::string> names;
  for (std::size_t at = rule.find(kFlag); at != rule.npos; at = rule.find(kFlag, at + 1)) {
    const std::string_view rest = rule.substr(at + kFlag.size());
    names.emplace_back(rest.substr(0, rest.find(' ')));
  }
  return names;
}

const std::map<std::string, std::string> kFreshSysctls{
    {"ipv6/conf/{}/accept_ra", "1"}, {"ipv4/conf/{}/route_localnet", "0"}, {"ipv4/neigh/{}/proxy_delay", "80"},
    {"ipv4/conf/{}/proxy_arp", "0"}, {"ipv4/conf/{}/forwarding", "0"},     {"ipv4/conf/{}/rp_filter", "2"},
    {"ipv6/conf/{}/proxy_ndp", "0"}, {"ipv6/conf/{}/forwarding", "0"}};

std::string sysctl_path(const std::string& pattern, const std::string& interface) {
  return "net/" + fmt::format(fmt::runtime(pattern), interface);
}

}  // namespace

base::Result<std::vector<reconcile::IpSetHeader>> Host::Sets::list_headers() {
  host_.mark_references();
  return host_.sets.list_headers();
}

base::Result<std::vector<reconcile::IpSetOutcome>> Host::Sets::apply(std::span<const reconcile::IpSetEdit> edits) {
  host_.mark_references();
  return host_.sets.apply(edits);
}

Host::Host(testing::SimLoop& loop, bool nft) : v4(loop, nft), v6(loop, nft), loop_(loop) {
  for (kernel::FakeIptables* tool : {&v4, &v6}) {
    tool->refuses = [this](std::string_view rule) {
      const auto names = sets_named(rule);
      return std::any_of(names.begin(), names.end(),
                         [this](const std::string& name) { return !sets.sets.contains(name); });
    };
  }
  sysctl.values["net/ipv4/conf/default/rp_filter"] = "2";
}

void Host::mark_references() {
  for (auto& [name, set] : sets.sets) set.referenced = false;
  for (const kernel::FakeIptables* tool : {&v4, &v6}) {
    for (const std::string_view table : kTables) {
      for (const auto& [chain, rules] : tool->table(std::string(table))) {
        for (const std::string& rule : rules) {
          for (const std::string& name : sets_named(rule)) {
            if (const auto found = sets.sets.find(name); found != sets.sets.end()) found->second.referenced = true;
          }
        }
      }
    }
  }
}

// --- Interfaces

void Host::add_interface(const std::string& name) {
  if (links_.contains(name)) return;
  kernel::Link link;
  link.name = name;
  link.index = next_index_++;
  link.admin_up = link.running = true;
  link.mtu = 1500;
  links_[name] = link;
  for (const auto& [pattern, value] : kFreshSysctls) sysctl.values[sysctl_path(pattern, name)] = value;
  tell(name);
}

void Host::copy_interfaces(const Host& other) {
  for (const auto& [name, link] : other.links_) {
    next_index_ = link.index;
    add_interface(name);
    if (!link.running) set_running(name, false);
  }
}

void Host::flush_interface(kernel::IfIndex index) {
  std::erase_if(routes.routes, [&](const auto& route) { return route.attributes.interface == index; });
  std::erase_if(neighbours.entries, [&](const auto& entry) { return entry.interface == index; });
}

void Host::remove_interface(const std::string& name) {
  const auto found = links_.find(name);
  if (found == links_.end()) return;
  const kernel::IfIndex index = found->second.index;
  flush_interface(index);
  routes.interfaces_down.insert(index);
  neighbours.interfaces_down.insert(index);
  for (const auto& [pattern, value] : kFreshSysctls) sysctl.values.erase(sysctl_path(pattern, name));
  links_.erase(found);
  loop_.after(kNewsDelay, [this, name, index, life = listener_life_] {
    if (life == listener_life_ && listener_ != nullptr) listener_->on_link_gone(name, index);
  });
}

void Host::set_running(const std::string& name, bool running) {
  const auto found = links_.find(name);
  if (found == links_.end()) return;
  kernel::Link& link = found->second;
  link.admin_up = link.running = running;
  if (running) {
    routes.interfaces_down.erase(link.index);
    neighbours.interfaces_down.erase(link.index);
  } else {
    flush_interface(link.index);
    routes.interfaces_down.insert(link.index);
    neighbours.interfaces_down.insert(link.index);
  }
  tell(name);
}

void Host::tell(const std::string& name) {
  loop_.after(kNewsDelay, [this, link = links_.at(name), life = listener_life_] {
    if (life == listener_life_ && listener_ != nullptr) listener_->on_link(link);
  });
}

// --- Faults

void Host::break_something(testing::Rng& rng) {
  kernel::FakeIptables& tool = rng.one_in(2) ? v4 : v6;
  switch (rng.below(8)) {
    case 0: sets.break_conversations += 1 + static_cast<int>(rng.below(3)); break;
    case 1: routes.break_conversations += 1 + static_cast<int>(rng.below(3)); break;
    case 2: neighbours.break_conversations += 1 + static_cast<int>(rng.below(3)); break;
    case 3: tool.fail_restores += 1 + static_cast<int>(rng.below(4)); break;
    case 4: tool.fail_saves += 1 + static_cast<int>(rng.below(4)); break;
    case 5:
      if (!links_.empty()) {
        auto at = links_.begin();
        std::advance(at, static_cast<long>(rng.index(links_.size())));
        sysctl.read_only.insert("net/ipv4/conf/" + at->first + "/proxy_arp");
      }
      break;
    case 6: tool.restore_time = std::chrono::milliseconds(rng.between(1, 3000)); break;
    default: tool.save_time = std::chrono::milliseconds(rng.between(1, 2000)); break;
  }
}

void Host::meddle(testing::Rng& rng) {
  kernel::FakeIptables& tool = rng.one_in(2) ? v4 : v6;
  const std::string table(kTables[rng.index(std::size(kTables))]);
  switch (rng.below(7)) {
    case 0: {  // iptables -F
      for (auto& [chain, rules] : tool.edit(table)) rules.clear();
      break;
    }
    case 1: {  // iptables -F; iptables -X
      auto& chains = tool.edit(table);
      for (auto& [chain, rules] : chains) rules.clear();
      std::erase_if(chains, [](const auto& chain) { return chain.first.starts_with("cali"); });
      break;
    }
    case 2: {  // one rule goes
      auto& chains = tool.edit(table);
      auto at = chains.begin();
      std::advance(at, static_cast<long>(rng.index(chains.size())));
      if (!at->second.empty()) at->second.erase(at->second.begin() + static_cast<long>(rng.index(at->second.size())));
      break;
    }
    case 3: {  // one rule too many in a chain of ours
      auto& chains = tool.edit(table);
      auto at = chains.begin();
      std::advance(at, static_cast<long>(rng.index(chains.size())));
      if (at->first.starts_with("cali")) at->second.insert(at->second.begin(), "--jump ACCEPT");
      break;
    }
    case 4: {  // members
      for (auto& [name, set] : sets.sets) {
        if (!rng.one_in(3)) continue;
        if (!set.members.empty()) set.members.erase(set.members.begin());
      }
      break;
    }
    case 5: {  // routes
      if (!routes.routes.empty())
        routes.routes.erase(routes.routes.begin() + static_cast<long>(rng.index(routes.routes.size())));
      break;
    }
    default:
      if (!neighbours.entries.empty()) neighbours.entries.pop_back();
      break;
  }
}

void Host::heal() {
  sets.break_conversations = routes.break_conversations = neighbours.break_conversations = 0;
  for (kernel::FakeIptables* tool : {&v4, &v6}) {
    tool->fail_restores = tool->fail_saves = 0;
    tool->restore_time = std::chrono::milliseconds(5);
    tool->save_time = std::chrono::milliseconds(3);
  }
  sysctl.read_only.clear();
}

// --- Looking at it

std::string Host::state() const {
  std::string out;
  const auto family = [&](const char* title, const kernel::FakeIptables& tool) {
    for (const std::string_view table : kTables) {
      for (const auto& [chain, rules] : tool.table(std::string(table))) {
        out += fmt::format("{} {} {}\n", title, table, chain);
        for (const std::string& rule : rules) out += "    " + rule + "\n";
      }
    }
  };
  family("v4", v4);
  family("v6", v6);
  for (const auto& [name, set] : sets.sets) {
    out += fmt::format("set {} {}\n", name, reconcile::to_string(set.shape.type));
    for (const auto& member : set.members) out += "    " + reconcile::to_string(member) + "\n";
  }
  std::map<kernel::IfIndex, std::string> names;
  for (const auto& [name, link] : links_) names[link.index] = name;
  std::vector<std::string> lines;
  for (const reconcile::Route& route : routes.routes) {
    lines.push_back("route " + reconcile::to_string(route, names[route.attributes.interface]));
  }
  for (const reconcile::NeighbourEntry& entry : neighbours.entries) {
    lines.push_back("arp " + reconcile::to_string(entry, names[entry.interface]));
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

std::string Host::sysctls_behind(const Host& other) const {
  std::string out;
  for (const auto& [name, link] : links_) {
    for (const auto& [pattern, fresh] : kFreshSysctls) {
      const std::string path = sysctl_path(pattern, name);
      const std::string& want = other.sysctl.values.at(path);
      if (want != fresh && sysctl.values.at(path) != want) out += "  " + path + " is not " + want + "\n";
    }
  }
  return out;
}

std::uint64_t Host::writes() const {
  return v4.inputs.size() + v6.inputs.size() + sets.log.size() + routes.log.size() + sysctl.writes.size();
}

dataplane::Ports Host::ports(kernel::ConntrackCleaner& cleaner) {
  return {checked_sets_, routes, cleaner, neighbours, sysctl, v4, &v6};
}

}  // namespace sim
