// value.h: what an etcd key should hold, and how that meets what it holds (spec openstack §2.3). Pure: time and
// identity are handed in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "neutron/translate/json.h"
#include "neutron/translate/names.h"

namespace neutron {

struct Desired {
  std::string_view kind = {};  // of a resource: "WorkloadEndpoint"; empty: the value is `raw`
  std::string name = {};
  std::string ns = {};  // empty: not namespaced
  json::object labels = {};
  json::object annotations = {};
  json::object spec = {};
  std::string raw = {};
  // Neutron's revision_number, kept in metadata.generation; 0: not known.
  std::int64_t generation = 0;
  // Written only over a value that is there: a port that is being bound again.
  bool only_update = false;
  // Labels that the old value keeps if `labels` lacks them: Keystone could not be asked.
  std::vector<std::string_view> kept_labels = {};
};

// The complete wish for one object: these keys, and no other of the object's.
struct Translation {
  std::map<std::string, Desired> keys = {};
  std::vector<std::string> notes = {};   // for operators: what was left out, and why
  std::vector<ObjectId> refers_to = {};  // the other objects whose state is in the values
  // revision_number of the object that was read, also if it wishes no key; 0: not known, or there is none.
  std::int64_t generation = 0;
};

struct Stamp {
  std::string time;  // "2026-01-31T09:00:00Z", for values that have no creationTimestamp
  std::string uid;   // for values that have no uid
};

struct Merged {
  std::optional<std::string> value = {};  // nothing: what is there is right
  bool stale = false;                     // what is there was made from a later revision_number; `value` would go back
  std::vector<std::string> members = {};  // what differs: "spec.ipNetworks", "metadata.labels"; "" for the whole value
};

// `stored` may be anything; what is no resource is replaced. Members unknown to us are kept, except in `spec`. Labels
// and annotations are replaced as a whole, unless the wish has none.
Merged merge(const std::optional<std::string>& stored, const Desired& desired, const Stamp& stamp);

// Whether `stored` was made from a later revision_number than `generation`: removing it, since the object is wanted
// under another name or not at all, would go back.
bool made_later(const std::string& stored, std::int64_t generation);

}  // namespace neutron
