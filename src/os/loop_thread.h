// loop_thread.h: a named thread that does nothing but run one EventLoop. The agent's threads are all of this kind.
//
//   LoopThread calc("calc");
//   Calculator calculator(calc.loop(), ...);   // set up before start()
//   calc.start();
//   ...
//   calc.stop();                               // returns when the thread has left its loop
#pragma once

#include <string>
#include <thread>

#include "os/event_loop.h"

namespace os {

class LoopThread {
 public:
  explicit LoopThread(std::string name) : name_(std::move(name)) {}  // the kernel keeps 15 characters
  ~LoopThread() { stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  EventLoop& loop() { return loop_; }
  // All signals are blocked in the new thread: they belong to the main thread's SignalWatch.
  void start();
  // Stops after the task at hand and joins. Does nothing when not running. Not from the thread itself.
  void stop();

 private:
  std::string name_;
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace os
