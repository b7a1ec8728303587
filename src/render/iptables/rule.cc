#include "render/iptables/rule.h"

#include <algorithm>
#include <iterator>

#include <fmt/core.h>

namespace render::iptables {
namespace {

template <typename... Args>
void add(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

const char* bang(bool negated) { return negated ? "! " : ""; }
const char* word(Side side) { return side == Side::kSource ? "source" : "destination"; }
const char* abbreviated(Side side) { return side == Side::kSource ? "src" : "dst"; }

void append_range(std::string& out, const calc::PortRange& range, char dash) {
  out += std::to_string(range.first);
  if (range.last != range.first) (out += dash) += std::to_string(range.last);
}

struct MatchPrinter {
  std::string& out;

  void operator()(const MarkClear& m) const { add(out, " -m mark {}--mark 0/{:#x}", bang(m.negated), m.mask); }
  void operator()(const MarkEquals& m) const {
    add(out, " -m mark {}--mark {:#x}/{:#x}", bang(m.negated), m.value, m.mask);
  }
  void operator()(const InInterface& m) const { out.append(" --in-interface ").append(m.name); }
  void operator()(const OutInterface& m) const { out.append(" --out-interface ").append(m.name); }
  void operator()(const RpfFailed&) const { out += " -m rpfilter --invert --validmark"; }
  void operator()(const LocalAddress& m) const {
    add(out, " -m addrtype {}--{}-type LOCAL{}", bang(m.negated), abbreviated(m.side),
        m.limit_to_out_interface ? " --limit-iface-out" : "");
  }
  void operator()(const ConntrackState& m) const {
    add(out, " -m conntrack {}--ctstate {}", bang(m.negated), m.states);
  }
  void operator()(const ProtocolIs& m) const {
    out.append(m.negated ? " ! -p " : " -p ").append(m.name.empty() ? std::to_string(m.number) : m.name);
  }
  void operator()(const Net& m) const {
    add(out, " {}--{} {}", bang(m.negated), word(m.side),
        m.bare ? base::to_string(m.prefix.address) : base::to_string(m.prefix));
  }
  void operator()(const InSet& m) const {
    add(out, " -m set {}--match-set {} {}", bang(m.negated), m.name, abbreviated(m.side));
    if (m.with_port) add(out, ",{}", abbreviated(m.side));
  }
  void operator()(const Ports& m) const {
    add(out, " -m multiport {}--{}-ports ", bang(m.negated), word(m.side));
    for (std::size_t i = 0; i < m.ports.size(); ++i) {
      if (i > 0) out += ',';
      append_range(out, m.ports[i], ':');
    }
  }
  void operator()(const SinglePort& m) const { add(out, " --dport {}", m.port); }
  void operator()(const Icmp& m) const {
    const bool v4 = m.family == base::Family::kIpv4;
    add(out, " -m {} {}--{}-type {}", v4 ? "icmp" : "icmp6", bang(m.negated), v4 ? "icmp" : "icmpv6", m.match.type);
    if (m.match.code) add(out, "/{}", *m.match.code);
  }
  void operator()(const RateLimit& m) const {
    out.append(" -m limit --limit ").append(m.rate);
    if (m.burst != 0) add(out, " --limit-burst {}", m.burst);
  }
};

struct ActionPrinter {
  std::string& out;

  void operator()(const Accept&) const { out += " --jump ACCEPT"; }
  void operator()(const Drop&) const { out += " --jump DROP"; }
  void operator()(const Return&) const { out += " --jump RETURN"; }
  void operator()(const Reject&) const { out += " --jump REJECT"; }
  void operator()(const Jump& a) const { out.append(" --jump ").append(a.chain); }
  void operator()(const Goto& a) const { out.append(" --goto ").append(a.chain); }
  void operator()(const SetMark& a) const { add(out, " --jump MARK --set-mark {:#x}/{:#x}", a.bits, a.bits); }
  void operator()(const ClearMark& a) const { add(out, " --jump MARK --set-mark 0/{:#x}", a.bits); }
  void operator()(const SetMaskedMark& a) const { add(out, " --jump MARK --set-mark {:#x}/{:#x}", a.value, a.mask); }
  void operator()(const NoTrack&) const { out += " --jump NOTRACK"; }
  void operator()(const Log& a) const { add(out, " --jump LOG --log-prefix \"{}: \" --log-level 5", a.prefix); }
  void operator()(const Dnat& a) const {
    out += " --jump DNAT --to-destination ";
    if (a.port == 0) {
      out += base::to_string(a.to);
    } else {
      add(out, "{}{}{}:{}", a.to.is_v4() ? "" : "[", base::to_string(a.to), a.to.is_v4() ? "" : "]", a.port);
    }
  }
  void operator()(const Snat& a) const {
    out.append(" --jump SNAT --to-source ").append(base::to_string(a.to));
    if (a.ports) append_range(out += ':', *a.ports, '-');
    if (a.fully_random) out += " --random-fully";
  }
  void operator()(const Masquerade& a) const {
    out += " --jump MASQUERADE";
    if (a.ports) append_range(out += " --to-ports ", *a.ports, '-');
    if (a.fully_random) out += " --random-fully";
  }
  void operator()(const SetDscp& a) const { add(out, " --jump DSCP --set-dscp {}", a.value); }
  void operator()(const LimitPacketRate& a) const {
    add(out, " -m limit --limit {}/sec --limit-burst {} --jump MARK --set-mark {:#x}/{:#x}", a.rate, a.burst, a.mark,
        a.mark);
  }
  void operator()(const LimitConnections& a) const {
    add(out,
        " -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m connlimit --connlimit-above {} --connlimit-mask 0 -j REJECT"
        " --reject-with tcp-reset",
        a.limit);
  }
};

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_ @%+=:,./-").find(c) != std::string_view::npos;
}

// Length of the valid UTF-8 sequence at the start of `text`, 1 if there is none.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 1;
  if (length > text.size()) return 1;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 1;
  }
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) || (lead == 0xf0 && byte(1) < 0x90) ||
      (lead == 0xf4 && byte(1) > 0x8f)) {
    return 1;
  }
  return length;
}

void append_comment(std::string& out, std::string_view text) {
  constexpr std::size_t kMaxComment = 256;  // the kernel's limit, spec §4
  out += " -m comment --comment \"";
  std::size_t written = 0;
  for (std::size_t i = 0; i < text.size() && written < kMaxComment; ++written) {
    const std::size_t length = character_length(text.substr(i));
    out += length == 1 && is_plain(text[i]) ? text[i] : '_';
    i += length;
  }
  out += '"';
}

}  // namespace

void append_body(std::string& out, const Rule& rule) {
  for (const std::string& comment : rule.comments) append_comment(out, comment);
  for (const Match& match : rule.matches) std::visit(MatchPrinter{out}, match);
  if (rule.action) std::visit(ActionPrinter{out}, *rule.action);
}

std::string_view jump_target(const Rule& rule) {
  if (!rule.action) return {};
  if (const auto* jump = std::get_if<Jump>(&*rule.action)) return jump->chain;
  if (const auto* go = std::get_if<Goto>(&*rule.action)) return go->chain;
  return {};
}

bool is_return(const Rule& rule) { return rule.action && std::holds_alternative<Return>(*rule.action); }

}  // namespace render::iptables
