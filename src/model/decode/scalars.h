// scalars.h: the small types of spec datamodel §3 as they appear in members. Every function notes a problem on its
// field and gives an empty value if the text or number does not fit.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/symbol.h"
#include "model/decode/field.h"
#include "model/labels.h"
#include "model/policy.h"

namespace model::decode {

std::optional<base::IpAddress> read_address(const Field& field);
std::optional<base::IpAddress> read_address(const Field& field, base::Family family);
std::optional<base::Prefix> read_prefix(const Field& field);  // CIDR or bare address; host bits cleared
std::vector<base::Prefix> read_prefixes(const Field& list);
std::optional<base::MacAddress> read_mac(const Field& field);

// Number 1–255 or one of the names; digits in quotes are a number.
std::optional<Protocol> read_protocol(const Field& field, base::Interner& interner);
// Number 1–65535, "n", "min:max" or a name.
std::optional<Port> read_port(const Field& field, base::Interner& interner);
// Name or number 0–63 (spec §3.1).
std::optional<std::uint8_t> parse_dscp(std::string_view text);

// Whether the kernel could have an interface of that name; "." and ".." would lead out of its sysctl directory.
bool is_interface_name(std::string_view name);

// Kubernetes label syntax (spec §2.2). Labels repeat a hundred thousand times, so symbols found good lately are
// remembered.
class LabelSyntax {
 public:
  static constexpr std::size_t kLongestName = 253 + 1 + 63;  // domain, '/', name
  static constexpr std::size_t kLongestValue = 63;

  bool is_name(Symbol name);
  bool is_value(Symbol value);

 private:
  // Each symbol has one place, and whoever came last has it: what repeats is found, what is unique costs no memory.
  using Lately = std::array<Symbol, 4096>;
  static Symbol& place_of(Symbol symbol, Lately& lately) {
    return lately[std::hash<Symbol>{}(symbol) >> 32 & (lately.size() - 1)];
  }

  Lately good_names_;
  Lately good_values_;
};

}  // namespace model::decode
