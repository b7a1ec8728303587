// renderer.h: the iptables back end: from the calculation's changes to the chains, hooks and IP sets that differ.
//
// Pure and incremental. Work is proportional to what changed; a change of the set of workload interfaces also walks the
// sorted list of their names once (20 µs per 1,000).
//
// Order a consumer must keep (spec §1.3): create and fill sets, then apply chains, then destroy `sets.removed`.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "calc/output.h"
#include "render/iptables/chain_table.h"
#include "render/iptables/context.h"
#include "render/iptables/dispatch_chains.h"
#include "render/iptables/endpoint_chains.h"
#include "render/iptables/static_chains.h"
#include "render/objects.h"
#include "render/settings.h"

namespace render::iptables {

template <typename T>
struct PerTable {
  std::array<T, kTables.size()> values{};
  T& operator[](Table table) { return values[static_cast<std::size_t>(table)]; }
  const T& operator[](Table table) const { return values[static_cast<std::size_t>(table)]; }
};

struct FamilyChanges {
  PerTable<TableChanges> tables;
  SetChanges sets;  // by kernel set name

  bool chains_empty() const {
    for (const TableChanges& table : tables.values) {
      if (!table.empty()) return false;
    }
    return true;
  }
};
using RenderChanges = PerFamily<FamilyChanges>;

class Renderer {
 public:
  // Fails if the mark mask is too small.
  static base::Result<Renderer> create(Settings settings);

  // The first result carries the static chains as well, whichever call it comes from.
  RenderChanges apply(const calc::Snapshot& snapshot) { return render(builder_.apply(snapshot)); }
  RenderChanges apply(const calc::Delta& delta) { return render(builder_.apply(delta)); }
  RenderChanges set_host_interfaces(HostInterfaces interfaces) {
    return render(builder_.set_host_interfaces(std::move(interfaces)));
  }

  // While it runs: the chains and sets that tunnels need come or go, nothing else changes.
  RenderChanges set_tunnels(TunnelRules tunnels);

  const std::map<std::string, Hooks>& hooks(Table table) const { return hooks_[table]; }
  // Every programmed chain, for plans and full comparisons.
  std::map<std::string_view, ChainPtr> programmed(Family family, Table table) const {
    return tables_[family][table].programmed();
  }
  const Objects& objects() const { return builder_.objects(); }
  const Settings& settings() const { return context_.settings; }

 private:
  Renderer(Settings settings, Marks marks);

  RenderChanges render(ObjectChanges changes);
  void render_statics();
  void put_static_chains();
  void render_rules(const ObjectChanges& changes);
  void render_policy_chains(const model::PolicyKey& key, bool filter);
  void render_profile_chains(base::Symbol name, bool filter);
  void render_workloads(const ObjectChanges& changes);
  void render_workload_dispatch();
  void render_hosts(const ObjectChanges& changes);
  void render_host_chains(Table table, std::string_view interface, const calc::LocalHostEndpoint* endpoint);
  void render_host_trees();
  void render_small(const ObjectChanges& changes);
  void render_tree(Table table, const DispatchTree& tree, const std::vector<DispatchBin>& bins);
  void note_selectors(const ObjectChanges& changes, std::set<std::string>& workloads, bool& hosts);

  // Replaces what `owner` had in `table` by these chains, and their groups.
  void own_chains(Table table, const std::string& owner, std::vector<EndpointChain> chains);
  void put(Table table, const ChainPtr& chain);
  void put(Family family, Table table, const ChainPtr& chain) { tables_[family][table].put(chain); }
  void erase(Table table, std::string_view name);
  std::vector<Family> families() const;

  Context context_;
  ObjectBuilder builder_;
  PerFamily<PerTable<ChainTable>> tables_;
  PerTable<std::map<std::string, Hooks>> hooks_;
  bool statics_done_ = false;
  bool hosts_present_ = false;  // from then on policies are offered to raw and mangle as well

  // Chains each endpoint brought into a table: its own and its groups'. Groups are shared, so they are counted.
  struct Owned {
    std::vector<std::string> chains;
    std::vector<std::string> groups;
  };
  PerTable<std::map<std::string, Owned>> owned_;
  PerTable<std::map<std::string, int>> groups_;
  PerTable<std::map<std::string, std::set<std::string>>> tree_children_;  // by root
  std::map<std::string, std::uint64_t> workload_bins_;                    // by key: digest of the names
  std::map<model::PolicyKey, std::uint64_t> selectors_;  // digest of each policy's selector, for groups
};

}  // namespace render::iptables
