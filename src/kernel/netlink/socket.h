// socket.h: one netlink socket and the conversations on it: a batch of requests answered one by one, and a dump.
//
// Not thread-safe; one owner. Calls block until the kernel has answered (it answers inside the send, so "block" means
// the time the kernel works or waits for its own locks), at most `timeout`. For events use receive_events() from a
// readable callback.
//
// After a conversation that broke (no answer in time, lost answers), the next one starts on a new socket: the old one
// may still be in the middle of a dump, and the kernel allows one at a time.
//
// Every request carries NLM_F_ACK and a fresh sequence number; answers are matched by it, and answers to anything else
// (left over from a call that timed out) are ignored.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "kernel/netlink/codec.h"

namespace kernel::netlink {

enum class Bus { kRoute, kNetfilter };

struct SocketOptions {
  std::chrono::milliseconds timeout{10'000};  // NetlinkTimeoutSecs
  int receive_buffer = 4 << 20;               // bytes; a burst of events or acknowledgements must fit
  bool non_blocking = false;
};

// The answer to one request of a batch.
struct Reply {
  int error = 0;          // errno or a subsystem's own code, positive; 0 = done
  std::string text = {};  // the kernel's own words, often empty
  std::vector<std::uint8_t> request =
      {};  // what the kernel echoed of a refused request (IP sets put the line number there)
  std::vector<std::uint8_t> data = {};  // payload of the data message, if the request asks for one
};

class Socket {
 public:
  [[nodiscard]] static base::Result<Socket> open(Bus bus, const SocketOptions& options = {});

  // Changes with reopen(), and for blocking use without notice.
  int fd() const { return fd_.get(); }
  bool strict() const { return strict_; }  // the kernel honours filters in dump requests (4.20 and later)

  // Throws away whatever is under way. Groups have to be joined again. Unwatch fd() before.
  [[nodiscard]] base::Result<> reopen();

  // Joins a multicast group by number (RTNLGRP_…, NFNLGRP_…).
  [[nodiscard]] base::Result<> join(unsigned group);

  // Sends all requests in order, a window at a time, and returns one reply for each. An error means the conversation
  // itself broke: nothing is known about requests without a reply, so the caller must read the state back.
  [[nodiscard]] base::Result<std::vector<Reply>> execute(Batch& batch);

  // Sends the only message of `request` with NLM_F_DUMP. When the kernel says that the table changed meanwhile,
  // `restart` is called and the dump repeated, at most kDumpAttempts times. `what` names the table in errors.
  using Handler = std::function<void(const Message&)>;
  [[nodiscard]] base::Result<> dump(Batch& request, std::string_view what, const std::function<void()>& restart,
                                    const Handler& handler);

  // Non-blocking use: send without waiting; read one datagram. receive_some() gives false when nothing is waiting.
  [[nodiscard]] base::Result<std::uint32_t> send(Batch& request);  // sequence of the first message
  enum class Received { kNothing, kMessages, kOverrun };
  [[nodiscard]] base::Result<Received> receive_some(const Handler& handler);

  static constexpr int kDumpAttempts = 5;

 private:
  Socket(Bus bus, const SocketOptions& options) : bus_(bus), options_(options) {}
  [[nodiscard]] base::Result<> recover();
  [[nodiscard]] base::Result<> send_bytes(Bytes bytes);
  [[nodiscard]] base::Result<Bytes> receive(int flags);
  [[nodiscard]] base::Result<> collect(std::uint32_t first, std::size_t count, std::vector<Reply>& replies);
  enum class DumpEnd { kComplete, kInterrupted };
  [[nodiscard]] base::Result<DumpEnd> dump_once(Batch& request, std::string_view what, const Handler& handler);

  Bus bus_;
  SocketOptions options_;
  base::Fd fd_;
  bool broken_ = false;
  bool strict_ = false;
  std::uint32_t sequence_ = 0;
  std::vector<std::uint8_t> buffer_;
};

// errno → Error, with the object and the kernel's own words.
base::Error reply_error(const Reply& reply, std::string_view object);

}  // namespace kernel::netlink
