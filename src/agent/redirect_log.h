// redirect_log.h: a Log that passes on to another, which may be replaced while other threads write: until the
// configuration is known lines go to the screen only, but whatever is created that early keeps its reference.
#pragma once

#include <atomic>

#include "base/log.h"

namespace agent {

// Every target must live as long as this.
class RedirectLog final : public base::Log {
 public:
  explicit RedirectLog(base::Log& target) : target_(&target) {}
  void redirect(base::Log& target) { target_.store(&target); }

  bool enabled(base::LogLevel level) const override { return target_.load()->enabled(level); }
  void write(base::LogLevel level, std::string_view event, std::string_view text, base::LogFields fields) override {
    target_.load()->write(level, event, text, fields);
  }

 private:
  std::atomic<base::Log*> target_;
};

}  // namespace agent
