// iptables_fake.h: iptables-save and -restore in memory, for tests: atomic per table, refuses what the real ones refuse
// (unknown chains, jumps to nowhere, deleting what is jumped to or not empty, deleting rules that are not there), and
// fails when told to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop.h"
#include "kernel/iptables_tool.h"

namespace kernel {

class FakeIptables final : public IptablesTool {
 public:
  using Chains = std::map<std::string, std::vector<std::string>>;  // rules without "-A chain "

  explicit FakeIptables(base::Loop& loop, bool nft = true);

  void save(Done done) override;
  void restore(std::string input, Done done) override;
  void cancel() override { loop_.cancel(running_); }
  std::optional<std::uint32_t> generation() override;

  // As somebody else would; counts as a change.
  Chains& edit(const std::string& table) {
    ++generation_;
    return tables_[table];
  }
  const Chains& table(const std::string& name) const { return tables_.at(name); }

  // --- Faults and observations
  std::function<bool(std::string_view rule)> refuses;  // the kernel does not take this rule
  bool refusal_names_line = true;                      // false: as legacy, only the COMMIT
  int fail_saves = 0;                                  // so many of the next calls
  int fail_restores = 0;
  base::Duration restore_time = std::chrono::milliseconds(5);
  base::Duration save_time = std::chrono::milliseconds(3);
  std::vector<std::string> inputs;  // of every restore
  int saves = 0;

 private:
  std::optional<std::string> execute(std::string_view input);  // an error message
  std::optional<std::string> line(Chains& chains, std::string_view text) const;
  static std::optional<std::string> dangling(const Chains& chains);

  base::Loop& loop_;
  bool nft_;
  base::TimerId running_{};
  std::map<std::string, Chains> tables_;
  std::uint32_t generation_ = 1;
};

}  // namespace kernel
