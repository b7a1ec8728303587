// writer.h: makes etcd hold what one Neutron object wishes, unless somebody else has written about it meanwhile.
//
// The rule (docs/neutron-bridge.md): Neutron was read after etcd had reached `since`, and the transaction goes through
// only if nothing that it concerns has been written after `since`. Then whoever wrote before had read an older state,
// and whoever wants to write later with an older state will be refused. What a transaction concerns is the object's
// keys, the object's guard, and the guards of the objects whose state is in the values. A guard is a key that every
// transaction about an object writes; it stays after the object's keys have gone, and it names them, because the
// mirror may not show yet what another bridge has just written.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "neutron/context.h"
#include "neutron/mirror.h"

namespace neutron {

struct Wish {
  ObjectId object = {};
  Translation translation = {};  // no keys: the object should have none
  store::Revision since = 0;
  // Write the guard even if everything is right already. Needed to answer for a change (a writer with an older state
  // may be under way); not needed where only what another object's change implies is looked after.
  bool touch = true;
  bool accept_older = false;  // write even over a value made from a later revision_number
};

enum class WriteOutcome {
  kDone,
  kConflict,  // somebody wrote after `since`: read Neutron again
  kStale,     // what is there was made from a later revision of the object: the database read lags
  kFailed,    // etcd does not answer; whether it was written is not known
};

struct WriteResult {
  WriteOutcome outcome = WriteOutcome::kDone;
  std::size_t keys_written = 0;
  std::string error = {};
};

class Writer {
 public:
  using Done = std::function<void(WriteResult)>;

  Writer(Context& context, Mirror& mirror) : context_(context), mirror_(mirror) {}

  void write(Wish wish, Done done);
  // Writes only the object's guard: what refers to it must be read again.
  void touch(const ObjectId& object, Done done);

 private:
  struct Job;
  void read_keys(const std::shared_ptr<Job>& job, std::vector<std::string> keys);
  void all_read(const std::shared_ptr<Job>& job);
  void decide(const std::shared_ptr<Job>& job);
  void commit(const std::shared_ptr<Job>& job, store::Transaction transaction, std::size_t written);

  Context& context_;
  Mirror& mirror_;
};

// The guard's value and back.
std::string guard_value(const std::set<std::string>& keys);
std::vector<std::string> guarded_keys(const std::string& value);

}  // namespace neutron
