// store.h: the datastore as the rest of Percale sees it: ordered keys with values, revisions, watches and leases, as
// etcd v3 defines them. Byte-level: nothing here knows what a resource is.
//
// Implementations: EtcdStore (etcd v3), DirectoryStore (a directory of resource files), MemoryStore (tests,
// simulation). One conformance suite runs against all of them (tests/integration/store).
//
// Thread rules: every function of Store may be called from any thread. Replies and events are delivered on the loop
// given with the request, never inside the call. A loop given to a request must outlive the store, one given to
// subscribe() the subscription. Destroying a store drops unanswered requests: their callbacks never run.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/loop.h"
#include "base/result.h"

namespace store {

// Counts the commits of a store. Every commit has a higher one than the commit before it; not every number is used.
using Revision = std::int64_t;

struct KeyValue {
  std::string key;
  std::string value;
  Revision create_revision = 0;
  Revision mod_revision = 0;  // of the last write: what Calico calls the resource version
  std::int64_t lease = 0;     // 0: none

  bool operator==(const KeyValue&) const = default;
};

// --- Subscriptions ---
//
// What a subscriber receives, in this order:
//   SnapshotStart{R} SnapshotPage* SnapshotDone{R} Delta{from = R} Delta …
// When the store lost its place (etcd compacted, or was restored from a backup), a new SnapshotStart begins, possibly
// in the middle of another snapshot, which then counts for nothing. Keys that a finished snapshot did not carry do not
// exist. A mere disconnect shows only as ConnectionState: deltas go on where they stopped, none is lost. Between
// SnapshotStart and SnapshotDone no Delta arrives.
//
// Memory: at most two pages exist at a time; the next is asked for when one has been consumed. Deltas that the reader
// has not yet taken are merged: only the last change of each key is kept, so a Delta may delete a key that the reader
// never saw.

struct SnapshotStart {
  Revision revision = 0;
};
struct SnapshotPage {
  std::vector<KeyValue> items;  // ascending keys within a prefix; no key comes twice in a snapshot
};
struct SnapshotDone {
  Revision revision = 0;
};

struct Change {
  KeyValue item;  // of a removed key: only key and mod_revision (that of the removal)
  bool removed = false;

  bool operator==(const Change&) const = default;
};

// Valid only on top of revision `from`. With one prefix a commit is never split over two deltas; with several, the
// changes of one commit may arrive in one delta per prefix.
struct Delta {
  Revision from = 0;
  Revision to = 0;
  std::vector<Change> changes;
  base::Instant received{};  // when the first of them reached this process; zero if this store does not tell
};

// The state of the connection behind this subscription; sent when it changes. The data already delivered stays valid.
struct ConnectionState {
  bool connected = false;
  std::string peer;                  // the endpoint in use, when connected
  std::optional<base::Error> error;  // why not, when not connected; kDenied if credentials are refused
};

// Something in the store that cannot be used, for people. An empty text withdraws what was said about `source` before.
struct Diagnostic {
  std::string source;  // e.g. the file
  int line = 0;        // 0: not known
  std::string text;
};

using StoreEvent = std::variant<SnapshotStart, SnapshotPage, SnapshotDone, Delta, ConnectionState, Diagnostic>;
using EventHandler = std::function<void(StoreEvent)>;

// Ends the subscription when destroyed, which must happen on the reader's thread (or while its loop does not run) and
// before the store is destroyed. The handler is not called after that; it may destroy the subscription itself.
class Subscription {
 public:
  virtual ~Subscription() = default;
};

// --- Requests ---

struct RequestOptions {
  base::Duration timeout = std::chrono::seconds(10);
  // Keep trying to connect until the timeout, instead of failing when every endpoint has refused once.
  bool wait_for_connection = false;
};

struct ReadRequest {
  std::string key;
  std::string range_end;   // empty: exactly `key`; otherwise keys in [key, range_end)
  Revision revision = 0;   // 0: the latest
  std::int64_t limit = 0;  // 0: all
  bool keys_only = false;
};
struct ReadReply {
  Revision revision = 0;  // of the store when it answered
  std::vector<KeyValue> items;
  bool more = false;  // the limit cut the answer short
};

enum class Condition {
  kNone,
  kAbsent,      // the key must not exist
  kPresent,     // the key must exist
  kUnmodified,  // the key must exist with mod_revision == expected
};

struct PutRequest {
  std::string key;
  std::string value;
  Condition condition = Condition::kNone;
  Revision expected = 0;                 // for kUnmodified
  std::chrono::seconds time_to_live{0};  // above 0: attach a fresh lease, which nobody keeps alive
};
struct RemoveRequest {
  std::string key;
  Revision expected = 0;  // 0: whatever is there
};

enum class WriteStatus {
  kDone,
  kExists,    // refused: the key is already there
  kConflict,  // refused: somebody else changed it first
  kNotFound,  // refused: the key is not there
};
struct WriteReply {
  WriteStatus status = WriteStatus::kDone;
  Revision revision = 0;            // of the commit when done (the written key's new mod_revision)
  std::optional<KeyValue> current;  // refused: what is there. Removed: what was there.
};

// The key must not have been written after `since`, or not exist (any more). With a `since` of 0 it must not exist.
struct Untouched {
  std::string key;
  Revision since = 0;
};

// All or nothing. A key may be written once. A condition that does not hold is an error of kind kConflict; after a
// transaction with conditions kUnavailable means that the outcome is unknown.
struct Transaction {
  std::vector<std::pair<std::string, std::string>> puts = {};
  std::vector<std::string> removals = {};
  std::vector<Untouched> conditions = {};
};

struct StoreStatus {
  Revision revision = 0;
  std::uint64_t cluster_id = 0;
  std::string version;  // of the server
  std::string peer;     // who answered
};

template <typename T>
using Done = std::function<void(base::Result<T>)>;

// The error of a Transaction whose conditions did not hold.
base::Error condition_failed();

// Errors: kUnavailable (text names the endpoints and the remedy; after a conditional write it means that the outcome is
// unknown), kDenied, kInvalid (including a revision that has been compacted: see is_compacted), kUnsupported.
class Store {
 public:
  virtual ~Store() = default;

  // Every key that starts with one of `prefixes`, which must not overlap. The first event arrives without any timer.
  [[nodiscard]] virtual std::unique_ptr<Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                                EventHandler handler) = 0;

  virtual void read(ReadRequest request, const RequestOptions& options, base::Loop& loop, Done<ReadReply> done) = 0;
  virtual void put(PutRequest request, const RequestOptions& options, base::Loop& loop, Done<WriteReply> done) = 0;
  virtual void remove(RemoveRequest request, const RequestOptions& options, base::Loop& loop,
                      Done<WriteReply> done) = 0;
  virtual void commit(Transaction request, const RequestOptions& options, base::Loop& loop, Done<Revision> done) = 0;
  virtual void compact(Revision revision, const RequestOptions& options, base::Loop& loop, Done<Revision> done) = 0;
  virtual void status(const RequestOptions& options, base::Loop& loop, Done<StoreStatus> done) = 0;

  // What connects to: for messages, e.g. "etcd at http://10.0.0.1:2379, http://10.0.0.2:2379".
  virtual std::string describe() const = 0;
};

// The first key after all keys that start with `prefix`: the exclusive end of its range.
std::string prefix_end(std::string_view prefix);

// True for the error of a read at, or a watch from, a revision that no longer exists.
bool is_compacted(const base::Error& error);
base::Error compacted_error(Revision asked);

// A refused write as an Error of kind kExists, kConflict or kNotFound that names the key. REQUIRES reply.status !=
// kDone.
base::Error refusal(const WriteReply& reply, std::string_view key);

}  // namespace store
