// bird_control.h: a client of BIRD's control socket (spec bgp §5.2), asynchronous on one loop.
//
// Commands run one after another over one connection, which is opened on demand and closed when the queue is empty: a
// daemon that was restarted meanwhile is then simply found again. All calls and callbacks on the loop's thread.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "base/fd.h"
#include "base/loop.h"
#include "base/result.h"
#include "bgp/replies.h"

namespace bgp {

class BirdControl {
 public:
  // kUnavailable: no daemon there, or it did not answer in time. An error reply of BIRD (8xxx, 9xxx) is a Reply.
  using Done = std::function<void(base::Result<Reply>)>;

  // BIRD answers from its main loop; applying a large configuration can keep it busy for seconds.
  static constexpr base::Duration kTimeout = std::chrono::seconds(10);

  BirdControl(base::Loop& loop, std::string socket_path);
  ~BirdControl();
  BirdControl(const BirdControl&) = delete;
  BirdControl& operator=(const BirdControl&) = delete;

  // REQUIRES: one line, without newline. `done` is called exactly once, from the loop, never from inside command(); it
  // must not destroy this object, and is not called when the object is destroyed first.
  void command(std::string line, Done done);

 private:
  struct Entry {
    std::string line;
    Done done;
  };

  void wake();
  void work();
  base::Result<> connect();
  base::Result<> send(const std::string& line);
  void readable();
  void answered(Reply reply);
  void give_up(base::Error error);
  void finish(base::Result<Reply> result);
  void disconnect();

  base::Loop& loop_;
  const std::string socket_path_;
  std::deque<Entry> queue_;
  base::Fd fd_;
  base::WatchId watch_{};
  base::TimerId timeout_{};
  base::TimerId wake_{};
  ReplyReader reader_;
  bool waking_ = false;
  bool greeted_ = false;
  bool busy_ = false;  // the command at the front was sent and not answered
};

}  // namespace bgp
