// conntrack_netlink.h: forgetting connections over ctnetlink, without a program and without stalling the loop.
//
// One pass reads the whole table of a family, one datagram (at most 32 KiB, some hundred entries) per turn of the loop,
// and deletes what belongs to any of the addresses asked for before the pass began. Addresses asked for meanwhile wait
// for the next pass: their entries may stand in a part already read. A table of 262,144 entries takes about half a
// second, in slices of less than a millisecond; filtering in the kernel would be one call of tens of milliseconds.
//
// A pass that fails is repeated at most kAttempts times; then its addresses count as finished (waiting for ever would
// keep an endpoint without its route) and the failure is counted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>

#include "base/loop.h"
#include "kernel/conntrack.h"
#include "kernel/netlink/socket.h"

namespace kernel {

class NetlinkConntrackCleaner final : public ConntrackCleaner {
 public:
  // Opens its sockets in the calling thread's network namespace. The loop must outlive the cleaner.
  [[nodiscard]] static base::Result<std::unique_ptr<NetlinkConntrackCleaner>> open(base::Loop& loop);
  ~NetlinkConntrackCleaner() override;
  NetlinkConntrackCleaner(const NetlinkConntrackCleaner&) = delete;
  NetlinkConntrackCleaner& operator=(const NetlinkConntrackCleaner&) = delete;

  void remove(const base::IpAddress& address) override;
  bool busy(const base::IpAddress& address) const override;
  void on_finished(std::function<void(const base::IpAddress&)> finished) override { finished_ = std::move(finished); }

  std::uint64_t deleted() const { return deleted_; }    // entries, since start
  std::uint64_t failures() const { return failures_; }  // passes given up, since start

  static constexpr int kAttempts = 4;
  static constexpr base::Duration kPassTimeout = std::chrono::seconds(10);

 private:
  NetlinkConntrackCleaner(base::Loop& loop, netlink::Socket reader, netlink::Socket writer);
  void schedule();
  void start_pass();
  [[nodiscard]] base::Result<> send_request();
  void read_slice();
  void handle(const netlink::Message& message, netlink::Batch& deletions);
  void carry_out(netlink::Batch& deletions);
  void end_pass(bool complete);

  base::Loop& loop_;
  netlink::Socket reader_;
  netlink::Socket writer_;
  base::WatchId watch_{};
  base::TimerId scheduled_{};
  base::TimerId timeout_{};
  std::function<void(const base::IpAddress&)> finished_;
  std::set<base::IpAddress> waiting_;
  std::set<base::IpAddress> running_;      // all of one family
  std::optional<std::uint32_t> sequence_;  // of the dump that runs
  bool broken_ = false;                    // this pass missed something
  int attempts_ = 0;
  std::uint64_t deleted_ = 0;
  std::uint64_t failures_ = 0;
};

// Whether a conntrack message has one of `addresses` as source of either direction. False for malformed messages.
bool conntrack_entry_belongs(netlink::Bytes payload, const std::set<base::IpAddress>& addresses);

}  // namespace kernel
