// table.h: etcd's data model in memory: keys with all their versions since the last compaction. Pure; the heart of
// MemoryStore and DirectoryStore.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace store {

struct Edit {
  std::string key;
  std::optional<std::string> value;  // none: remove
  std::int64_t lease = 0;
  std::chrono::seconds time_to_live{0};  // of the lease; Table itself does not count time
};

class Table {
 public:
  Revision revision() const { return revision_; }
  std::size_t log_size() const { return log_.size(); }

  const KeyValue* find(const std::string& key) const;
  // Fails (is_compacted) for a revision that is gone, and with kInvalid for one that has not happened.
  base::Result<ReadReply> read(const ReadRequest& request) const;

  // One commit at revision `at`. Removals of keys that do not exist are no change; a commit without a change does not
  // happen. REQUIRES at > revision(), no key twice. Returns the number of changes.
  std::size_t commit(std::vector<Edit> edits, Revision at);

  // What happened to keys with these prefixes after `from`, in order. Fails (is_compacted) when that is not known any
  // more.
  base::Result<std::vector<Change>> changes_after(Revision from, const std::vector<std::string>& prefixes) const;

  // Forgets versions that were overwritten up to and including `revision`.
  base::Result<> compact(Revision revision);
  // Compacts so far that the log keeps the last `changes` changes.
  void keep_log(std::size_t changes);

 private:
  struct History {
    std::vector<Change> versions;  // ascending mod_revision, never empty
  };
  const Change* version_at(const History& history, Revision revision) const;
  void prune(const std::string& key);

  Revision revision_ = 1;  // like an etcd without data
  Revision compacted_ = 0;
  std::map<std::string, History, std::less<>> keys_;
  std::deque<std::pair<Revision, std::string>> log_;  // which key changed when
};

}  // namespace store
