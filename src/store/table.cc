#include "store/table.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace store {
namespace {

// etcd's way to say "to the end of all keys".
bool ends_nowhere(const std::string& range_end) { return range_end == std::string_view("\0", 1); }

bool has_prefix(const std::string& key, const std::vector<std::string>& prefixes) {
  return std::ranges::any_of(prefixes, [&](const auto& prefix) { return key.starts_with(prefix); });
}

}  // namespace

const Change* Table::version_at(const History& history, Revision revision) const {
  const auto after =
      std::ranges::upper_bound(history.versions, revision, {}, [](const Change& c) { return c.item.mod_revision; });
  if (after == history.versions.begin()) return nullptr;
  const Change& version = *std::prev(after);
  return version.removed ? nullptr : &version;
}

const KeyValue* Table::find(const std::string& key) const {
  const auto at = keys_.find(key);
  if (at == keys_.end()) return nullptr;
  const Change* version = version_at(at->second, revision_);
  return version == nullptr ? nullptr : &version->item;
}

base::Result<ReadReply> Table::read(const ReadRequest& request) const {
  const Revision at = request.revision == 0 ? revision_ : request.revision;
  if (at < compacted_) return base::fail(compacted_error(at));
  if (at > revision_) {
    return base::fail(
        base::Error::invalid(fmt::format("revision {} has not happened yet, the latest is {}", at, revision_)));
  }
  ReadReply reply{.revision = revision_, .items = {}, .more = false};
  for (auto key = keys_.lower_bound(request.key); key != keys_.end(); ++key) {
    if (request.range_end.empty() ? key->first != request.key
                                  : !ends_nowhere(request.range_end) && key->first >= request.range_end) {
      break;
    }
    const Change* version = version_at(key->second, at);
    if (version == nullptr) continue;
    if (request.limit > 0 && reply.items.size() == static_cast<std::size_t>(request.limit)) {
      reply.more = true;
      break;
    }
    reply.items.push_back(version->item);
    if (request.keys_only) reply.items.back().value.clear();
  }
  return reply;
}

std::size_t Table::commit(std::vector<Edit> edits, Revision at) {
  CHECK(at > revision_);
  std::size_t changes = 0;
  for (auto& edit : edits) {
    const KeyValue* before = find(edit.key);
    Change change;
    change.item.key = edit.key;
    change.item.mod_revision = at;
    change.removed = !edit.value.has_value();
    if (change.removed && before == nullptr) continue;
    if (!change.removed) {
      change.item.create_revision = before == nullptr ? at : before->create_revision;
      change.item.value = std::move(*edit.value);
      change.item.lease = edit.lease;
    }
    auto& versions = keys_[edit.key].versions;
    CHECK(versions.empty() || versions.back().item.mod_revision < at);
    versions.push_back(std::move(change));
    log_.emplace_back(at, std::move(edit.key));
    ++changes;
  }
  if (changes > 0) revision_ = at;
  return changes;
}

base::Result<std::vector<Change>> Table::changes_after(Revision from, const std::vector<std::string>& prefixes) const {
  if (from < compacted_) return base::fail(compacted_error(from + 1));
  std::vector<Change> changes;
  auto entry = std::ranges::upper_bound(log_, from, {}, [](const auto& e) { return e.first; });
  for (; entry != log_.end(); ++entry) {
    if (!has_prefix(entry->second, prefixes)) continue;
    const auto& versions = keys_.find(entry->second)->second.versions;
    changes.push_back(*std::ranges::find(versions, entry->first, [](const Change& c) { return c.item.mod_revision; }));
  }
  return changes;
}

base::Result<> Table::compact(Revision revision) {
  if (revision <= compacted_) return base::fail(compacted_error(revision));
  if (revision > revision_) {
    return base::fail(
        base::Error::invalid(fmt::format("revision {} has not happened yet, the latest is {}", revision, revision_)));
  }
  compacted_ = revision;
  while (!log_.empty() && log_.front().first <= revision) {
    prune(log_.front().second);
    log_.pop_front();
  }
  return {};
}

// Keeps what was current at compacted_ and everything later.
void Table::prune(const std::string& key) {
  const auto at = keys_.find(key);
  if (at == keys_.end()) return;
  auto& versions = at->second.versions;
  auto keep = std::ranges::upper_bound(versions, compacted_, {}, [](const Change& c) { return c.item.mod_revision; });
  if (keep != versions.begin() && !std::prev(keep)->removed) --keep;
  versions.erase(versions.begin(), keep);
  if (versions.empty()) keys_.erase(at);
}

void Table::keep_log(std::size_t changes) {
  if (log_.size() <= changes) return;
  const Revision up_to = log_[log_.size() - changes - 1].first;
  if (up_to > compacted_) CHECK(compact(up_to).has_value());
}

}  // namespace store
