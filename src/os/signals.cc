#include "os/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>
#include <csignal>

#include "base/check.h"

namespace os {

SignalWatch::SignalWatch(base::Loop& loop, const std::vector<int>& signals, std::function<void(int)> arrived)
    : loop_(loop), arrived_(std::move(arrived)) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  fd_ = base::Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  CHECK(static_cast<bool>(fd_));
  watch_ = loop_.watch_readable(fd_.get(), [this] { read_all(); });
}

SignalWatch::~SignalWatch() { loop_.unwatch(watch_); }

void SignalWatch::read_all() {
  signalfd_siginfo info{};
  while (::read(fd_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    arrived_(static_cast<int>(info.ssi_signo));
  }
}

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace os
