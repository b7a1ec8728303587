#include "agent/shutdown.h"

#include <csignal>

namespace agent {

int exit_status(ShutdownCause cause) {
  switch (cause) {
    case ShutdownCause::kConfigChanged: return kExitRestart;
    case ShutdownCause::kDatastoreUnready:
    case ShutdownCause::kFatal:
    case ShutdownCause::kSignal: return kExitFailure;
  }
  return kExitFailure;
}

std::string_view to_string(ShutdownCause cause) {
  switch (cause) {
    case ShutdownCause::kConfigChanged: return "config changed";
    case ShutdownCause::kDatastoreUnready: return "datastore became unready";
    case ShutdownCause::kFatal: return "fatal error";
    case ShutdownCause::kSignal: return "signal";
  }
  return "";
}

Shutdown::Shutdown(base::Loop& loop, base::Log& log, std::function<void()> stop, std::function<void(int)> leave)
    : loop_(loop), log_(log), stop_(std::move(stop)), leave_(std::move(leave)) {}

void Shutdown::request(ShutdownCause cause, std::string reason) {
  loop_.post([this, cause, reason = std::move(reason)] { begin(cause, reason); });
}

void Shutdown::signal(int number) {
  if (number == SIGHUP) {
    if (!leaving_) begin(ShutdownCause::kConfigChanged, "SIGHUP");
    return;
  }
  if (!leaving_) return begin(ShutdownCause::kSignal, number == SIGINT ? "SIGINT" : "SIGTERM");
  finish(kExitFailure);
}

void Shutdown::begin(ShutdownCause cause, const std::string& reason) {
  if (leaving_) return;
  leaving_ = true;
  const int status = exit_status(cause);
  log_.warning("agent.leaving", "Leaving; rules, sets, routes and status keys stay as they are",
               {{"cause", to_string(cause)}, {"reason", reason}, {"exit_status", status}});
  stop_();
  if (cause == ShutdownCause::kSignal) return finish(status);
  timer_ = loop_.after(kDelay, [this, status] { finish(status); });
}

void Shutdown::finish(int status) {
  if (left_) return;
  left_ = true;
  leave_(status);
}

}  // namespace agent
