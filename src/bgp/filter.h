// filter.h: BGPFilter: its rules as values, and as BIRD functions (spec bgp §2.8). Pure.
//
// A rule that cannot be read or rendered never matches and is reported; the rules around it stay. So a bad rule costs
// itself and never the file. A filter whose name could not stand in a BIRD symbol is not rendered at all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/ip.h"
#include "bgp/resources.h"
#include "bgp/text.h"

namespace bgp {

enum class MatchOperator : std::uint8_t { kEqual, kNotEqual, kIn, kNotIn };
enum class PeerType : std::uint8_t { kAny, kExternal, kInternal };

struct AddCommunity {
  Community community;
  friend bool operator==(const AddCommunity&, const AddCommunity&) = default;
};
struct PrependAsPath {
  std::vector<AsNumber> prefix;
  friend bool operator==(const PrependAsPath&, const PrependAsPath&) = default;
};
struct SetPriority {
  std::uint32_t priority = 0;
  friend bool operator==(const SetPriority&, const SetPriority&) = default;
};
using FilterOperation = std::variant<AddCommunity, PrependAsPath, SetPriority>;

// Conditions are joined by "and"; one without any always matches.
struct FilterRule {
  std::optional<base::Prefix> cidr;  // masked, of the list's family
  MatchOperator match = MatchOperator::kIn;
  std::optional<int> min_length;  // one of the two set: prefixLength is given
  std::optional<int> max_length;
  bool remote_peers = false;
  std::string interface = {};  // empty: any; otherwise is_filter_pattern()
  PeerType peer_type = PeerType::kAny;
  std::optional<Community> community;
  std::vector<AsNumber> as_path_prefix;
  std::optional<std::uint32_t> priority;
  bool accept = false;
  std::vector<FilterOperation> operations;
  friend bool operator==(const FilterRule&, const FilterRule&) = default;
};

enum class Direction : std::uint8_t { kImport, kExport };

struct Filter {
  // Whether the resource lists rules at all: only then is there a function to call, even if none of them is usable.
  struct Rules {
    bool given = false;
    std::vector<FilterRule> rules;
    friend bool operator==(const Rules&, const Rules&) = default;
  };
  Rules import_v4, import_v6, export_v4, export_v6;
  const Rules& rules(Direction direction, base::Family family) const;
  friend bool operator==(const Filter&, const Filter&) = default;
};
using Filters = std::map<std::string, Filter>;  // by BGPFilter name

Filter parse_filter(std::string_view name, const boost::json::object& resource, Diagnostics& out);

// 'bgp_<name>_importFilterV4', with its quotes; long names are cut and hashed as upstream does it.
std::string filter_function(std::string_view name, Direction direction, base::Family family);
bool is_filter_name(std::string_view name);  // can stand in a BIRD symbol

// Every function of a direction and family, used or not. Import functions call prio_in4() or prio_in6() before they
// accept.
void write_filters(const Filters& filters, Direction direction, base::Family family, Text& text, Diagnostics& out);

// The calls for one session, in order, each followed by a blank; names without rules of this direction give nothing.
std::string filter_calls(const Filters& filters, const std::vector<std::string>& names, Direction direction,
                         base::Family family, bool same_as);

}  // namespace bgp
