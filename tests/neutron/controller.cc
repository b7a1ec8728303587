#include "controller.h"

#include <algorithm>
#include <utility>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace neutron_test {

using namespace std::chrono_literals;

// The loop of one process: what it still had to do when it died is not done.
class Controller::GateLoop final : public base::Loop {
 public:
  GateLoop(testing::SimLoop& inner, Alive alive) : inner_(inner), alive_(std::move(alive)) {}

  base::Instant now() const override { return inner_.now(); }
  base::WallTime wall() const override { return inner_.wall(); }
  void post(Task task) override { inner_.post(gated(std::move(task))); }
  base::TimerId after(base::Duration delay, Task task) override { return inner_.after(delay, gated(std::move(task))); }
  void cancel(base::TimerId timer) override { inner_.cancel(timer); }
  base::WatchId watch_readable(int fd, Task ready) override { return inner_.watch_readable(fd, std::move(ready)); }
  void unwatch(base::WatchId watch) override { inner_.unwatch(watch); }

 private:
  Task gated(Task task) {
    return [alive = alive_, task = std::move(task)] {
      if (*alive) task();
    };
  }

  testing::SimLoop& inner_;
  Alive alive_;
};

struct Controller::Hook {
  RandomCloud::State committed;  // what the database had at the commit
};

void Controller::start() {
  alive_ = std::make_shared<bool>(true);
  pid_ = ++around_.last_pid;
  around_.running.push_back(pid_);
  loops_.push_back(std::make_unique<GateLoop>(around_.loop, alive_));
  stores_.push_back(std::make_unique<ShakyStore>(around_.store, around_.loop, around_.rng, around_.faults, alive_));
  neutron::Context context{.loop = *loops_.back(),
                           .store = *stores_.back(),
                           .log = log_,
                           .region = *neutron::Region::make(""),
                           .request = {},
                           .fresh_uid = [this] { return name_ + std::to_string(++last_uid_); },
                           .port = {}};
  neutron::BridgeSettings settings;
  settings.version = "test";
  settings.resync_interval = around_.faults.periodic ? 1s : 0s;
  settings.election = {
      .name = name_,
      .pid = pid_,
      .process_exists = [this](int pid) { return std::ranges::find(around_.running, pid) != around_.running.end(); },
      .jitter = [] { return 0.5; }};
  metrics_ = std::make_unique<base::MetricRegistry>();
  bridge_ = std::make_unique<neutron::Bridge>(std::move(context), std::move(settings), *metrics_);
  bridge_->start({});
  for (neutron::ConnectionId connection = 1; connection <= 2; ++connection) poll(connection, {{"worker", name_}});
}

void Controller::kill() {
  *alive_ = false;
  bridge_.reset();
  std::erase(around_.running, pid_);
  for (const auto& [number, lost] : std::exchange(inside_, {})) lost();
}

base::Duration Controller::delay() {
  // Mostly short; sometimes so long that many other hooks overtake.
  const base::Duration most = around_.rng.one_in(5) ? 60ms : 5ms;
  return base::Duration(static_cast<std::int64_t>(around_.rng.below(static_cast<std::uint64_t>(most.count()))));
}

void Controller::request(neutron::ConnectionId connection, std::string path, const json::object& body, Reply reply,
                         std::function<void()> lost) {
  around_.loop.after(delay(), [this, connection, path = std::move(path), text = json::serialize(body),
                               reply = std::move(reply), lost = std::move(lost)] {
    if (!running()) return lost();
    const std::uint64_t number = ++last_request_;
    inside_.emplace(number, lost);
    bridge_->handle({.connection = connection, .method = "POST", .path = path, .body = text},
                    [this, number, reply](const neutron::HttpReply& answer) {
                      if (inside_.erase(number) == 0) return;  // its caller has seen the connection break
                      around_.loop.after(delay(), [reply, answer] { reply(answer.status, answer.body); });
                    });
  });
}

// --- The shim's hooks ---

void Controller::hook(const std::string& kind, const std::string& id) {
  if (around_.faults.lost_calls && around_.rng.one_in(8)) return;
  ++hooks_open_;
  json::object changed{{"kind", kind}, {"id", id}};
  if (around_.rng.one_in(4)) changed["dependants"] = true;
  step(std::make_shared<Hook>(Hook{around_.cloud.state()}), {{"changed", json::array{std::move(changed)}}});
}

void Controller::step(const std::shared_ptr<Hook>& hook, json::object message) {
  request(
      100, "/v1/changed", message,
      [this, hook](unsigned status, const std::string& body) { answered(hook, status, body); },
      [this] { --hooks_open_; });
}

void Controller::answered(const std::shared_ptr<Hook>& hook, unsigned status, const std::string& body) {
  if (status >= 300 && complaint_.empty()) complaint_ = "a hook was answered " + body;
  json::object message = json::parse(body).as_object();
  const bool dies = around_.faults.lost_calls && around_.rng.one_in(20);
  if (status >= 300 || dies || message.at("result") != "read") {
    --hooks_open_;
    return;
  }
  json::array data;
  for (const auto& spec : message.at("read").as_array()) {
    const bool early = around_.faults.without == Without::kReadAfterAsking;
    data.push_back(early ? hook->committed->read(spec.as_object()) : read(spec.as_object()));
  }
  json::object next = std::move(message.at("continue").as_object());
  next["data"] = std::move(data);
  step(hook, std::move(next));
}

// --- The worker ---

void Controller::poll(neutron::ConnectionId connection, json::object message) {
  request(
      connection, "/v1/work", message,
      [this, connection](unsigned status, const std::string& body) {
        if (status == 200) return work(connection, json::parse(body).as_object());
        poll(connection, {{"worker", name_}});
      },
      [] {});  // start() polls anew
}

void Controller::work(neutron::ConnectionId connection, const json::object& call) {
  json::object message{{"worker", name_}, {"id", call.at("id")}};
  if (around_.faults.worker_errors && around_.rng.one_in(30)) {
    message["error"] = json::object{{"message", "deadlock"}};
  } else {
    message["result"] =
        call.at("call") == "list" ? read_for_bridge(call.at("spec").as_object()) : json::value(json::object{});
  }
  poll(connection, std::move(message));
}

json::value Controller::read(const json::object& spec) {
  base::Instant then = around_.loop.now();
  if (around_.faults.lag.count() > 0 && around_.rng.one_in(2)) {
    then -= base::Duration(
        static_cast<std::int64_t>(around_.rng.below(static_cast<std::uint64_t>(around_.faults.lag.count()))));
  }
  return around_.cloud.state(then)->read(spec);
}

json::value Controller::read_for_bridge(const json::object& spec) {
  if (around_.faults.without != Without::kReRead) return read(spec);
  if (!spec.contains("ids")) page_state_ = around_.cloud.state();
  return (page_state_ ? page_state_ : around_.cloud.state())->read(spec);
}

// --- What a test asks ---

void Controller::resync(bool dry_run, std::function<void(const json::object& result)> done) {
  request(
      200, "/v1/resync", {{"dry_run", dry_run}},
      [done = std::move(done)](unsigned, const std::string& body) { done(json::parse(body).as_object()); }, [] {});
}

json::object Controller::status() {
  json::object answer;
  bridge_->handle({.connection = 201, .method = "GET", .path = "/v1/status", .body = {}},
                  [&](const neutron::HttpReply& reply) { answer = json::parse(reply.body).as_object(); });
  return answer;
}

}  // namespace neutron_test
