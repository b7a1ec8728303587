#include "packet.h"

#include <charconv>
#include <optional>
#include <vector>

#include <fmt/core.h>

#include "base/check.h"
#include "base/strings.h"

namespace sim {
namespace {

constexpr int kMaxDepth = 32;
constexpr std::uint16_t kSourcePort = 40000;

enum class Verdict { kNone, kReturn, kAccept, kDrop };

std::vector<std::string> words(std::string_view rule) {
  std::vector<std::string> out;
  std::string word;
  bool quoted = false, any = false;
  for (const char c : rule) {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any) out.push_back(std::exchange(word, {}));
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) out.push_back(word);
  return out;
}

// "0x10/0xff" or "0x10".
std::pair<std::uint32_t, std::uint32_t> value_and_mask(const std::string& text) {
  const auto slash = text.find('/');
  const auto number = [](const std::string& t) { return static_cast<std::uint32_t>(std::stoul(t, nullptr, 0)); };
  return {number(text.substr(0, slash)), slash == text.npos ? 0xffffffff : number(text.substr(slash + 1))};
}

bool interface_matches(const std::string& pattern, const std::string& name) {
  if (pattern.ends_with('+')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

bool port_matches(const std::string& list, std::uint16_t port) {
  for (const std::string_view item : base::split(list, ',')) {
    const std::string text(item);
    const auto colon = text.find(':');
    const auto first = std::stoul(text.substr(0, colon));
    const auto last = colon == text.npos ? first : std::stoul(text.substr(colon + 1));
    if (port >= first && port <= last) return true;
  }
  return false;
}

class Walk {
 public:
  Walk(const Packet& packet, const kernel::FakeIptables::Chains& chains, const kernel::FakeIpSets& sets)
      : packet_(packet), chains_(chains), sets_(sets) {}

  Verdict chain(const std::string& name, int depth) {
    CHECK(depth < kMaxDepth);
    const auto found = chains_.find(name);
    CHECK(found != chains_.end());
    for (const std::string& rule : found->second) {
      const Verdict verdict = one(words(rule), rule, depth);
      if (verdict == Verdict::kReturn) return Verdict::kNone;
      if (verdict != Verdict::kNone) return verdict;
    }
    return Verdict::kNone;
  }

 private:
  Verdict one(const std::vector<std::string>& w, const std::string& rule, int depth) {
    bool inverted = false;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const std::string& flag = w[i];
      if (flag == "!") {
        inverted = true;
        continue;
      }
      if (flag == "--jump" || flag == "--goto") return target(w, i, depth, flag == "--goto");
      CHECK(i + 1 < w.size());
      const std::string& value = w[++i];
      if (flag == "-m" && value == "set" && w[i + 1] == "!") continue;
      if (flag == "-m" && value == "tcp")
        return Verdict::kNone;  // only before connection limits, which these worlds do not have
      if (flag == "-m" || flag == "--comment") continue;
      std::optional<bool> holds;
      if (flag == "--mark") {
        const auto [want, mask] = value_and_mask(value);
        holds = (mark_ & mask) == want;
      } else if (flag == "--in-interface") {
        holds = interface_matches(value, packet_.in);
      } else if (flag == "--out-interface") {
        holds = interface_matches(value, packet_.out);
      } else if (flag == "--source" || flag == "--destination") {
        holds = net(value).contains(flag == "--source" ? packet_.source : packet_.destination);
      } else if (flag == "-p") {
        holds = value == "tcp"   ? packet_.protocol == 6
                : value == "udp" ? packet_.protocol == 17
                                 : value == std::to_string(packet_.protocol);
      } else if (flag == "--destination-ports" || flag == "--dport") {
        holds = port_matches(value, packet_.port);
      } else if (flag == "--source-ports") {
        holds = port_matches(value, kSourcePort);
      } else if (flag == "--ctstate") {
        holds = value.find("NEW") != value.npos;
      } else if (flag == "--match-set") {
        holds = in_set(value, w[++i]);
      } else if (flag == "--icmp-type" || flag == "--icmpv6-type") {
        holds = false;
      }
      if (!holds) {
        fmt::print(stderr, "packet walk: unknown match {} in {}\n", flag, rule);
        CHECK(false);
      }
      if (*holds == inverted) return Verdict::kNone;
      inverted = false;
    }
    return Verdict::kNone;
  }

  static base::Prefix net(const std::string& text) {
    if (auto prefix = base::parse_cidr(text)) return *prefix;
    auto address = base::parse_address(text);
    CHECK(address.has_value());
    return base::Prefix::host(*address);
  }

  bool in_set(const std::string& name, const std::string& direction) const {
    const auto found = sets_.sets.find(name);
    CHECK(found != sets_.sets.end());
    for (const auto& member : found->second.members) {
      const bool source = direction.starts_with("src");
      if (!member.prefix.contains(source ? packet_.source : packet_.destination)) continue;
      if (member.protocol == 0) return true;
      if (member.protocol == packet_.protocol && member.port == (source ? kSourcePort : packet_.port)) return true;
    }
    return false;
  }

  Verdict target(const std::vector<std::string>& w, std::size_t at, int depth, bool go) {
    const std::string& name = w[at + 1];
    if (name == "ACCEPT") return Verdict::kAccept;
    if (name == "DROP" || name == "REJECT") return Verdict::kDrop;
    if (name == "RETURN") return Verdict::kReturn;
    if (name == "MARK") {
      CHECK(w[at + 2] == "--set-mark");
      const auto [value, mask] = value_and_mask(w[at + 3]);
      mark_ = (mark_ & ~mask) ^ value;
      return Verdict::kNone;
    }
    if (name == "LOG" || name == "NFLOG") return Verdict::kNone;
    const Verdict verdict = chain(name, depth + 1);
    return verdict == Verdict::kNone && go ? Verdict::kReturn : verdict;
  }

  const Packet& packet_;
  const kernel::FakeIptables::Chains& chains_;
  const kernel::FakeIpSets& sets_;
  std::uint32_t mark_ = 0;
};

}  // namespace

bool forwarded(const Packet& packet, const kernel::FakeIptables& rules, const kernel::FakeIpSets& sets) {
  // The policy of FORWARD is ACCEPT: a host that forwards without an agent is open.
  return Walk(packet, rules.table("filter"), sets).chain("FORWARD", 0) != Verdict::kDrop;
}

}  // namespace sim
