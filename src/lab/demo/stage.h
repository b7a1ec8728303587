// stage.h: what the demo's steps have in common: narration, checks with their time, waiting for packets, and the final
// table.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/verdicts.h"

namespace lab {

using Milliseconds = std::chrono::milliseconds;

class Stopwatch {
 public:
  int ms() const;

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct Outcome {
  std::string expected;
  std::string seen;
  bool good = false;
  int ms = 0;  // what the step is about: convergence, an interruption, …
};

// Limits are those of hardware; a slow lab gets its patience times as much.
class Stage {
 public:
  explicit Stage(Lab& lab) : lab_(lab) {}

  Lab& lab() { return lab_; }

  // Runs one step and prints what it does and how it went. A step that fails does not stop the show: later steps say
  // more.
  void step(const std::string& number, const std::string& title, const std::function<base::Result<Outcome>()>& body);
  static void say(const std::string& text);

  // Repeats the matrix until packets and policies agree. `ms` of the outcome: until the first run that agreed began.
  base::Result<Outcome> agree(const std::string& expectation, int allowed,
                              Milliseconds limit = std::chrono::seconds(5));
  // Sends the probe again and again until it passes (or is blocked); the time it took, or -1.
  base::Result<int> until(const std::string& from, Probe probe, bool passes,
                          Milliseconds limit = std::chrono::seconds(5));
  // Whether the probe passes, with patience.
  base::Result<bool> passes(const std::string& from, const Probe& probe);

  base::Result<> put(const Record& record);

  std::string table() const;
  bool all_good() const;

 private:
  struct Row {
    std::string number;
    std::string title;
    Outcome outcome;
    int total_ms = 0;
  };
  Lab& lab_;
  std::vector<Row> rows_;
};

}  // namespace lab
