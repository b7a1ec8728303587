// work_queue.h: POST /v1/work: calls of the bridge to Neutron, taken by the shim's worker through long polling.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "neutron/context.h"
#include "neutron/http.h"
#include "neutron/translate/json.h"

namespace neutron {

class WorkQueue {
 public:
  using Answer = std::function<void(base::Result<json::value>)>;

  explicit WorkQueue(Context& context) : context_(context) {}

  // Asks Neutron. Waits for a worker at most kCallTimeout, and as long again for its answer. Errors: kUnavailable (no
  // worker, no answer), kInternal (Neutron says why).
  void call(json::object call, Answer answer);

  void poll(const HttpRequest& request, json::value message, HttpRespond respond);
  // The connection is gone: unless the answer comes over another one within kOrphanTimeout, the call has failed.
  void closed(ConnectionId connection);

  // Connections that wait for work or do some.
  std::size_t workers() const { return waiting_.size() + given_.size(); }
  void on_worker(std::function<void()> arrived) { arrived_ = std::move(arrived); }

  static constexpr base::Duration kCallTimeout = std::chrono::seconds(60);
  static constexpr base::Duration kOrphanTimeout = std::chrono::seconds(20);
  static constexpr base::Duration kPollTimeout = std::chrono::seconds(25);

 private:
  struct Call {
    std::uint64_t id = 0;
    json::object message = {};
    Answer answer = {};
    base::TimerId timer{};
  };
  struct Waiting {
    HttpRespond respond = {};
    base::TimerId timer{};
  };

  void match();
  void end(std::uint64_t id, base::Result<json::value> result);
  void end_given(std::uint64_t id, base::Result<json::value> result);
  void arm(Call& call, base::Duration timeout);

  Context& context_;
  std::function<void()> arrived_;
  std::uint64_t last_id_ = 0;
  std::deque<Call> queue_;                   // not yet given out
  std::map<ConnectionId, Call> given_;       // being worked on, by the connection that fetched it
  std::map<ConnectionId, Waiting> waiting_;  // long polls
};

}  // namespace neutron
