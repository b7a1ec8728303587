#include "neutron/bridge.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <utility>

#include "neutron/translate/check.h"
#include "neutron/translate/cluster.h"

namespace neutron {
namespace {

// An answer of etcd this fresh need not be asked for again before a commit.
constexpr base::Duration kFresh = std::chrono::seconds(1);
constexpr base::Duration kProbe = std::chrono::seconds(2);
constexpr base::Duration kRetryResync = std::chrono::seconds(10);  // after one that failed
constexpr std::size_t kMostWaitingResyncs = 8;
constexpr std::size_t kDeepest = 32;  // of JSON: Neutron's objects need five

HttpReply json_reply(unsigned status, const json::object& body) {
  return {.status = status, .body = json::serialize(body)};
}

base::Result<json::value> parse_body(const std::string& body) {
  json::parse_options options;
  options.max_depth = kDeepest;
  boost::system::error_code error;
  json::value value = json::parse(body.empty() ? json::string_view("{}") : json::string_view(body), error, {}, options);
  if (error) return base::fail(base::Error::invalid("the body is no JSON: " + error.message()));
  if (!value.is_object()) return base::fail(base::Error::invalid("the body must be a JSON object"));
  return value;
}

}  // namespace

Bridge::Bridge(Context context, BridgeSettings settings, base::MetricRegistry& metrics)
    : context_(std::move(context)),
      settings_(std::move(settings)),
      metrics_(metrics),
      mirror_(context_),
      writer_(context_, mirror_),
      exchanger_(context_, mirror_, writer_),
      work_(context_),
      repairs_(context_, exchanger_, work_),
      statuses_(context_, mirror_, work_),
      resync_(context_, mirror_, repairs_, work_,
              {.port_status =
                   [this](const std::string& port, std::string_view status, bool has_endpoint) {
                     return election_.leader() && statuses_.compare(port, status, has_endpoint);
                   }}),
      election_(context_, mirror_, settings_.election, [this](bool leader) { lead(leader); }),
      compaction_(context_, settings_.compaction),
      sweeper_(context_),
      resyncs_(metrics.counter("percale_neutron_resyncs_total", "Resyncs completed.")),
      resync_failures_(metrics.counter("percale_neutron_resync_failures_total", "Resyncs of which a part failed.")),
      changes_(metrics.counter("percale_neutron_changes_total", "Requests about changed objects, all rounds.")),
      refused_(metrics.counter("percale_neutron_refused_total", "API requests refused before their commit.")),
      deferred_(metrics.counter("percale_neutron_deferred_total", "Changes left to be repaired.")),
      written_(metrics.counter("percale_neutron_keys_written_total", "Keys written or removed for changes.")),
      leader_gauge_(metrics.gauge("percale_neutron_leader", "1 while this bridge leads its region.")),
      dirty_gauge_(metrics.gauge("percale_neutron_dirty", "Objects waiting for a repair.")),
      resync_seconds_(metrics.gauge("percale_neutron_resync_seconds", "How long the last resync took.")) {}

void Bridge::start(std::function<void()> loaded) {
  loaded_ = std::move(loaded);
  mirror_.start({.changed = [this](const std::string& key) { mirror_changed(key); },
                 .loaded =
                     [this] {
                       take_spoofing();
                       if (loaded_) std::exchange(loaded_, nullptr)();
                       repairs_.wake();
                       election_.wake();
                     },
                 .connection =
                     [this](bool connected) {
                       if (connected) repairs_.wake();
                     }});
  work_.on_worker([this] {
    repairs_.wake();
    statuses_.wake();
    if (election_.leader() && !started_resync_done_) schedule_resync(base::Duration(0));
  });
  exchanger_.on_late([this](const std::vector<ObjectId>& ports) { repairs_.add(ports); });
  election_.start();
}

void Bridge::stop(std::function<void()> done) { election_.stop(std::move(done)); }

void Bridge::mirror_changed(const std::string& key) {
  if (key == context_.region.election_key()) return election_.wake();
  if (key == kFelixConfigurationKey) return take_spoofing();
  if (election_.leader()) statuses_.endpoint_changed(key);
}

void Bridge::take_spoofing() {
  const Mirror::Entry* entry = mirror_.find(std::string(kFelixConfigurationKey));
  context_.port.spoofing_allowed = entry != nullptr && allows_spoofing(entry->value);
}

// --- Leadership and resync ---

void Bridge::lead(bool leader) {
  leader_gauge_.set(leader ? 1 : 0);
  compaction_.lead(leader);
  sweeper_.lead(leader);
  statuses_.lead(leader);
  started_resync_done_ = false;
  last_completed_ = context_.loop.now();
  context_.loop.cancel(resync_timer_);
  context_.loop.cancel(monitor_timer_);
  if (!leader) return;
  // Agents wait for these, and they need no Neutron.
  resync_.write_defaults([this](const base::Result<>& done) {
    if (!done) context_.log.error("neutron.defaults", done.error().text());
  });
  monitor_timer_ = context_.loop.after(settings_.resync_max_interval, [this] { monitor(); });
  schedule_resync(base::Duration(0));
}

void Bridge::schedule_resync(base::Duration delay) {
  context_.loop.cancel(resync_timer_);
  resync_timer_ = context_.loop.after(delay, [this] {
    if (!election_.leader()) return;
    if (resync_.running()) {
      resync_missed_ = true;
      return;
    }
    if (work_.workers() == 0) return schedule_resync(kRetryResync);  // the first worker hastens it
    start_resync({.dry_run = false, .trigger = started_resync_done_ ? "period" : "start"}, {});
  });
}

void Bridge::start_resync(ResyncOptions options, std::function<void(const json::object&)> done) {
  resync_.start(std::move(options), [this, done = std::move(done)](const json::object& result) {
    if (done) done(result);
    resync_done(result);
  });
}

void Bridge::resync_done(const json::object& result) {
  const bool ok = result.at("ok").as_bool();
  last_result_ = result;
  if (!result.at("dry_run").as_bool()) {
    resyncs_.add();
    if (!ok) resync_failures_.add();
    resync_seconds_.set(static_cast<double>(result.at("total_ms").as_int64()) / 1000.0);
    if (ok) last_completed_ = context_.loop.now();
    started_resync_done_ |= ok;
  }
  json::object summary = result;
  summary.erase("differences");
  summary.erase("warnings");
  if (ok)
    context_.log.info("neutron.resync", "Resync done", {{"result", json::serialize(summary)}});
  else
    context_.log.error("neutron.resync_failed", "Resync failed", {{"result", json::serialize(summary)}});
  // Before whoever waits has his turn: a dry run schedules nothing.
  if (election_.leader()) schedule_next(result.at("dry_run").as_bool());
  if (waiting_resyncs_.empty()) return;
  auto [options, respond] = std::move(waiting_resyncs_.front());
  waiting_resyncs_.pop_front();
  start_resync(std::move(options),
               [respond = std::move(respond)](const json::object& r) { respond(json_reply(200, r)); });
}

void Bridge::schedule_next(bool after_dry_run) {
  // A dry run is no reason to wait longer for the next real one.
  if (const bool missed = std::exchange(resync_missed_, false); after_dry_run) {
    if (missed) schedule_resync(base::Duration(0));
    return;
  }
  if (!started_resync_done_) return schedule_resync(kRetryResync);
  if (settings_.resync_interval.count() > 0) schedule_resync(settings_.resync_interval);
}

void Bridge::monitor() {
  const base::Duration age = context_.loop.now() - last_completed_;
  if (settings_.resync_interval.count() > 0 && age >= settings_.resync_max_interval) {
    context_.log.error("neutron.resync_overdue", "No resync has completed for too long",
                       {{"seconds", std::chrono::duration_cast<std::chrono::seconds>(age).count()}});
  }
  monitor_timer_ = context_.loop.after(settings_.resync_max_interval / 5, [this] { monitor(); });
}

// --- Requests ---

void Bridge::handle(HttpRequest request, HttpRespond respond) {
  const bool get = request.method == "GET" || request.method == "HEAD";
  if (get && request.path == "/v1/status") return respond(json_reply(200, status()));
  if (get && request.path == "/metrics") {
    dirty_gauge_.set(static_cast<double>(repairs_.size()));
    return respond({.status = 200, .body = metrics_.text(), .content_type = "text/plain; version=0.0.4"});
  }
  if (get && request.path == "/v1/resync") {
    if (last_result_.empty()) return respond(error_reply(404, "not_found", "no resync has ended yet"));
    return respond(json_reply(200, last_result_));
  }
  const bool known = request.path == "/v1/check" || request.path == "/v1/changed" || request.path == "/v1/work" ||
                     request.path == "/v1/resync" || request.path == "/v1/status" || request.path == "/metrics";
  if (!known) return respond(error_reply(404, "not_found", "there is nothing at " + request.path));
  if (request.method != "POST") return respond(error_reply(405, "invalid", "wrong method for " + request.path));
  auto message = parse_body(request.body);
  if (!message) return respond(error_reply(400, "invalid", message.error().text()));
  if (request.path == "/v1/check") return check(*message, respond);
  if (request.path == "/v1/changed") return changed(*message, respond);
  if (request.path == "/v1/work") return work_.poll(request, *std::move(message), std::move(respond));
  if (request.path == "/v1/resync") return resync_request(*message, respond);
  respond(error_reply(405, "invalid", "wrong method for " + request.path));
}

void Bridge::check(const json::value& message, const HttpRespond& respond) {
  const json::object& body = message.get_object();
  const json::value* object = member(body, "object");
  if (object == nullptr || !object->is_object()) {
    return respond(error_reply(400, "invalid", "'object' must be an object"));
  }
  const json::value* original = member(body, "original");
  const auto refusal =
      check_request({.operation = text(body, "operation"),
                     .kind = text(body, "kind"),
                     .object = object->get_object(),
                     .original = original != nullptr && original->is_object() ? &original->get_object() : nullptr},
                    context_.port);
  if (refusal) {
    refused_.add();
    return respond(error_reply(400, "invalid", refusal->message, refusal->attribute));
  }
  etcd_answers([respond](const std::string& problem) {
    if (problem.empty()) return respond({.status = 200, .body = "{}"});
    respond(error_reply(503, "unavailable", "networking's datastore cannot be reached: " + problem));
  });
}

void Bridge::etcd_answers(const std::function<void(std::string problem)>& done) {
  if (!mirror_.connected()) return done(mirror_.problem());
  if (context_.loop.now() - etcd_answered_ < kFresh && etcd_answered_ != base::Instant{}) return done("");
  store::RequestOptions options = context_.request;
  options.timeout = kProbe;
  context_.store.read({.key = context_.region.election_key(), .range_end = {}, .keys_only = true}, options,
                      context_.loop, [this, done](const base::Result<store::ReadReply>& reply) {
                        if (!reply) return done(reply.error().text());
                        mirror_.note(reply->revision);
                        etcd_answered_ = context_.loop.now();
                        done("");
                      });
}

void Bridge::changed(const json::value& message, const HttpRespond& respond) {
  changes_.add();
  exchanger_.step(message.get_object(), {}, [this, respond](ExchangeReply reply) {
    written_.add(reply.written);
    deferred_.add(reply.unfinished.size());
    repairs_.add(reply.unfinished);
    switch (reply.kind) {
      case ExchangeReply::Kind::kRead: return respond(json_reply(200, reply.message));
      case ExchangeReply::Kind::kDone: return respond(json_reply(200, {{"result", "done"}}));
      case ExchangeReply::Kind::kDeferred:
        return respond(json_reply(202, {{"result", "deferred"}, {"reason", reply.reason}}));
      case ExchangeReply::Kind::kBad: return respond(error_reply(400, "invalid", reply.reason));
    }
  });
}

void Bridge::resync_request(const json::value& message, const HttpRespond& respond) {
  ResyncOptions options{.dry_run = flag(message.get_object(), "dry_run", false), .trigger = "request"};
  if (!resync_.running()) {
    return start_resync(std::move(options),
                        [respond](const json::object& result) { respond(json_reply(200, result)); });
  }
  if (waiting_resyncs_.size() >= kMostWaitingResyncs) {
    return respond(error_reply(409, "conflict", "too many resyncs are waiting already"));
  }
  waiting_resyncs_.emplace_back(std::move(options), respond);
}

json::object Bridge::status() const {
  json::object etcd{{"connected", mirror_.connected()}, {"peer", mirror_.peer()}};
  etcd["error"] = mirror_.problem().empty() ? json::value(nullptr) : json::value(mirror_.problem());
  json::object result{{"version", settings_.version}, {"etcd", std::move(etcd)},    {"ready", mirror_.ready()},
                      {"leader", election_.leader()}, {"workers", work_.workers()}, {"dirty", repairs_.size()}};
  json::value last;
  if (!last_result_.empty()) {
    json::object summary = last_result_;
    summary.erase("differences");
    last = std::move(summary);
  }
  result["last_resync"] = std::move(last);
  return result;
}

}  // namespace neutron
