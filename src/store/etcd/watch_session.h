// watch_session.h: the life of one subscription on etcd: snapshot in pages at one revision R, then watches from R + 1,
// resumed after every disconnect where they stopped, and a new snapshot when that is no longer possible.
//
// What is easy to get wrong, and how it is done here:
//   * A response's header may be ahead of its events, so the place to resume at is the last event's revision plus one.
//   * Fragments of one response are put together before they become a delta, so a commit is never seen in halves.
//   * A cluster that was restored from a backup answers with another id or a lower revision; a watch there would stay
//   silent
//     for ever. Before every resume one linearizable read shows the revision; going backwards means a new snapshot.
//   * Quiet prefixes ask for etcd's own progress notices (every 10 minutes), or compaction would overtake them.
//
// Only on the CompletionThread, except the constructor, attach() and consumed().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/etcd/etcd_core.h"
#include "store/etcd/watch_stream.h"
#include "store/feed.h"

namespace store {

class WatchSession final : public std::enable_shared_from_this<WatchSession> {
 public:
  WatchSession(EtcdCore& core, std::vector<std::string> prefixes);

  // What the feed calls when the reader has consumed a page; any thread.
  std::function<void()> consumed();
  void attach(std::shared_ptr<Feed> feed) { feed_ = std::move(feed); }

  void start() { connect(); }
  void stop();
  bool stopped() const { return stopped_; }

 private:
  void connect();
  void connected(const LinkPtr& link);
  void begin_snapshot();
  void request_page();
  void page_arrived(Answer<etcdserverpb::RangeResponse> answer);
  void page_consumed();
  void snapshot_done();
  void check_revision();
  void open_stream();
  void response(etcdserverpb::WatchResponse& response);
  void watch_created(const etcdserverpb::WatchResponse& response);
  void watch_cancelled(const etcdserverpb::WatchResponse& response);
  void watch_events(etcdserverpb::WatchResponse& response);
  void stream_ended(const grpc::Status& status);
  void credentials_refused(base::Error error);
  void failed(const base::Error& error);
  void read_range(etcdserverpb::RangeRequest request, RangeOperation::Done done);
  void report(ConnectionState state);
  void close_stream();

  struct Watched {
    std::string prefix;
    Revision next = 0;            // where a watch resumes
    std::vector<Change> partial;  // fragments of a response that is not complete yet
  };

  EtcdCore& core_;
  std::vector<Watched> watched_;
  std::shared_ptr<Feed> feed_;
  bool stopped_ = false;
  CompletionThread::Timer retry_ = 0;
  base::Duration backoff_{};
  bool token_renewed_ = false;  // since the last success
  LinkPtr link_;
  std::uint64_t cluster_id_ = 0;
  std::optional<bool> reported_connected_;
  std::string reported_error_;

  // Snapshot.
  bool synced_ = false;
  Revision revision_ = 0;   // delivered so far
  std::size_t paging_ = 0;  // index of the prefix being read
  std::string page_key_;    // where the next page begins
  bool first_page_ = false;
  std::int64_t page_keys_ = 0;
  int pages_held_ = 0;  // handed to the reader and not yet consumed, of any snapshot
  bool page_wanted_ = false;
  base::Instant page_asked_;
  std::uint64_t snapshot_ = 0;  // counts snapshots, so that late pages of an abandoned one are recognised

  // Watches.
  std::shared_ptr<WatchStream> stream_;
  std::map<std::int64_t, std::size_t> watch_ids_;
  std::size_t created_ = 0;
};

}  // namespace store
