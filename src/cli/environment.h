// environment.h: everything the command line takes from the world outside the datastore, so that tests can stand in for
// it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "node/host.h"
#include "node/prober.h"
#include "store/open_store.h"

namespace cli {

class Environment {
 public:
  virtual ~Environment() = default;

  // Standard output; flushed before anything goes to standard error, because scripts read both as one stream.
  virtual void print(std::string_view text) = 0;
  virtual void print_error(std::string_view text) = 0;
  virtual base::Result<std::string> read_standard_input() = 0;

  virtual std::optional<std::string> variable(const std::string& name) const = 0;
  virtual std::string new_uid() = 0;    // a random UUID
  virtual std::string timestamp() = 0;  // now, RFC 3339 in UTC with seconds
  virtual void pause(base::Duration duration) = 0;
  virtual base::WallTime wall() = 0;
  virtual base::Instant now() = 0;
  virtual double jitter() = 0;  // in [0, 1), for spreading retries

  virtual node::Host& host() = 0;      // the machine, for the node commands
  virtual node::Prober& prober() = 0;  // the same, for checksystem

  virtual base::Result<std::unique_ptr<store::Store>> open(const store::ConnectionSettings& settings) = 0;
};

}  // namespace cli
