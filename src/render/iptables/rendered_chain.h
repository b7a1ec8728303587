// rendered_chain.h: a chain as it goes to iptables-restore, with the hashes that tell two chains apart (spec dataplane
// §5).
//
// A rule's id depends on its chain's name and on every rule before it, so comparing ids in order is comparing chains.
// We keep one fingerprint of all ids per chain; tables and families share a RenderedChain wherever the text is the
// same.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "render/iptables/rule.h"

namespace render::iptables {

inline constexpr std::size_t kRuleIdLength = 16;

// Hands out rule ids in order. REQUIRES: `text` is the append rendering with HASH in place of the hash comment.
class RuleHasher {
 public:
  explicit RuleHasher(std::string_view chain) : state_(base::sha224(chain)) {}
  std::string next(std::string_view text);

 private:
  base::Sha224 state_;
};

// Order-dependent summary of a chain's rule ids. A foreign rule counts as an empty id.
class Fingerprint {
 public:
  void add(std::string_view rule_id);
  std::uint64_t value() const { return value_; }
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

struct RenderedChain {
  std::string name;
  std::string lines;  // "-A name -m comment --comment "cali:ID" …\n" per rule
  std::uint32_t rule_count = 0;
  Fingerprint fingerprint;
  std::vector<std::string> targets;  // chains it jumps or goes to, sorted, each once
};
using ChainPtr = std::shared_ptr<const RenderedChain>;

ChainPtr render_chain(const Chain& chain);

// One of our rules in a chain of the kernel: `body` follows the hash comment, with its leading blank.
struct HookRule {
  std::string id;
  std::string body;
  std::string target;
};
// `hash_domain` is the kernel chain's name, with "*appends*" behind it for rules that are always appended (spec §5.1).
std::vector<HookRule> render_hooks(std::string_view hash_domain, const std::vector<Rule>& rules);
std::string hash_comment(std::string_view id);  // ` -m comment --comment "cali:ID"`

}  // namespace render::iptables
