#include "os/loop_thread.h"

#include <pthread.h>
#include <csignal>

namespace os {

void LoopThread::start() {
  thread_ = std::thread([this]() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    ::pthread_setname_np(::pthread_self(), name_.substr(0, 15).c_str());
    loop_.run();
  });
}

void LoopThread::stop() {
  if (!thread_.joinable()) return;
  loop_.stop();
  thread_.join();
}

}  // namespace os
