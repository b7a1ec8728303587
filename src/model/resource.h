// resource.h: resources as an operator sees them: every member, every validation rule, byte-compatible values.
//
// A resource is its JSON object in canonical form: exact member names, normalised scalars (AS numbers as numbers,
// durations in canonical text), no nulls. Members that the description of the kind does not know are kept, and written
// back after the known ones, so that a tool of another version or Neutron's own additions (`spec.allowedIps`) survive a
// rewrite.
//
// Pure. Nothing here belongs to a thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/result.h"
#include "model/resource_schema.h"

namespace model {

inline constexpr std::string_view kApiVersion = "projectcalico.org/v3";
inline constexpr std::string_view kPolicyNameAnnotation = "projectcalico.org/metadata";
inline constexpr std::string_view kTierLabel = "projectcalico.org/tier";

// One entry of a validation error. `value` is absent for rules without one.
struct Problem {
  std::string field;
  std::optional<std::string> value;
  std::string reason;
};

// Collects what is wrong, in the order upstream reports it: field validators and rules first, schema rules last.
class Problems {
 public:
  void add(std::string field, std::optional<std::string> value, std::string reason);
  void add_tag(std::string field, std::string value, std::string_view tag);  // a field validator refused
  void add_schema(std::string path, std::string reason);
  bool empty() const { return problems_.empty() && schema_.empty(); }
  std::vector<Problem> take();

 private:
  std::vector<Problem> problems_;
  std::vector<Problem> schema_;
};

// Keys are qualified names, all of it is not too big. Of an object's metadata and of a rule's (spec datamodel §2.2).
void check_annotations(const boost::json::object& annotations, Problems& problems);

// "error with field X = 'v' (reason)", or the list form (spec cli §7.1). REQUIRES !problems.empty().
std::string to_string(std::span<const Problem> problems);

struct Resource {
  const Kind* kind = nullptr;  // never null in a decoded resource
  boost::json::object body;    // kind, apiVersion, metadata, spec, status

  std::string_view name() const { return metadata_text("name"); }
  std::string_view ns() const { return metadata_text("namespace"); }
  std::string_view resource_version() const { return metadata_text("resourceVersion"); }
  std::string_view metadata_text(std::string_view member) const;
  boost::json::object& metadata();  // created if absent
  boost::json::object& spec();      // created if absent
  const boost::json::object& spec() const;
  const boost::json::object* labels() const;  // null if absent
  const boost::json::object* annotations() const;
  void set_metadata(std::string_view member, std::string_view text);  // "" removes
  std::string id() const;                                             // "IPPool(name)" or "NetworkPolicy(ns/name)"
};

Resource make_resource(const Kind& kind, std::string_view name, std::string_view ns = {});

// The value at "spec.bgp.asNumber", null if absent.
const boost::json::value* find(const Resource& resource, std::string_view path);
const boost::json::value* find(const boost::json::object& object, std::string_view path);
std::string_view text_of(const boost::json::object& object, std::string_view path);  // "" if absent or not text
bool flag_of(const boost::json::object& object, std::string_view path);              // false if absent
std::optional<std::int64_t> number_of(const boost::json::object& object, std::string_view path);

// As an operator writes it: unknown members, repeated members and wrong types are errors with upstream's texts
// (spec cli §2.2). `kind_hint` is the kind of a list item without `kind`.
base::Result<Resource> decode_document(const boost::json::value& document, const Kind* kind_hint = nullptr);

// As it is stored: unknown members are kept, a missing kind or apiVersion is filled in.
base::Result<Resource> decode_stored(const Kind& kind, std::string_view value);

// The client's and the schema's defaults (spec datamodel §3.4, §4), then every rule. Both change or read `resource`
// only.
void complete(Resource& resource, WriteReason why, Problems& problems);
void validate(const Resource& resource, Problems& problems);

// What etcd holds (spec datamodel §2.1): compact, in upstream's order, resourceVersion blanked.
std::string encode_stored(const Resource& resource);

// What `get` shows: members in upstream's order, unknown members and empty rule sides left out.
boost::json::object display_object(const Resource& resource);

// Unknown members of `before` that `after` lacks are copied, object by object; lists are not matched.
void carry_unknown_members(const Resource& before, Resource& after);

// Policies: the name annotation of spec datamodel §2.3, on the way in and out.
void store_policy_name(Resource& resource);
base::Result<void> restore_policy_name(Resource& resource);

// Keys.
std::string resource_key(const Kind& kind, std::string_view ns, std::string_view name);
std::string resource_prefix(const Kind& kind, std::string_view ns = {});
struct ResourceKey {
  const Kind* kind = nullptr;
  std::string ns;
  std::string name;
};
std::optional<ResourceKey> parse_resource_key(std::string_view key);

// Help on a kind or one of its members; `path` is "" or "spec.bgp.asNumber" ("spec." may be left out).
base::Result<std::string> explain(const Kind& kind, std::string_view path);

// The WorkloadEndpoint name that its spec demands (spec datamodel §1.8).
base::Result<std::string> workload_endpoint_name(const boost::json::object& spec);

}  // namespace model
