// resource_schema.h: the words in which a resource kind is described.
//
// A kind is one table (src/model/kinds/*.cc): members in the order upstream writes them, each with its type, its
// validators, its default and one sentence. Decoding, defaulting, validation, encoding, tables and `explain` are all
// driven by that table, so that a new kind is a new file. Rules between members are a function beside the table.
//
// Sources: spec datamodel §2.1 (encoding), §3 (scalars and validators), §4 (kinds); spec cli §5 (aliases and columns).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "model/resource_checks.h"

namespace model {

struct Resource;
class Problems;

enum class FieldType : std::uint8_t {
  kString,
  kBool,
  kInt,
  kFloat,
  kAsNumber,  // number, "64512" or "1.10"; stored as number
  kProtocol,  // number or name, stored as given
  kPort,      // number, "min:max" or name
  kDscp,      // number or name, stored as given
  kDuration,  // Go duration, stored in canonical form
  kStruct,
  kStringMap,  // sorted by key
  kAny,        // carried as it is
};

// Whether a member without content is written.
enum class Presence : std::uint8_t {
  kOmitZero,    // absent, false, 0, "" and [] are the same and left out
  kOmitAbsent,  // "not given" differs from false, 0 and []
  kAlways,      // written even when empty
};

enum class IntWidth : std::uint8_t { kInt, kInt32, kUint8, kUint16, kUint32 };

struct Field;

struct Struct {
  std::string_view go_type;  // as upstream's error texts name it
  std::span<const Field> fields;
  // Rules between members of one such struct; `value` is decoded.
  void (*check)(const boost::json::object& value, Problems& problems) = nullptr;
};

struct Field {
  std::string_view name = {};
  FieldType type = FieldType::kString;
  std::string_view doc = {};
  const Struct* members = nullptr;  // of kStruct
  bool list = false;
  Presence presence = Presence::kOmitZero;
  IntWidth width = IntWidth::kInt;
  Check check = Check::kNone;   // for each element of a list
  std::string_view words = {};  // schema enumeration, "Always/Never"
  bool words_ignore_case = false;
  std::string_view pattern = {};         // schema pattern of a string, ECMAScript
  std::optional<std::int64_t> min = {};  // schema limits of a number
  std::optional<std::int64_t> max = {};
  std::size_t max_length = 0;          // of a string, 0 = no limit
  std::size_t max_items = 0;           // of a list
  bool unique = false;                 // elements of the list differ
  std::string_view default_json = {};  // written when the member is absent
  std::string_view when_absent = {};   // what holds when the member is absent, for `explain`
  bool required = false;
  bool immutable = false;
  bool hide_empty = false;            // left out of `get` output when empty although it is stored
  bool zero_is_null = false;          // kAlways: written as null when absent
  bool strict_text = false;           // a number or boolean is not taken as text
  std::string_view go_name = {};      // if not derivable from `name`, see go_name()
  std::string_view config_name = {};  // FelixConfiguration: name in Felix's own file and environment
};

enum class CellStyle : std::uint8_t {
  kText,       // absent: empty cell
  kPointer,    // absent: <nil>
  kZero,       // absent: 0 or false
  kDash,       // absent: -
  kNever,      // absent: Never
  kJoined,     // list or map joined with ","
  kTruncated,  // kJoined, cut at 80
  kCustom,     // by the function of the column
};

struct Column {
  std::string_view heading;
  std::string_view path = {};  // "spec.node"
  CellStyle style = CellStyle::kText;
  // kCustom. `default_as_number` is what (N) shows for a Node without AS number.
  std::string (*cell)(const Resource& resource, std::string_view default_as_number) = nullptr;
};

enum class WriteReason : std::uint8_t { kCreate, kUpdate };
enum class ReadReason : std::uint8_t { kGet, kList };

struct Kind {
  std::string_view name;     // "IPPool"
  std::string_view plural;   // "ippools", in keys
  std::string_view aliases;  // lower case, separated by blanks
  bool namespaced = false;
  std::string_view doc = {};
  const Struct* spec = nullptr;
  const Struct* status = nullptr;
  Presence status_presence = Presence::kOmitAbsent;
  bool has_schema = true;  // the schema limits of a kind without CRD are not checked (spec datamodel §3.4)
  std::span<const Column> columns = {};
  std::string_view ps;  // headings separated by blanks
  std::string_view wide;
  bool stores_policy_name = false;  // spec datamodel §2.3
  // Fills in what the client fills in before validation, and reports what it refuses at once.
  void (*complete)(Resource& resource, WriteReason why, Problems& problems) = nullptr;
  // Rules on the whole object.
  void (*check)(const Resource& resource, Problems& problems) = nullptr;
  // Rules between the stored object and its replacement.
  void (*check_change)(const Resource& before, const Resource& after, Problems& problems) = nullptr;
  // Fills in what readers see although it may not be stored.
  void (*after_read)(Resource& resource, ReadReason why) = nullptr;
};

// Upstream's exported name: "peerIP" -> "PeerIP", "asNumber" -> "ASNumber", or the explicit one.
std::string go_name(const Field& field);

const Struct& metadata_schema();

// The member of that name, exact spelling; null if there is none.
const Field* find_field(const Struct& schema, std::string_view name);

}  // namespace model
