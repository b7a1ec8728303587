// rule.h: one iptables rule as a value: matches, an action, comments. Printing gives the exact text of spec dataplane
// §4, which is also what the rule hashes are made of, so every blank counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "calc/output.h"

namespace render::iptables {

enum class Side : std::uint8_t { kSource, kDestination };

// Two spellings of "these bits are (not) clear" exist and are hashed as they are: 0/mask and value/mask (spec Q15).
struct MarkClear {
  std::uint32_t mask;
  bool negated = false;
};
struct MarkEquals {
  std::uint32_t value, mask;
  bool negated = false;
};
struct InInterface {
  std::string name;
};  // a trailing '+' matches any rest
struct OutInterface {
  std::string name;
};
struct RpfFailed {};  // strict reverse path lookup, honouring the mark, fails
struct LocalAddress {
  Side side;
  bool negated = false;
  bool limit_to_out_interface = false;
};
struct ConntrackState {
  std::string states;
  bool negated = false;
};  // "RELATED,ESTABLISHED"
struct ProtocolIs {
  std::string name;
  std::uint8_t number = 0;
  bool negated = false;
};  // by number if the name is empty
struct Net {
  Side side;
  base::Prefix prefix;
  bool negated = false;
  bool bare = false;
};  // bare: printed without length
struct InSet {
  std::string name;
  Side side;
  bool with_port = false;
  bool negated = false;
};
struct Ports {
  Side side;
  std::vector<calc::PortRange> ports;
  bool negated = false;
};  // at most 15 slots
struct SinglePort {
  std::uint16_t port;
};  // destination, without multiport (spec Q16)
struct Icmp {
  base::Family family;
  model::IcmpMatch match;
  bool negated = false;
};
struct RateLimit {
  std::string rate;
  int burst = 0;
};

using Match = std::variant<MarkClear, MarkEquals, InInterface, OutInterface, RpfFailed, LocalAddress, ConntrackState,
                           ProtocolIs, Net, InSet, Ports, SinglePort, Icmp, RateLimit>;

struct Accept {};
struct Drop {};
struct Return {};
struct Reject {};
struct Jump {
  std::string chain;
};
struct Goto {
  std::string chain;
};
struct SetMark {
  std::uint32_t bits;
};
struct ClearMark {
  std::uint32_t bits;
};
struct SetMaskedMark {
  std::uint32_t value, mask;
};
struct NoTrack {};
struct Log {
  std::string prefix;
};
struct Dnat {
  base::IpAddress to;
  std::uint16_t port = 0;
};  // port 0: unchanged
struct Snat {
  base::IpAddress to;
  std::optional<calc::PortRange> ports;
  bool fully_random = false;
};
struct Masquerade {
  std::optional<calc::PortRange> ports;
  bool fully_random = false;
};
struct SetDscp {
  std::uint8_t value;
};
struct LimitPacketRate {
  std::int64_t rate, burst;
  std::uint32_t mark;
};  // sets the mark on packets within the rate
struct LimitConnections {
  std::int64_t limit;
};

using Action = std::variant<Accept, Drop, Return, Reject, Jump, Goto, SetMark, ClearMark, SetMaskedMark, NoTrack, Log,
                            Dnat, Snat, Masquerade, SetDscp, LimitPacketRate, LimitConnections>;

struct Rule {
  std::vector<Match> matches = {};
  std::optional<Action> action = {};
  std::vector<std::string> comments = {};  // besides the hash; escaped when printed
};

struct Chain {
  std::string name;
  std::vector<Rule> rules;
};

// Comments, matches and action, each preceded by one blank: " -p tcp --jump ACCEPT".
void append_body(std::string& out, const Rule& rule);

// The chain a rule may continue in, or empty.
std::string_view jump_target(const Rule& rule);
bool is_return(const Rule& rule);

}  // namespace render::iptables
