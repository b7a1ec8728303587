// chain_table.h: the desired chains of one table and family, of which only those that something refers to are
// programmed (spec dataplane §13.1): roots are referred to by hooks, other chains by the jumps of programmed chains.
//
// Single thread. put, erase and force cost the chain's own targets; flush costs what was touched since the last one.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "render/iptables/rendered_chain.h"

namespace render::iptables {

// What a table must look like now that it did not before. A name is in at most one of the two.
struct TableChanges {
  std::map<std::string, ChainPtr> changed;  // new or with other rules; never null
  std::set<std::string> removed;
  bool empty() const { return changed.empty() && removed.empty(); }
};

class ChainTable {
 public:
  // A hook of the kernel refers to this chain, for ever.
  void add_root(std::string_view name);
  // Defines or replaces a chain. A chain that says the same as before changes nothing.
  void put(const ChainPtr& chain);
  void erase(std::string_view name);
  // Programs a chain even if nothing refers to it.
  void force(std::string_view name, bool forced);

  TableChanges flush();

  // Every programmed chain by name, as of the last flush.
  std::map<std::string_view, ChainPtr> programmed() const;

 private:
  struct Entry {
    ChainPtr chain;    // null: referred to, but not defined
    ChainPtr emitted;  // as of the last flush; null: not programmed
    int references = 0;
    bool forced = false;
    bool wanted() const { return references > 0 || forced; }
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  using Entries = std::unordered_map<std::string, Entry, Hash, std::equal_to<>>;

  Entry& touch(std::string_view name);
  void change_references(std::string_view name, int by);
  void refer_to_targets(const ChainPtr& chain, int by);

  Entries entries_;
  std::set<std::string, std::less<>> touched_;
};

}  // namespace render::iptables
