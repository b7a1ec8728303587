#include "render/iptables/renderer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "render/iptables/names.h"
#include "render/iptables/policy_chains.h"

namespace render::iptables {
namespace {

constexpr std::array<Direction, 2> kDirections{Direction::kIngress, Direction::kEgress};

std::uint64_t digest(const std::vector<std::string_view>& texts) {
  Fingerprint print;
  for (const std::string_view text : texts) print.add(text);
  return print.value();
}

SetChanges with_kernel_names(Family family, SetChanges changes) {
  SetChanges out;
  out.complete = changes.complete;
  for (auto& [id, content] : changes.created) out.created.emplace(set_name(family, id), std::move(content));
  for (auto& [id, delta] : changes.changed) out.changed.emplace(set_name(family, id), std::move(delta));
  for (const std::string& id : changes.removed) out.removed.insert(set_name(family, id));
  return out;
}

std::vector<std::string_view> names_of(const HostDispatch& hosts, bool (*wanted)(const calc::LocalHostEndpoint&)) {
  std::vector<std::string_view> names;
  for (const auto& [name, program] : hosts.by_interface) {
    if (wanted(*program.endpoint)) names.push_back(name);
  }
  return names;
}

bool any_endpoint(const calc::LocalHostEndpoint&) { return true; }
bool has_untracked(const calc::LocalHostEndpoint& endpoint) { return !endpoint.untracked_tiers.empty(); }
bool has_pre_dnat(const calc::LocalHostEndpoint& endpoint) { return !endpoint.pre_dnat_tiers.empty(); }

bool names_policy(const std::vector<calc::TierPolicies>& tiers, const std::set<model::PolicyKey>& policies) {
  const auto in = [&](const model::PolicyKey& key) { return policies.contains(key); };
  return std::any_of(tiers.begin(), tiers.end(), [&](const calc::TierPolicies& tier) {
    return std::any_of(tier.ingress.begin(), tier.ingress.end(), in) ||
           std::any_of(tier.egress.begin(), tier.egress.end(), in);
  });
}

}  // namespace

base::Result<Renderer> Renderer::create(Settings settings) {
  auto marks = allocate_marks(settings.mark_mask);
  if (!marks) return base::fail(std::move(marks).error());
  return Renderer(std::move(settings), *marks);
}

Renderer::Renderer(Settings settings, Marks marks) : context_{std::move(settings), marks}, builder_(context_.settings) {
  for (const Table table : kTables) hooks_[table] = iptables::render_hooks(context_, table);
}

std::vector<Family> Renderer::families() const {
  if (context_.settings.ipv6) return {Family::kIpv4, Family::kIpv6};
  return {Family::kIpv4};
}

void Renderer::put(Table table, const ChainPtr& chain) {
  for (const Family family : families()) put(family, table, chain);
}

void Renderer::erase(Table table, std::string_view name) {
  for (const Family family : families()) tables_[family][table].erase(name);
}

RenderChanges Renderer::render(ObjectChanges changes) {
  if (!statics_done_) render_statics();
  std::set<std::string> regrouped;
  bool hosts_regrouped = false;
  note_selectors(changes, regrouped, hosts_regrouped);
  changes.workloads.merge(regrouped);
  if (hosts_regrouped) {
    for (const auto& [name, program] : builder_.objects().hosts.by_interface) changes.hosts.insert(name);
    changes.host_wildcard = true;
  }
  render_rules(changes);
  render_workloads(changes);
  render_hosts(changes);
  render_small(changes);

  RenderChanges out;
  for (const Family family : families()) {
    for (const Table table : kTables) out[family].tables[table] = tables_[family][table].flush();
    out[family].sets = with_kernel_names(family, std::move(changes.sets[family]));
  }
  return out;
}

RenderChanges Renderer::set_tunnels(TunnelRules tunnels) {
  context_.settings.tunnels = tunnels;
  if (statics_done_) put_static_chains();
  return render(builder_.set_tunnels(tunnels));
}

void Renderer::put_static_chains() {
  for (const Family family : families()) {
    for (const Table table : kTables) {
      for (const Chain& chain : render_static(context_, family, table)) put(family, table, render_chain(chain));
    }
  }
}

void Renderer::render_statics() {
  statics_done_ = true;
  put_static_chains();
  for (const Family family : families()) {
    for (const Table table : kTables) {
      for (const auto& [kernel, hooks] : hooks_[table]) {
        for (const HookRule& hook : hooks.inserted) tables_[family][table].add_root(hook.target);
        for (const HookRule& hook : hooks.appended) {
          if (!hook.target.empty()) tables_[family][table].add_root(hook.target);
        }
      }
    }
  }
  ObjectChanges all;
  for (const Family family : kFamilies)
    all.nat[family] = all.dscp[family] = all.spoof[family] = all.nat_outgoing[family] = all.service_ranges[family] =
        true;
  render_small(all);
  render_workload_dispatch();
  render_host_trees();
}

// A policy's selector decides which policies share a group chain, so its change concerns every endpoint that names the
// policy.
void Renderer::note_selectors(const ObjectChanges& changes, std::set<std::string>& workloads, bool& hosts) {
  const Objects& objects = builder_.objects();
  std::set<model::PolicyKey> changed;
  for (const model::PolicyKey& key : changes.policies) {
    const auto policy = objects.policies.find(key);
    if (policy == objects.policies.end()) {
      selectors_.erase(key);
      continue;
    }
    const std::uint64_t now = digest({policy->second->selector});
    const auto [at, fresh] = selectors_.try_emplace(key, now);
    if (!fresh && at->second != now) {
      at->second = now;
      changed.insert(key);
    }
  }
  if (changed.empty()) return;
  for (const auto& [interface, program] : objects.workloads) {
    if (names_policy(program.endpoint->tiers, changed)) workloads.insert(interface);
  }
  hosts = hosts_present_;
}

void Renderer::render_rules(const ObjectChanges& changes) {
  for (const model::PolicyKey& key : changes.policies) render_policy_chains(key, true);
  for (const base::Symbol name : changes.profiles) render_profile_chains(name, true);
}

// `filter` false: only raw and mangle, which learn of policies when the first host endpoint appears.
void Renderer::render_policy_chains(const model::PolicyKey& key, bool filter) {
  if (model::is_staged(key.kind)) return;
  const auto& policies = builder_.objects().policies;
  const auto found = policies.find(key);
  for (const Direction direction : kDirections) {
    const std::string name = policy_chain(key, direction);
    if (found == policies.end()) {
      for (const Table table : {Table::kFilter, Table::kMangle, Table::kRaw}) erase(table, name);
      for (const Family family : families()) tables_[family][Table::kFilter].force(name, false);
      continue;
    }
    for (const Family family : families()) {
      ChainPtr chain;
      if (filter || context_.settings.deny == DenyAction::kDrop) {
        chain = render_chain(render_policy(context_, family, Table::kFilter, direction, key, *found->second));
      }
      if (filter) {
        put(family, Table::kFilter, chain);
        tables_[family][Table::kFilter].force(name, found->second->force_programmed);
      }
      if (!hosts_present_) continue;
      if (context_.settings.deny != DenyAction::kDrop) {
        chain = render_chain(render_policy(context_, family, Table::kRaw, direction, key, *found->second));
      }
      put(family, Table::kMangle, chain);
      put(family, Table::kRaw, chain);
    }
  }
}

void Renderer::render_profile_chains(base::Symbol name, bool filter) {
  const auto& profiles = builder_.objects().profiles;
  const auto found = profiles.find(name);
  for (const Direction direction : kDirections) {
    if (found == profiles.end()) {
      for (const Table table : {Table::kFilter, Table::kMangle}) erase(table, profile_chain(name, direction));
      continue;
    }
    for (const Family family : families()) {
      if (filter) {
        put(family, Table::kFilter,
            render_chain(render_profile(context_, family, Table::kFilter, direction, name, *found->second)));
      }
      if (hosts_present_ && direction == Direction::kEgress) {
        put(family, Table::kMangle,
            render_chain(render_profile(context_, family, Table::kMangle, direction, name, *found->second)));
      }
    }
  }
}

void Renderer::own_chains(Table table, const std::string& owner, std::vector<EndpointChain> chains) {
  Owned now;
  for (EndpointChain& endpoint : chains) {
    for (const PolicyGroup& group : endpoint.groups) {
      now.groups.push_back(group.chain);
      if (groups_[table][group.chain]++ == 0)
        put(table, render_chain(render_group(context_, endpoint.direction, group)));
    }
    now.chains.push_back(endpoint.chain.name);
    put(table, render_chain(endpoint.chain));
  }
  Owned old = std::exchange(owned_[table][owner], now);
  for (const std::string& name : old.chains) {
    if (std::find(now.chains.begin(), now.chains.end(), name) == now.chains.end()) erase(table, name);
  }
  for (const std::string& name : old.groups) {
    const auto group = groups_[table].find(name);
    CHECK(group != groups_[table].end());
    if (--group->second > 0) continue;
    groups_[table].erase(group);
    erase(table, name);
  }
  if (now.chains.empty()) owned_[table].erase(owner);
}

void Renderer::render_workloads(const ObjectChanges& changes) {
  if (changes.workloads.empty()) return;
  const Objects& objects = builder_.objects();
  for (const std::string& interface : changes.workloads) {
    const auto found = objects.workloads.find(interface);
    own_chains(Table::kFilter, interface,
               found == objects.workloads.end()
                   ? std::vector<EndpointChain>{}
                   : render_workload(context_, objects.policies, interface, *found->second.endpoint));
  }
  render_workload_dispatch();
}

void Renderer::render_workload_dispatch() {
  std::vector<std::string_view> names;
  for (const auto& [interface, program] : builder_.objects().workloads) names.push_back(interface);
  const std::vector<DispatchBin> bins = bin_interfaces(names);

  const std::vector<Rule> end{{{}, context_.deny(Table::kFilter), {"Unknown interface"}}};
  const DispatchTree trees[] = {{chain::kFromWorkload, true, chain::kFromWorkloadPrefix, end},
                                {chain::kToWorkload, false, chain::kToWorkloadPrefix, end}};
  // Children are rendered only where the names below a key are others than before; there may be thousands.
  std::map<std::string, std::uint64_t> now;
  for (const DispatchBin& bin : bins) {
    if (bin.interfaces.size() < 2) continue;
    const std::uint64_t print = digest(bin.interfaces);
    now.emplace(bin.key, print);
    const auto before = workload_bins_.find(bin.key);
    if (before != workload_bins_.end() && before->second == print) continue;
    for (const DispatchTree& tree : trees) put(Table::kFilter, render_chain(render_dispatch_child(tree, bin)));
  }
  for (const DispatchTree& tree : trees) {
    std::set<std::string> children;
    for (const DispatchBin& bin : bins) {
      if (bin.interfaces.size() > 1) children.insert(child_name(tree, bin));
    }
    auto& old = tree_children_[Table::kFilter][std::string(tree.root)];
    for (const std::string& name : old) {
      if (!children.contains(name)) erase(Table::kFilter, name);
    }
    old = std::move(children);
    put(Table::kFilter, render_chain(render_dispatch_root(tree, bins)));
  }
  workload_bins_ = std::move(now);
}

void Renderer::render_hosts(const ObjectChanges& changes) {
  if (changes.hosts.empty() && !changes.host_wildcard) return;
  const Objects& objects = builder_.objects();
  if (!hosts_present_ && (!objects.hosts.by_interface.empty() || objects.hosts.wildcard)) {
    hosts_present_ = true;
    for (const auto& [key, policy] : objects.policies) render_policy_chains(key, false);
    for (const auto& [name, profile] : objects.profiles) render_profile_chains(name, false);
  }
  if (!hosts_present_) return;
  for (const Table table : {Table::kRaw, Table::kMangle, Table::kFilter}) {
    for (const std::string& interface : changes.hosts) {
      const auto found = objects.hosts.by_interface.find(interface);
      render_host_chains(table, interface,
                         found == objects.hosts.by_interface.end() ? nullptr : found->second.endpoint.get());
    }
    if (changes.host_wildcard) {
      // Untracked policy of the wildcard endpoint is not supported (spec §19.2).
      render_host_chains(
          table, kAnyInterface,
          objects.hosts.wildcard && table != Table::kRaw ? objects.hosts.wildcard->endpoint.get() : nullptr);
    }
  }
  render_host_trees();
}

void Renderer::render_host_chains(Table table, std::string_view interface, const calc::LocalHostEndpoint* endpoint) {
  std::vector<EndpointChain> chains;
  if (endpoint != nullptr) chains = render_host(context_, builder_.objects().policies, table, interface, *endpoint);
  // A host interface cannot be a workload's, so one name space of owners is enough; the slash keeps even that apart.
  own_chains(table, "host/" + std::string(interface), std::move(chains));
}

void Renderer::render_host_trees() {
  const HostDispatch& hosts = builder_.objects().hosts;
  const auto wildcard_end = [&](std::string_view prefix, bool wanted) {
    std::vector<Rule> end;
    if (hosts.wildcard && wanted) end.push_back({{}, Goto{length_limited(prefix, kAnyInterface)}});
    return end;
  };
  const auto tree = [&](Table table, std::string_view root, bool by_input, std::string_view prefix,
                        const std::vector<std::string_view>& names, std::vector<Rule> end) {
    render_tree(table, {root, by_input, prefix, std::move(end)}, bin_interfaces(names));
  };
  const auto all = names_of(hosts, any_endpoint);
  using enum Table;
  tree(kFilter, chain::kFromHost, true, chain::kFromHostPrefix, all, wildcard_end(chain::kFromHostPrefix, true));
  tree(kFilter, chain::kToHost, false, chain::kToHostPrefix, all, wildcard_end(chain::kToHostPrefix, true));
  tree(kFilter, chain::kFromHostForward, true, chain::kFromHostForwardPrefix, all,
       wildcard_end(chain::kFromHostForwardPrefix, true));
  tree(kFilter, chain::kToHostForward, false, chain::kToHostForwardPrefix, all,
       wildcard_end(chain::kToHostForwardPrefix, true));

  const auto untracked = names_of(hosts, has_untracked);
  tree(kRaw, chain::kFromHost, true, chain::kFromHostPrefix, untracked, {});
  tree(kRaw, chain::kToHost, false, chain::kToHostPrefix, untracked, {});

  tree(kMangle, chain::kFromHost, true, chain::kFromHostPrefix, names_of(hosts, has_pre_dnat),
       wildcard_end(chain::kFromHostPrefix, hosts.wildcard && has_pre_dnat(*hosts.wildcard->endpoint)));
  std::vector<Rule> end;
  if (hosts.wildcard) {
    for (const std::string& prefix : context_.settings.interface_prefixes) {
      end.push_back(
          {{OutInterface{prefix + "+"}}, Return{}, {"Skip egress WHEP policy for traffic to local workload"}});
    }
    end.push_back({{}, Goto{length_limited(chain::kToHostPrefix, kAnyInterface)}});
  }
  tree(kMangle, chain::kToHost, false, chain::kToHostPrefix, all, std::move(end));
}

void Renderer::render_tree(Table table, const DispatchTree& tree, const std::vector<DispatchBin>& bins) {
  std::set<std::string> children;
  for (const DispatchBin& bin : bins) {
    if (bin.interfaces.size() < 2) continue;
    children.insert(child_name(tree, bin));
    put(table, render_chain(render_dispatch_child(tree, bin)));
  }
  auto& old = tree_children_[table][std::string(tree.root)];
  for (const std::string& name : old) {
    if (!children.contains(name)) erase(table, name);
  }
  old = std::move(children);
  put(table, render_chain(render_dispatch_root(tree, bins)));
}

void Renderer::render_small(const ObjectChanges& changes) {
  const Objects& objects = builder_.objects();
  for (const Family family : families()) {
    if (changes.nat_outgoing[family]) {
      put(family, Table::kNat, render_chain(render_nat_outgoing(context_, family, objects.nat_outgoing[family])));
    }
    if (changes.service_ranges[family]) {
      put(family, Table::kFilter, render_chain(render_cidr_block(context_, objects.service_ranges[family])));
    }
    if (changes.nat[family]) {
      put(family, Table::kNat, render_chain(render_fip_dnat(objects.nat[family])));
      put(family, Table::kNat, render_chain(render_fip_snat(context_, objects.nat[family])));
    }
    if (changes.dscp[family]) put(family, Table::kMangle, render_chain(render_egress_dscp(objects.dscp[family])));
    if (changes.spoof[family]) put(family, Table::kRaw, render_chain(render_rpf_skip(objects.spoof[family])));
  }
}

}  // namespace render::iptables
