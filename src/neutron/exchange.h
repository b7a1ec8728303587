// exchange.h: POST /v1/changed (docs/neutron-bridge.md): from "this changed" over "read that" to "done".
//
// An exchange goes in rounds; everything between two rounds travels in the message, so that rounds may come over any
// connection, and the same code serves a hook (which reads by itself) and a repair (which reads through the worker).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "neutron/context.h"
#include "neutron/mirror.h"
#include "neutron/translate/answer.h"
#include "neutron/translate/json.h"
#include "neutron/writer.h"

namespace neutron {

// Part of what has to be done: an object, or (kind kPort, `filter` set) all ports that refer to one.
struct WorkItem {
  ObjectId object = {};
  bool dependants = false;  // and whatever has this object's state in its values
  bool unsure = false;      // the client does not know whether anything changed for those: see etcd
  bool touch = true;        // see Wish
  std::string filter = {};  // "network_id", "security_group_id", "subnet_id"; then object.id is what they refer to
  std::string after = {};   // continue after this port
  int attempts = 0;         // how often somebody else was faster
};

struct ExchangeReply {
  enum class Kind { kRead, kDone, kDeferred, kBad } kind = Kind::kDone;
  json::object message = {};              // kRead: "read" and "continue"
  std::vector<ObjectId> unfinished = {};  // kDeferred: what a repair has to look after
  std::string reason = {};                // kDeferred, kBad
  std::size_t written = 0;                // keys, in this round
  bool stale = false;                     // something is unfinished because the database shows an older state
};

struct ExchangeOptions {
  // Take a lower revision_number than the stored one for true (a database restored from a backup).
  bool accept_older = false;
};

class Exchanger {
 public:
  using Done = std::function<void(ExchangeReply)>;

  Exchanger(Context& context, Mirror& mirror, Writer& writer) : context_(context), mirror_(mirror), writer_(writer) {}

  // `message` is what the client sent: {"changed": […]}, or a "continue" with "data".
  void step(const json::object& message, ExchangeOptions options, Done done);

  // `late` is told, some seconds after a group was written, of ports whose labels still have a former name of it:
  // another bridge was writing them at that moment.
  void on_late(std::function<void(const std::vector<ObjectId>&)> late) { late_ = std::move(late); }

  // The first message of an exchange about these objects, as a repair sends it.
  static json::object first_message(const std::vector<ObjectId>& objects);

 private:
  struct Round;

  void begin(const std::shared_ptr<Round>& round);
  void take_answers(const std::shared_ptr<Round>& round, const json::object& message);
  void take_ports(Round& round, const WorkItem& item, const Answer& answer);
  void take_port(Round& round, const WorkItem& item, const json::object* port, const Answer& answer);
  void take_object(Round& round, const WorkItem& item, const json::object* object);
  bool needs_first(Round& round, const ObjectId& object);
  void write_next(const std::shared_ptr<Round>& round);
  void written(Round& round, const WorkItem& item, const WriteResult& result);
  void touch_networks(const std::shared_ptr<Round>& round);
  void find_referrers(const std::shared_ptr<Round>& round);
  void finish(const std::shared_ptr<Round>& round);
  void log_notes(const Translation& translation);
  std::vector<ObjectId> ports_with_former_name(const std::string& group, const std::string& name) const;

  Context& context_;
  Mirror& mirror_;
  Writer& writer_;
  std::function<void(const std::vector<ObjectId>&)> late_;
};

}  // namespace neutron
