#include "render/iptables/rendered_chain.h"

#include <algorithm>
#include <span>

namespace render::iptables {

std::string RuleHasher::next(std::string_view text) {
  state_ = base::sha224(base::as_text(state_), text);
  // Twelve bytes make sixteen characters.
  return base::base64url(std::span(state_).first(kRuleIdLength * 3 / 4));
}

void Fingerprint::add(std::string_view rule_id) {
  // FNV-1a with a terminator, so that "ab","c" and "a","bc" differ. Ids are hashes already; this only has to join them.
  for (const char c : rule_id) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  value_ = (value_ ^ 0xff) * 0x100000001b3;
}

std::string hash_comment(std::string_view id) {
  std::string text(" -m comment --comment \"cali:");
  return text.append(id).append("\"");
}

ChainPtr render_chain(const Chain& chain) {
  auto rendered = std::make_shared<RenderedChain>();
  rendered->name = chain.name;
  rendered->rule_count = static_cast<std::uint32_t>(chain.rules.size());
  RuleHasher hasher(chain.name);
  const std::string append = "-A " + chain.name;
  std::string text;
  std::string lines;
  for (const Rule& rule : chain.rules) {
    text.assign(append).append(" HASH");
    const std::size_t body = text.size();
    append_body(text, rule);
    const std::string id = hasher.next(text);
    rendered->fingerprint.add(id);
    lines.append(append).append(hash_comment(id)).append(text, body).append("\n");
    if (const auto target = jump_target(rule); !target.empty()) rendered->targets.emplace_back(target);
  }
  rendered->lines = lines;  // a copy of the exact size: chains live long
  std::sort(rendered->targets.begin(), rendered->targets.end());
  rendered->targets.erase(std::unique(rendered->targets.begin(), rendered->targets.end()), rendered->targets.end());
  rendered->targets.shrink_to_fit();
  return rendered;
}

std::vector<HookRule> render_hooks(std::string_view hash_domain, const std::vector<Rule>& rules) {
  std::vector<HookRule> hooks;
  RuleHasher hasher(hash_domain);
  for (const Rule& rule : rules) {
    std::string body;
    append_body(body, rule);
    std::string text("-A ");
    text.append(hash_domain).append(" HASH").append(body);
    hooks.push_back({hasher.next(text), std::move(body), std::string(jump_target(rule))});
  }
  return hooks;
}

}  // namespace render::iptables
