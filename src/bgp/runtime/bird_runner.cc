// One configuration at a time goes through: render, stage, check, install, configure. Changes that arrive on the way
// set dirty_ and start the next round when this one ends, so a slow daemon is never asked twice at once.
#include "bgp/runtime/bird_runner.h"

#include <net/if.h>
#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include <fmt/core.h>

#include "base/strings.h"
#include "bgp/local_settings.h"
#include "bgp/reports.h"
#include "os/files.h"

namespace bgp {
namespace {

using base::Result;

constexpr base::Duration kReconfigurationPoll = std::chrono::milliseconds(200);
constexpr std::size_t kMaxSecretBytes = 4096;
constexpr std::size_t kMaxLocalBytes = 1u << 20;

std::string last_text(const Reply& reply) { return reply.empty() ? std::string() : reply.back().text; }

// BIRD's messages quote the place, not the text, of an error, except for an unknown word; none of them can be a
// password, because a password only ever stands between checked quotes.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

bool tunnel_exists() { return ::if_nametoindex(std::string(kTunnelDevice).c_str()) != 0; }

// Rows of `show interfaces summary` begin with name and state. Down is as good as missing: the kernel refuses the
// routes, and BIRD does not try again.
bool lists_tunnel(const Reply& reply) {
  return std::ranges::any_of(reply, [](const ReplyLine& line) {
    std::string_view text = base::trim(line.text);
    if (line.code != reply_code::kInterfaceRow || text.substr(0, text.find_first_of(" \t")) != kTunnelDevice) {
      return false;
    }
    text = base::trim(text.substr(kTunnelDevice.size()));
    return text.substr(0, text.find_first_of(" \t")) == "up";
  });
}

}  // namespace

BirdRunner::BirdRunner(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings,
                       RunnerOptions options)
    : loop_(loop),
      log_(log),
      options_(std::move(options)),
      state_(std::move(settings)),
      control_(loop, options_.socket_path),
      file_(options_.config_path, options_.group),
      starter_(loop, log,
               {.program = options_.program,
                .config_path = options_.config_path,
                .socket_path = options_.socket_path,
                .pid_path = options_.pid_path,
                .user = options_.user,
                .first_pause = options_.first_pause},
               [this] { poll_after(kReconfigurationPoll); }) {
  // A daemon that runs has seen a device that is there; and an agent that starts must not take tunnel routes out of the
  // kernel until it has asked.
  state_.set_tunnel_ready(tunnel_exists());
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
  if (needs_tunnel(state_.inputs()) && !std::exchange(tunnel_asked_, true)) return ask_for_tunnel();
  read_secrets();
  read_local_file();
  state_.set_local_file(local_text_ == local_refused_ ? LocalFile::kNone : kind_of_local_file(local_text_));
  Generated generated = generate(state_.inputs());
  if (!std::exchange(routers_asked_, true) && ask_routers(generated.routers)) return;
  tunnel_asked_ = routers_asked_ = false;
  renders_.add();
  Diagnostics all = state_.diagnostics();
  all.insert(all.end(), generated.diagnostics.begin(), generated.diagnostics.end());
  report(all);
  if (generated.text == accepted_ && (state_.inputs().local_file == LocalFile::kNone || local_text_ == local_accepted_))
    return;
  wanted_ = std::move(generated.text);
  stage();
}

// The device may have come since BIRD was asked last, when no pool needed it: routes that were left out of the kernel
// until the next poll would cost packets.
void BirdRunner::ask_for_tunnel() {
  step_ = Step::kChecking;
  control_.command("show interfaces summary", [this](const Result<Reply>& interfaces) {
    if (interfaces && !reply_code::is_error(interfaces->back().code))
      state_.set_tunnel_ready(lists_tunnel(*interfaces));
    step_ = Step::kIdle;
    dirty_ = false;
    render();
  });
}

// False: there is nobody to ask about.
bool BirdRunner::ask_routers(std::vector<std::string> routers) {
  routers_ = std::move(routers);
  std::vector<std::string> unknown;
  std::ranges::copy_if(routers_, std::back_inserter(unknown),
                       [this](const std::string& name) { return !known_.contains(name); });
  if (unknown.empty()) return false;
  step_ = Step::kChecking;
  ask_router(std::move(unknown));
  return true;
}

// One after the other; when BIRD does not answer, the rest is asked with the next rendering.
void BirdRunner::ask_router(std::vector<std::string> names) {
  if (names.empty()) {
    step_ = Step::kIdle;
    dirty_ = false;
    return render();
  }
  const std::string name = std::move(names.back());
  names.pop_back();
  control_.command("show protocols all " + name,
                   [this, name, rest = std::move(names)](const Result<Reply>& reply) mutable {
                     if (reply)
                       see_router(name, *reply);
                     else
                       rest.clear();
                     ask_router(std::move(rest));
                   });
}

void BirdRunner::see_router(const std::string& name, const Reply& reply) {
  for (const ProtocolReport& report : parse_protocol_reports(reply)) {
    if (report.row.name != name || !report.row.established()) continue;
    known_[name] = report.row.since;
    std::set<std::string> able = state_.inputs().can_refresh;
    if (report.peer_refreshes)
      able.insert(name);
    else
      able.erase(name);
    state_.set_can_refresh(std::move(able));
  }
}

// A session that came up since may have another neighbour at its end.
void BirdRunner::forget_routers() {
  bool some = false;
  for (const ProtocolRow& row : status_.sessions) {
    if (!row.established() || !std::ranges::binary_search(routers_, row.name)) continue;
    const auto known = known_.find(row.name);
    if (known != known_.end() && known->second == row.since) continue;
    known_.erase(row.name);
    some = true;
  }
  if (some && in_sync_) schedule(options_.quiet);
}

bool BirdRunner::read_secrets() {
  std::map<SecretRef, std::string> secrets;
  for (const SecretRef& ref : state_.referenced_secrets()) {
    auto text = os::read_file(fmt::format("{}/{}/{}", options_.secret_directory, ref.name, ref.key), kMaxSecretBytes);
    if (!text) continue;  // the generator reports it
    while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
    secrets[ref] = std::move(*text);
  }
  return state_.set_secrets(std::move(secrets));
}

bool BirdRunner::read_local_file() {
  const std::string& path = state_.inputs().settings.include_file;
  if (path.empty()) return false;
  auto text = os::read_file(path, kMaxLocalBytes);
  std::string now = text ? std::move(*text) : std::string();
  return std::exchange(local_text_, now) != now;
}

// Files that others write.
void BirdRunner::look_around() {
  const bool secrets = read_secrets();
  const bool local = read_local_file();
  if ((secrets || local) && in_sync_) schedule(options_.quiet);
}

void BirdRunner::report(const Diagnostics& diagnostics) {
  for (const model::Diagnostic& diagnostic : diagnostics) {
    if (std::ranges::find(reported_, diagnostic) != reported_.end()) continue;
    log_.warning("bgp.bad_resource", diagnostic.text, {{"object", diagnostic.object}, {"field", diagnostic.field}});
  }
  reported_ = diagnostics;
}

void BirdRunner::stage() {
  loop_.cancel(retry_timer_);
  // An agent that restarts finds the file it wrote: nothing to write, but the daemon may not have read it.
  if (file_.holds(wanted_)) {
    step_ = Step::kApplying;
    return configure();
  }
  step_ = Step::kChecking;
  if (auto written = file_.stage(wanted_); !written) return refused(written.error().text());
  check_by_daemon();
}

void BirdRunner::check_by_daemon() {
  control_.command(fmt::format("configure check \"{}\"", file_.staged_path()), [this](const Result<Reply>& result) {
    if (!result) return check_by_program();
    if (result->back().code == reply_code::kConfigurationGood) return install();
    refused(last_text(*result));
  });
}

void BirdRunner::check_by_program() {
  os::Command command;
  command.arguments = {options_.program, "-p", "-c", file_.staged_path()};
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
  bool kept = true;
  auto installed = file_.install(kept);
  if (!kept) log_.warning("bgp.no_last_good", "cannot keep the former BIRD configuration", {{"path", file_.path()}});
  if (!installed) return refused(installed.error().text());
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
  if (auto restored = file_.roll_back(); !restored) {
    log_.error("bgp.no_roll_back", "cannot restore the former BIRD configuration",
               {{"error", restored.error().text()}});
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
  local_accepted_ = local_text_;
  wanted_.clear();
  step_ = Step::kIdle;
  const bool recovered = !std::exchange(status_.configuration_error, "").empty();
  if (recovered && status_changed_) status_changed_(status_);
  applied_.add();
  log_.info("bgp.configured", "new BIRD configuration", {{"path", options_.config_path}, {"result", how}});
  poll_after(base::Duration::zero());
  if (std::exchange(dirty_, false)) schedule(options_.quiet);
}

void BirdRunner::refused(std::string reason) {
  wanted_.clear();
  step_ = Step::kIdle;
  refusals_.add();
  file_.drop_staged();
  // Perhaps only the operator's own part is bad; the next round shows.
  if (state_.inputs().local_file != LocalFile::kNone) return refused_local_file(reason);
  log_.error("bgp.configuration_refused", "BIRD keeps its former configuration", {{"reason", reason}});
  status_.configuration_error = std::move(reason);
  if (status_changed_) status_changed_(status_);
  if (!file_.exists()) install_minimal();
  if (std::exchange(dirty_, false)) return schedule(options_.quiet);
  retry_timer_ = loop_.after(options_.retry, [this] { render(); });
}

void BirdRunner::refused_local_file(const std::string& reason) {
  log_.error("bgp.local_file_refused", "BIRD's configuration goes on without the operator's file",
             {{"path", state_.inputs().settings.include_file}, {"reason", reason}});
  local_refused_ = local_text_;
  schedule(base::Duration::zero());
}

// Without any file the daemon would not even start, and nobody could ask it anything.
void BirdRunner::install_minimal() {
  auto written = file_.stage(minimal_configuration(state_.inputs().settings));
  bool kept = true;
  if (written) written = file_.install(kept);
  if (!written)
    log_.error("bgp.no_minimal", "cannot write a minimal BIRD configuration", {{"error", written.error().text()}});
}

void BirdRunner::poll_after(base::Duration delay) {
  loop_.cancel(poll_timer_);
  poll_timer_ = loop_.after(delay, [this] { poll(); });
}

void BirdRunner::poll() {
  if (std::exchange(polling_, true)) return;
  look_around();
  polled_ = {};
  control_.command("show status", [this](const Result<Reply>& reply) { see_status(reply); });
}

void BirdRunner::see_status(const Result<Reply>& reply) {
  if (!reply) {
    see_tunnel(tunnel_exists());
    publish(std::move(polled_));
    // With the newest configuration, or with what is left when that was refused; never before the first snapshot.
    if (options_.supervise && (!accepted_.empty() || !status_.configuration_error.empty())) starter_.missing();
    return;
  }
  starter_.seen();
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
  if (!needs_tunnel(state_.inputs())) return publish(std::move(polled_));
  // BIRD itself must know the device: a filter that names an unknown one drops its routes for good.
  control_.command("show interfaces summary", [this](const Result<Reply>& interfaces) {
    if (interfaces && !reply_code::is_error(interfaces->back().code)) see_tunnel(lists_tunnel(*interfaces));
    publish(std::move(polled_));
  });
}

void BirdRunner::see_tunnel(bool ready) {
  if (!state_.set_tunnel_ready(ready)) return;
  log_.info("bgp.tunnel",
            ready ? "the tunnel device is there; its routes are programmed"
                  : "the tunnel device is missing; routes through it are kept out of the kernel",
            {{"device", kTunnelDevice}});
  if (in_sync_) schedule(base::Duration::zero());
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
  forget_routers();
  const bool awaiting_tunnel = needs_tunnel(state_.inputs()) && !state_.inputs().tunnel_ready;
  poll_after(awaiting_tunnel ? std::min(options_.poll, kReconfigurationPoll) : options_.poll);
  if (changed && status_changed_) status_changed_(status_);
}

}  // namespace bgp
