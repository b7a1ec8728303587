#include "render/iptables/chain_table.h"

#include "base/check.h"

namespace render::iptables {
namespace {

bool same(const ChainPtr& a, const ChainPtr& b) {
  return a == b || (a && b && a->rule_count == b->rule_count && a->fingerprint == b->fingerprint);
}

// Stands in for a chain that is jumped to but was never defined. That breaks the calculation's promise, and must not
// open traffic.
ChainPtr closed_chain(std::string_view name) {
  return render_chain({std::string(name), {{{}, Drop{}, {"Chain is not known"}}}});
}

}  // namespace

ChainTable::Entry& ChainTable::touch(std::string_view name) {
  touched_.emplace(name);
  if (const auto found = entries_.find(name); found != entries_.end()) return found->second;
  return entries_.emplace(std::string(name), Entry{}).first->second;
}

void ChainTable::add_root(std::string_view name) { change_references(name, 1); }

void ChainTable::put(const ChainPtr& chain) {
  CHECK(chain != nullptr);
  if (const auto found = entries_.find(chain->name); found != entries_.end() && same(found->second.chain, chain))
    return;
  Entry& entry = touch(chain->name);
  const ChainPtr old = std::exchange(entry.chain, chain);
  if (!entry.wanted()) return;
  refer_to_targets(chain, 1);
  refer_to_targets(old, -1);
}

void ChainTable::erase(std::string_view name) {
  const auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.chain) return;
  Entry& entry = touch(name);
  const ChainPtr old = std::exchange(entry.chain, nullptr);
  if (entry.wanted()) refer_to_targets(old, -1);
}

void ChainTable::force(std::string_view name, bool forced) {
  const auto found = entries_.find(name);
  if (forced == (found != entries_.end() && found->second.forced)) return;
  Entry& entry = touch(name);
  const bool before = entry.wanted();
  entry.forced = forced;
  if (entry.wanted() != before) refer_to_targets(ChainPtr(entry.chain), forced ? 1 : -1);
}

void ChainTable::change_references(std::string_view name, int by) {
  Entry& entry = touch(name);
  const bool before = entry.wanted();
  entry.references += by;
  CHECK(entry.references >= 0);
  // The recursion may move entries, so it works on a copy of the pointer.
  if (entry.wanted() != before) refer_to_targets(ChainPtr(entry.chain), by);
}

void ChainTable::refer_to_targets(const ChainPtr& chain, int by) {
  if (!chain) return;
  for (const std::string& target : chain->targets) change_references(target, by);
}

TableChanges ChainTable::flush() {
  TableChanges out;
  for (const std::string& name : touched_) {
    const auto found = entries_.find(name);
    Entry& entry = found->second;
    ChainPtr now;
    if (entry.wanted()) now = entry.chain ? entry.chain : closed_chain(name);
    if (!same(now, entry.emitted)) {
      if (now) {
        out.changed.emplace(name, now);
      } else {
        out.removed.insert(name);
      }
    }
    entry.emitted = now;
    if (!entry.chain && !entry.wanted()) entries_.erase(found);
  }
  touched_.clear();
  return out;
}

std::map<std::string_view, ChainPtr> ChainTable::programmed() const {
  std::map<std::string_view, ChainPtr> chains;
  for (const auto& [name, entry] : entries_) {
    if (entry.emitted) chains.emplace(name, entry.emitted);
  }
  return chains;
}

}  // namespace render::iptables
