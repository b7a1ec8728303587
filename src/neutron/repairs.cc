#include "neutron/repairs.h"

#include <utility>

namespace neutron {
namespace {

constexpr std::size_t kAtOnce = 100;
// After this many failures in a row, ten seconds apart at least, an older revision_number is no lag but a database
// that was restored.
constexpr int kAcceptOlderAfter = 5;

}  // namespace

struct Repairs::Run {
  ExchangeOptions options;
  std::function<void(Outcome)> done;
  Outcome outcome;
  json::object message;  // the next one, while its data is being read
  json::array specs;
  json::array data;
};

void Repairs::add(const std::vector<ObjectId>& objects) {
  if (objects.empty()) return;
  dirty_.insert(objects.begin(), objects.end());
  retry_later();
}

void Repairs::wake() {
  if (!dirty_.empty() && !running_) start();
}

void Repairs::retry_later() {
  if (waiting_ || running_) return;
  waiting_ = true;
  context_.loop.after(kRetry, [this] {
    waiting_ = false;
    wake();
  });
}

void Repairs::start() {
  running_ = true;
  std::vector<ObjectId> objects;
  for (const auto& object : dirty_) {
    if (objects.size() == kAtOnce) break;
    objects.push_back(object);
  }
  for (const auto& object : objects) dirty_.erase(object);
  run(objects, {.accept_older = stale_failures_ >= kAcceptOlderAfter}, [this](const Outcome& outcome) {
    running_ = false;
    if (outcome.unfinished.empty()) {
      failures_ = stale_failures_ = 0;
      return wake();
    }
    if (outcome.stale) ++stale_failures_;
    if (failures_++ == 0) {
      context_.log.warning("neutron.repair_failed", "Changes wait to be written to etcd",
                           {{"objects", dirty_.size() + outcome.unfinished.size()}, {"reason", outcome.reason}});
    }
    add(outcome.unfinished);
  });
}

void Repairs::run(const std::vector<ObjectId>& objects, ExchangeOptions options, std::function<void(Outcome)> done) {
  auto run = std::make_shared<Run>();
  run->options = options;
  run->done = std::move(done);
  step(run, Exchanger::first_message(objects));
}

void Repairs::step(const std::shared_ptr<Run>& run, const json::object& message) {
  exchanger_.step(message, run->options, [this, run](ExchangeReply reply) { replied(run, std::move(reply)); });
}

void Repairs::replied(const std::shared_ptr<Run>& run, ExchangeReply reply) {
  Outcome& outcome = run->outcome;
  outcome.written += reply.written;
  outcome.stale |= reply.stale;
  outcome.unfinished.insert(outcome.unfinished.end(), reply.unfinished.begin(), reply.unfinished.end());
  if (!reply.reason.empty()) outcome.reason = std::move(reply.reason);
  if (reply.kind != ExchangeReply::Kind::kRead) return run->done(std::move(outcome));
  run->message = std::move(reply.message["continue"].as_object());
  run->specs = std::move(reply.message["read"].as_array());
  run->data.clear();
  read_next(run);
}

void Repairs::read_next(const std::shared_ptr<Run>& run) {
  if (run->data.size() == run->specs.size()) {
    run->message["data"] = std::move(run->data);
    return step(run, run->message);
  }
  json::object call{{"call", "list"}, {"spec", run->specs[run->data.size()]}};
  work_.call(std::move(call), [this, run](base::Result<json::value> answer) {
    if (answer) {
      run->data.push_back(*std::move(answer));
      return read_next(run);
    }
    run->outcome.reason = answer.error().text();
    for (const auto& item : list(run->message, "changed")) {
      const auto kind = parse_kind(text(item.as_object(), "kind"));
      if (kind) run->outcome.unfinished.push_back({*kind, std::string(text(item.as_object(), "id"))});
    }
    run->done(std::move(run->outcome));
  });
}

}  // namespace neutron
