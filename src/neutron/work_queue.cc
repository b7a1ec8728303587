#include "neutron/work_queue.h"

#include <algorithm>
#include <utility>

#include <boost/json/serialize.hpp>

namespace neutron {

void WorkQueue::call(json::object message, Answer answer) {
  Call call{.id = ++last_id_, .message = std::move(message), .answer = std::move(answer)};
  call.message["id"] = call.id;
  arm(call, kCallTimeout);
  queue_.push_back(std::move(call));
  match();
}

void WorkQueue::arm(Call& call, base::Duration timeout) {
  call.timer = context_.loop.after(timeout, [this, id = call.id] {
    end(id, base::fail(base::Error::unavailable("Neutron's worker does not answer; is neutron-server running?")));
  });
}

void WorkQueue::end(std::uint64_t id, base::Result<json::value> result) {
  Answer answer;
  if (const auto queued = std::ranges::find(queue_, id, &Call::id); queued != queue_.end()) {
    context_.loop.cancel(queued->timer);
    answer = std::move(queued->answer);
    queue_.erase(queued);
  } else {
    const auto given = std::ranges::find_if(given_, [&](const auto& entry) { return entry.second.id == id; });
    if (given == given_.end()) return;
    context_.loop.cancel(given->second.timer);
    answer = std::move(given->second.answer);
    given_.erase(given);
  }
  answer(std::move(result));
}

void WorkQueue::end_given(std::uint64_t id, base::Result<json::value> result) {
  const bool given = std::ranges::any_of(given_, [&](const auto& entry) { return entry.second.id == id; });
  if (given) end(id, std::move(result));
}

void WorkQueue::poll(const HttpRequest& request, json::value message, HttpRespond respond) {
  if (!message.is_object()) return respond(error_reply(400, "invalid", "the body must be an object"));
  json::object& body = message.get_object();
  const bool first = workers() == 0;
  if (const auto id = number(body, "id")) {
    const auto answered = static_cast<std::uint64_t>(*id);
    if (const json::value* error = member(body, "error")) {
      const std::string why =
          error->is_object() ? std::string(text(error->get_object(), "message")) : "no reason given";
      end_given(answered, base::fail(base::Error::internal("Neutron: " + why)));
    } else {
      end_given(answered, body.contains("result") ? std::move(body["result"]) : json::value());
    }
  }
  // A connection that asks for more has forgotten what it did not answer.
  if (const auto given = given_.find(request.connection); given != given_.end()) {
    end_given(given->second.id, base::fail(base::Error::unavailable("Neutron's worker did not answer a call")));
  }
  Waiting waiting{.respond = std::move(respond)};
  waiting.timer = context_.loop.after(kPollTimeout, [this, connection = request.connection] {
    const auto found = waiting_.find(connection);
    if (found == waiting_.end()) return;
    auto idle = std::move(found->second.respond);
    waiting_.erase(found);
    idle({.status = 204, .body = {}});
  });
  waiting_.insert_or_assign(request.connection, std::move(waiting));
  match();
  if (first && arrived_) arrived_();
}

void WorkQueue::match() {
  while (!queue_.empty() && !waiting_.empty()) {
    const auto worker = waiting_.begin();
    context_.loop.cancel(worker->second.timer);
    const ConnectionId connection = worker->first;
    const HttpRespond respond = std::move(worker->second.respond);
    waiting_.erase(worker);
    Call call = std::move(queue_.front());
    queue_.pop_front();
    context_.loop.cancel(call.timer);
    arm(call, kCallTimeout);
    std::string text = json::serialize(call.message);
    given_.insert_or_assign(connection, std::move(call));
    respond({.status = 200, .body = std::move(text)});
  }
}

void WorkQueue::closed(ConnectionId connection) {
  if (const auto waiting = waiting_.find(connection); waiting != waiting_.end()) {
    context_.loop.cancel(waiting->second.timer);
    waiting_.erase(waiting);
  }
  // A worker may use a connection for each request: the answer can still come.
  const auto given = given_.find(connection);
  if (given == given_.end()) return;
  context_.loop.cancel(given->second.timer);
  arm(given->second, kOrphanTimeout);
}

}  // namespace neutron
