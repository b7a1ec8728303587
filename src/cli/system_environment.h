// system_environment.h: the real Environment: standard streams, the process's variables, the system's clock and
// randomness.
#pragma once

#include <functional>
#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "cli/environment.h"

namespace cli {

class SystemEnvironment final : public Environment {
 public:
  // `variables` as main() receives them: "NAME=value" texts ended by a null pointer. They must outlive the object.
  explicit SystemEnvironment(char** variables);

  void print(std::string_view text) override;
  void print_error(std::string_view text) override;
  base::Result<std::string> read_standard_input() override;
  std::optional<std::string> variable(const std::string& name) const override;
  std::string new_uid() override;
  std::string timestamp() override;
  void pause(base::Duration duration) override;
  base::WallTime wall() override;
  base::Instant now() override;
  double jitter() override { return jitter_(); }
  node::Host& host() override { return *host_; }
  node::Prober& prober() override { return *prober_; }
  base::Result<std::unique_ptr<store::Store>> open(const store::ConnectionSettings& settings) override;

 private:
  char** variables_;
  std::function<double()> jitter_;
  std::unique_ptr<node::Host> host_;
  std::unique_ptr<node::Prober> prober_;
  base::NullLog log_;
  base::MetricRegistry metrics_;
};

}  // namespace cli
