// percaled: the node agent. This file is the table of contents: what exists from start to end, and in which order.
//
//   1 command line, early log           4 Startup: file, environment, store, resources, until the datastore is ready
//   2 signals, health, HTTP             5 the configured log, metrics server
//   3 main loop                         6 Running: threads and mailboxes (running.h)
//
// Leaving: shutdown.h. The kernel's state, the status keys, and BIRD stay as they are.
#include <unistd.h>
#include <csignal>
#include <cstdio>

#include "agent/http_server.h"
#include "agent/options.h"
#include "agent/process_metrics.h"
#include "agent/redirect_log.h"
#include "agent/running.h"
#include "agent/settings_map.h"
#include "agent/shutdown.h"
#include "agent/startup.h"
#include "os/event_loop.h"
#include "os/log.h"
#include "os/memory.h"
#include "os/notify.h"
#include "os/signals.h"

namespace agent {
namespace {

using P = config::Parameter;

// A thread that does not stop in time must not keep a dead agent's place.
constexpr unsigned kLeaveWithinSeconds = 5;

class Percaled {
 public:
  Percaled(Options options, config::Environment environment, std::unique_ptr<os::Log> early_log)
      : options_(std::move(options)), environment_(std::move(environment)), early_log_(std::move(early_log)) {}

  int run() {
    log_.info("agent.start", "Percale's node agent starts", {{"version", PERCALE_VERSION}});
    health_.add(std::string(kStartupReporter), {}, base::Duration(0));
    startup_ = std::make_unique<Startup>(
        loop_, log_, health_,
        Startup::Ports{.load_local = [this] { return load_local(); },
                       .open_store = [this](const auto& settings) { return open_store(settings); },
                       .local_known = [this](const auto& resolved) { serve_health(resolved); }},
        [this](StartupResult result) { started(std::move(result)); });
    startup_->start();
    loop_.run();
    ::alarm(kLeaveWithinSeconds);
    running_.reset();
    startup_.reset();
    return exit_status_;
  }

 private:
  base::Result<LocalConfig> load_local() { return load_local_config(options_.config_file, environment_, host_probe()); }

  base::Result<std::unique_ptr<store::Store>> open_store(const config::DatastoreSettings& settings) {
    return store::open_store(connection_settings(settings), log_, metrics_);
  }

  void serve_health(const config::Resolved& resolved) {
    if (!resolved.flag(P::kHealthEnabled)) return;
    http_.serve("health", resolved.text(P::kHealthHost), static_cast<std::uint16_t>(resolved.integer(P::kHealthPort)),
                [this](std::string_view path) {
                  if (path != "/liveness" && path != "/readiness")
                    return HttpReply{.status = 404, .body = "not here\n"};
                  const HealthSummary summary = health_.summary();
                  const bool good = path == "/liveness" ? summary.live : summary.ready;
                  return HttpReply{.status = good ? 200u : 503u, .body = summary.table};
                });
  }

  void serve_metrics(const config::Resolved& resolved) {
    if (!resolved.flag(P::kPrometheusMetricsEnabled)) return;
    const bool process = resolved.flag(P::kPrometheusProcessMetricsEnabled);
    http_.serve(
        "metrics", resolved.text(P::kPrometheusMetricsHost),
        static_cast<std::uint16_t>(resolved.integer(P::kPrometheusMetricsPort)),
        [this, process](std::string_view path) {
          if (path != "/metrics") return HttpReply{.status = 404, .body = "not here; see /metrics\n"};
          return HttpReply{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                           .body = metrics_.text() + (process ? process_metrics() : "")};
        },
        metrics_tls(resolved));
  }

  // Called by Startup, so it is destroyed only afterwards.
  void started(StartupResult result) {
    loop_.post([this] { startup_.reset(); });
    const config::Resolved& resolved = result.configuration.resolved;
    auto configured = os::Log::open(log_settings(resolved), &metrics_);
    if (!configured) return shutdown_.request(ShutdownCause::kFatal, configured.error().text());
    log_.redirect(**configured);
    log_sink_ = *std::move(configured);
    log_diagnostics(log_, result.configuration.diagnostics);
    log_configuration(resolved, *result.store);

    serve_health(resolved);
    serve_metrics(resolved);
    health_.set_overrides(resolved.durations(P::kHealthTimeoutOverrides));
    metrics_.gauge("felix_host", "Carries the name of this node.", {{"host", resolved.text(P::kFelixHostname)}}).set(1);

    auto running = Running::create(
        {log_, metrics_, health_, started_at_,
         [this](ShutdownCause cause, std::string reason) { shutdown_.request(cause, std::move(reason)); },
         [this] { loop_.post([this] { first_turn(); }); }},
        std::move(result));
    if (!running) return shutdown_.request(ShutdownCause::kFatal, running.error().text());
    running_ = *std::move(running);
    running_->start();
    health_.report(std::string(kStartupReporter), true, true);
  }

  void log_configuration(const config::Resolved& resolved, const store::Store& store) {
    log_.info("config.datastore", "Using " + store.describe(), {{"node", resolved.text(P::kFelixHostname)}});
    for (const config::ParameterInfo& parameter : config::all_parameters()) {
      const config::Source source = resolved.source(parameter.id);
      if (source == config::Source::kDefault) continue;
      log_.info("config.value", std::string(parameter.name),
                {{"value", resolved.printed(parameter.id)}, {"source", label(source)}});
    }
  }

  void first_turn() {
    if (auto told = os::notify_ready(); !told) log_.warning("agent.notify", told.error().text());
    if (const auto period = os::watchdog_period()) keep_watchdog(*period / 2);
  }

  // systemd restarts the unit when this stops, which it does when any thread has stopped reporting.
  void keep_watchdog(base::Duration period) {
    if (health_.summary().live) (void)os::notify_watchdog();
    loop_.after(period, [this, period] { keep_watchdog(period); });
  }

  void leave(int status) {
    exit_status_ = status;
    loop_.stop();
  }

  const Options options_;
  const config::Environment environment_;
  std::unique_ptr<os::Log>
      early_log_;  // to the screen, until the configuration is known; stays, as redirect_log.h demands
  std::unique_ptr<os::Log> log_sink_;
  RedirectLog log_{*early_log_};
  base::MetricRegistry metrics_;
  os::EventLoop loop_;
  const base::Instant started_at_ = loop_.now();
  HealthAggregator health_{loop_};
  Shutdown shutdown_{loop_, log_, [] { (void)os::notify_stopping(); }, [this](int status) { leave(status); }};
  // Before the first thread: all inherit the blocked signals.
  os::SignalWatch signals_{loop_, {SIGTERM, SIGINT, SIGHUP}, [this](int number) { shutdown_.signal(number); }};
  HttpServer http_{log_};
  int exit_status_ = kExitFailure;
  std::unique_ptr<Startup> startup_;
  std::unique_ptr<Running> running_;
};

int run(int argc, char** argv) noexcept {
  const ParsedOptions parsed = parse_options(argc, argv);
  if (parsed.exit_status) return *parsed.exit_status;
  if (parsed.options.version) {
    std::printf("percaled %s\n", PERCALE_VERSION);
    return 0;
  }
  config::Environment environment = process_environment();
  if (parsed.options.check_config) {
    std::string out;
    const int status = check_config(parsed.options.config_file, std::move(environment), out);
    std::fputs(out.c_str(), stdout);
    return status;
  }
  os::return_freed_memory();
  os::ignore_sigpipe();
  os::LogSettings early;
  early.screen = config::early_log_level(environment);
  auto log = os::Log::open(early);
  if (!log) {
    std::fprintf(stderr, "percaled: %s\n", log.error().text().c_str());
    return kExitFailure;
  }
  Percaled percaled(parsed.options, std::move(environment), *std::move(log));
  return percaled.run();
}

}  // namespace
}  // namespace agent

int main(int argc, char** argv) { return agent::run(argc, argv); }
