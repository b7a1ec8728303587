// mirror.h: what etcd holds of the region's Neutron data, as its watch tells. It may lag behind by moments, so nobody
// relies on it for being right, only for being fast: writes carry conditions.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "neutron/context.h"

namespace neutron {

class Mirror {
 public:
  struct Entry {
    std::string value;
    store::Revision revision = 0;
  };
  struct Events {
    std::function<void(const std::string& key)> changed;  // after the first snapshot; also of keys that are gone
    std::function<void()> loaded;                         // each complete snapshot
    std::function<void(bool connected)> connection;
  };

  explicit Mirror(Context& context) : context_(context) {}

  void start(Events events);

  bool ready() const { return ready_; }
  bool connected() const { return connected_; }
  const std::string& peer() const { return peer_; }
  const std::string& problem() const { return problem_; }  // why not connected

  // A revision that etcd has certainly reached, as high as we know.
  store::Revision reached() const { return reached_; }
  // All writes of keys of such objects up to this revision are in the mirror. (Revisions say nothing across kinds: etcd
  // orders events within a prefix only.)
  store::Revision shows(Kind kind) const;
  // Whoever gets an answer from etcd tells its revision.
  void note(store::Revision revision);

  const Entry* find(const std::string& key) const;
  std::vector<std::string> keys_of(const ObjectId& object) const;
  // In order of keys. `visit` must not change the mirror.
  void each(std::string_view prefix,
            const std::function<void(const std::string& key, const Entry& entry)>& visit) const;
  std::size_t size() const { return entries_.size(); }

 private:
  using Entries = std::map<std::string, Entry, std::less<>>;

  void handle(store::StoreEvent event);
  void take(const store::Change& change);
  void put(store::KeyValue item);
  void erase(const std::string& key);
  void connection(const store::ConnectionState& state);

  Context& context_;
  Events events_;
  std::unique_ptr<store::Subscription> subscription_;
  Entries entries_;
  std::unordered_map<std::string, std::vector<std::string>> port_keys_;
  bool loading_ = false;
  bool ready_ = false;
  bool connected_ = false;
  std::string peer_;
  std::string problem_ = "not connected yet";
  store::Revision reached_ = 0;
  store::Revision snapshot_ = 0;             // the last one
  std::map<Kind, store::Revision> changed_;  // of the last change since then
};

}  // namespace neutron
