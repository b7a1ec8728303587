// One configuration at a time goes through: render, stage, check, install, configure. Changes that arrive on the way
// set dirty_ and start the next round when this one ends, so a slow daemon is never asked twice at once.
#include "bgp/runtime/bird_runner.h"

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/strings.h"
#include "os/files.h"

namespace bgp {
namespace {

using base::Error;
using base::fail;
using base::Result;

constexpr mode_t kConfigMode = 0640;  // passwords are inside
constexpr base::Duration kReconfigurationPoll = std::chrono::milliseconds(200);
constexpr std::size_t kMaxSecretBytes = 4096;

std::string last_text(const Reply& reply) { return reply.empty() ? std::string() : reply.back().text; }

// BIRD's messages quote the place, not the text, of an error, except for an unknown word; none of them can be a
// password, because a password only ever stands between checked quotes.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

// Reads /etc/group itself: getgrnam() would need shared libraries of the very glibc that a static program was linked
// with.
std::optional<gid_t> find_group(std::string_view name) {
  const auto text = os::read_file("/etc/group");
  if (!text) return std::nullopt;
  for (const std::string_view line : base::split(*text, '\n')) {
    const auto fields = base::split(line, ':');  // name:password:gid:members
    gid_t gid = 0;
    if (fields.size() < 3 || fields[0] != name) continue;
    if (std::from_chars(fields[2].data(), fields[2].data() + fields[2].size(), gid).ec == std::errc()) return gid;
  }
  return std::nullopt;
}

Result<> give_to_group(const std::string& path, const std::string& group) {
  const auto gid = group.empty() || ::geteuid() != 0 ? std::nullopt : find_group(group);
  if (gid && ::chown(path.c_str(), 0, *gid) != 0) return fail(Error::system(errno, fmt::format("chown {}", path)));
  return {};
}

Result<> rename_file(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) return fail(Error::system(errno, fmt::format("rename {}", to)));
  return {};
}

std::string staged_path(const RunnerOptions& options) { return options.config_path + ".new"; }
std::string last_good_path(const RunnerOptions& options) { return options.config_path + ".last-good"; }

}  // namespace

BirdRunner::BirdRunner(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings,
                       RunnerOptions options)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      state_(std::move(settings)),
      control_(loop, options_.socket_path) {
  renders_ = metrics.counter("percale_bgp_renders_total", "BIRD configurations rendered");
  applied_ = metrics.counter("percale_bgp_configurations_applied_total", "BIRD configurations put in force");
  refusals_ = metrics.counter("percale_bgp_configurations_refused_total", "BIRD configurations that were refused");
  established_ = metrics.gauge("percale_bgp_sessions_established", "Calico BGP sessions in state Established");
  configured_sessions_ =
      metrics.gauge("percale_bgp_sessions_configured", "Calico BGP sessions in BIRD's configuration");
  daemon_up_ = metrics.gauge("percale_bgp_daemon_up", "1 if BIRD answers on its control socket");
  poll_timer_ = loop_.after(base::Duration::zero(), [this] { poll(); });
}

BirdRunner::~BirdRunner() {
  for (const base::TimerId timer : {render_timer_, retry_timer_, poll_timer_}) loop_.cancel(timer);
}

void BirdRunner::resync() {
  in_sync_ = false;
  state_.clear();
}

void BirdRunner::apply(const model::Update& update) {
  if (state_.apply(update) && in_sync_) schedule(options_.quiet);
}

void BirdRunner::in_sync() {
  in_sync_ = true;
  schedule(base::Duration::zero());
}

void BirdRunner::schedule(base::Duration delay) {
  const base::Instant now = loop_.now();
  if (!waiting_) first_change_ = now;
  waiting_ = true;
  loop_.cancel(render_timer_);
  const base::Duration limit = first_change_ + options_.longest_wait - now;
  render_timer_ = loop_.after(std::min(delay, std::max(limit, base::Duration::zero())), [this] {
    waiting_ = false;
    render();
  });
}

void BirdRunner::render() {
  if (!in_sync_) return;
  if (step_ != Step::kIdle) {
    dirty_ = true;
    return;
  }
  read_secrets();
  Generated generated = generate(state_.inputs());
  renders_.add();
  Diagnostics all = state_.diagnostics();
  all.insert(all.end(), generated.diagnostics.begin(), generated.diagnostics.end());
  report(all);
  if (generated.text == accepted_) return;
  wanted_ = std::move(generated.text);
  stage();
}

void BirdRunner::read_secrets() {
  std::map<SecretRef, std::string> secrets;
  for (const SecretRef& ref : state_.referenced_secrets()) {
    auto text = os::read_file(fmt::format("{}/{}/{}", options_.secret_directory, ref.name, ref.key), kMaxSecretBytes);
    if (!text) continue;  // the generator reports it
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    secrets[ref] = std::move(*text);
  }
  state_.set_secrets(std::move(secrets));
}

void BirdRunner::report(const Diagnostics& diagnostics) {
  for (const model::Diagnostic& diagnostic : diagnostics) {
    if (std::ranges::find(reported_, diagnostic) != reported_.end()) continue;
    log_.warning("bgp.bad_resource", diagnostic.text, {{"object", diagnostic.object}, {"field", diagnostic.field}});
  }
  reported_ = diagnostics;
}

Result<> BirdRunner::write_staged(const std::string& text) {
  const std::string path = staged_path(options_);
  if (auto made = os::make_directories(path.substr(0, path.rfind('/')), 0750); !made) return made;
  if (auto written = os::write_file_atomic(path, text, kConfigMode); !written) return written;
  return give_to_group(path, options_.group);
}

void BirdRunner::stage() {
  loop_.cancel(retry_timer_);
  // An agent that restarts finds the file it wrote: nothing to write, but the daemon may not have read it.
  if (auto live = os::read_file(options_.config_path); live && *live == wanted_) {
    step_ = Step::kApplying;
    return configure();
  }
  step_ = Step::kChecking;
  if (auto written = write_staged(wanted_); !written) return refused(written.error().text());
  check_by_daemon();
}

void BirdRunner::check_by_daemon() {
  control_.command(fmt::format("configure check \"{}\"", staged_path(options_)), [this](const Result<Reply>& result) {
    if (!result) return check_by_program();
    if (result->back().code == reply_code::kConfigurationGood) return install();
    refused(last_text(*result));
  });
}

void BirdRunner::check_by_program() {
  os::Command command;
  command.arguments = {options_.program, "-p", "-c", staged_path(options_)};
  command.timeout = std::chrono::seconds(20);
  auto started = os::Process::start(loop_, std::move(command), [this](const os::Outcome& outcome) {
    const auto finished = std::exchange(checker_, nullptr);
    if (outcome.ok()) return install();
    refused(outcome.errors.empty() ? outcome.describe() : first_line(outcome.errors));
  });
  if (!started) return refused(started.error().text());
  checker_ = std::move(*started);
}

void BirdRunner::install() {
  step_ = Step::kApplying;
  if (os::file_exists(options_.config_path)) {
    const std::string keep = last_good_path(options_);
    ::unlink(keep.c_str());
    if (::link(options_.config_path.c_str(), keep.c_str()) != 0) {
      log_.warning("bgp.no_last_good", "cannot keep the former BIRD configuration",
                   {{"path", keep}, {"error", Error::system(errno, "link").text()}});
    }
  }
  if (auto moved = rename_file(staged_path(options_), options_.config_path); !moved)
    return refused(moved.error().text());
  configure();
}

void BirdRunner::configure() {
  control_.command("configure", [this](const Result<Reply>& result) { configured(result); });
}

void BirdRunner::configured(const Result<Reply>& result) {
  if (!result) return accepted("BIRD is not running and will read it when it starts");
  switch (result->back().code) {
    case reply_code::kReconfigured:
    case reply_code::kNothingToDo: return accepted("in force");
    case reply_code::kReconfigurationInProgress:
    case reply_code::kReconfigurationQueued: return wait_until_running();
    case reply_code::kShuttingDown: return accepted("BIRD is shutting down and will read it when it starts");
    default: break;
  }
  const std::string keep = last_good_path(options_);
  if (os::file_exists(keep)) {
    if (auto moved = rename_file(keep, options_.config_path); !moved) {
      log_.error("bgp.no_roll_back", "cannot restore the former BIRD configuration", {{"error", moved.error().text()}});
    }
  }
  refused(last_text(*result));
}

void BirdRunner::wait_until_running() {
  retry_timer_ = loop_.after(kReconfigurationPoll, [this] {
    control_.command("show status", [this](const Result<Reply>& result) {
      if (!result || parse_status(*result).running) return accepted("in force");
      wait_until_running();
    });
  });
}

void BirdRunner::accepted(std::string_view how) {
  accepted_ = std::move(wanted_);
  wanted_.clear();
  step_ = Step::kIdle;
  status_.configuration_error.clear();
  applied_.add();
  log_.info("bgp.configured", "new BIRD configuration", {{"path", options_.config_path}, {"result", how}});
  loop_.cancel(poll_timer_);
  poll_timer_ = loop_.after(base::Duration::zero(), [this] { poll(); });
  if (std::exchange(dirty_, false)) schedule(options_.quiet);
}

void BirdRunner::refused(std::string reason) {
  wanted_.clear();
  step_ = Step::kIdle;
  refusals_.add();
  log_.error("bgp.configuration_refused", "BIRD keeps its former configuration", {{"reason", reason}});
  status_.configuration_error = std::move(reason);
  (void)os::remove_file(staged_path(options_));
  if (!os::file_exists(options_.config_path)) install_minimal();
  if (std::exchange(dirty_, false)) return schedule(options_.quiet);
  retry_timer_ = loop_.after(options_.retry, [this] { render(); });
}

// Without any file the daemon would not even start, and nobody could ask it anything.
void BirdRunner::install_minimal() {
  auto written = write_staged(minimal_configuration(state_.inputs().settings));
  if (written) written = rename_file(staged_path(options_), options_.config_path);
  if (!written)
    log_.error("bgp.no_minimal", "cannot write a minimal BIRD configuration", {{"error", written.error().text()}});
}

void BirdRunner::poll() {
  if (std::exchange(polling_, true)) return;
  polled_ = {};
  control_.command("show status", [this](const Result<Reply>& reply) { see_status(reply); });
}

void BirdRunner::see_status(const Result<Reply>& reply) {
  if (!reply) {
    publish(std::move(polled_));
    if (options_.supervise) start_daemon();
    return;
  }
  polled_.daemon_up = true;
  polled_.daemon = parse_status(*reply);
  control_.command("show protocols", [this](const Result<Reply>& rows) { see_protocols(rows); });
}

void BirdRunner::see_protocols(const Result<Reply>& reply) {
  if (reply) {
    for (ProtocolRow& row : parse_protocols(*reply)) {
      if (row.is_calico_session()) polled_.sessions.push_back(std::move(row));
    }
  }
  publish(std::move(polled_));
}

void BirdRunner::publish(BgpStatus status) {
  status.configuration_error = status_.configuration_error;
  const bool changed = status.daemon_up != status_.daemon_up || status.sessions != status_.sessions ||
                       status.daemon.recovering != status_.daemon.recovering;
  daemon_up_.set(status.daemon_up ? 1 : 0);
  configured_sessions_.set(static_cast<double>(status.sessions.size()));
  established_.set(static_cast<double>(std::ranges::count_if(status.sessions, &ProtocolRow::established)));
  status_ = std::move(status);
  polling_ = false;
  loop_.cancel(poll_timer_);
  poll_timer_ = loop_.after(options_.poll, [this] { poll(); });
  if (changed && status_changed_) status_changed_(status_);
}

// BIRD puts itself into the background and outlives us. A pid file left behind means that it ran before and fell: then
// -R keeps the kernel's routes until the sessions are back; at a first start it would only delay them (spec §4.5).
void BirdRunner::start_daemon() {
  if (starter_ || accepted_.empty() || !os::file_exists(options_.config_path)) return;
  const std::string directory = options_.socket_path.substr(0, options_.socket_path.rfind('/'));
  if (auto made = os::make_directories(directory, 0755); !made) {
    return log_.error("bgp.no_directory", "cannot start BIRD", {{"error", made.error().text()}});
  }
  os::Command command;
  command.arguments = {options_.program,     "-c", options_.config_path, "-s",
                       options_.socket_path, "-P", options_.pid_path};
  if (os::file_exists(options_.pid_path)) command.arguments.insert(command.arguments.begin() + 1, "-R");
  auto started = os::Process::start(loop_, std::move(command), [this](const os::Outcome& outcome) {
    const auto finished = std::exchange(starter_, nullptr);
    if (!outcome.ok()) {
      log_.error("bgp.start_failed", "BIRD does not start", {{"reason", first_line(outcome.errors)}});
      return;
    }
    log_.info("bgp.started", "BIRD was not running and has been started", {{"socket", options_.socket_path}});
    loop_.cancel(poll_timer_);
    poll_timer_ = loop_.after(kReconfigurationPoll, [this] { poll(); });
  });
  if (!started) return log_.error("bgp.start_failed", "BIRD does not start", {{"reason", started.error().text()}});
  starter_ = std::move(*started);
}

}  // namespace bgp
