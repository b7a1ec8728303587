#include "shaky_store.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <variant>

namespace neutron_test {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kGuards = "/guard/";

// Keys that belong to an object of Neutron's; elections and configurations keep their conditions.
bool is_object_key(std::string_view key) {
  constexpr std::array<std::string_view, 5> kParts{"/workloadendpoints/", "/networkpolicies/", "/networksets/",
                                                   "/subnet/", kGuards};
  return std::ranges::any_of(kParts, [&](std::string_view part) { return key.find(part) != key.npos; });
}

bool is_guard(std::string_view key) { return key.find(kGuards) != key.npos; }

void forget_revision_number(std::string& value) {
  constexpr std::string_view kMember = "\"generation\":";
  const auto at = value.find(kMember);
  if (at == value.npos) return;
  const auto begin = at + kMember.size();
  value.replace(begin, value.find_first_not_of("0123456789", begin) - begin, "0");
}

}  // namespace

base::Duration ShakyStore::delay(base::Duration most) {
  return base::Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(most.count()))));
}

template <typename T>
store::Done<T> ShakyStore::slow(store::Done<T> done) {
  return [this, done = std::move(done)](base::Result<T> result) {
    later([alive = alive_, done, result = std::move(result)] {
      if (*alive) done(result);
    });
  };
}

void ShakyStore::disguise(store::KeyValue& item) const {
  if (!is_object_key(item.key)) return;
  if (faults_.without == Without::kComparison) item.mod_revision = 0;
  if (faults_.without == Without::kRevisionNumber) forget_revision_number(item.value);
}

void ShakyStore::disguise(store::StoreEvent& event) const {
  if (auto* page = std::get_if<store::SnapshotPage>(&event)) {
    for (auto& item : page->items) disguise(item);
  } else if (auto* delta = std::get_if<store::Delta>(&event)) {
    for (auto& change : delta->changes) disguise(change.item);
  }
}

// Events keep their order, but may come long after the replies to writes that they tell of.
std::unique_ptr<store::Subscription> ShakyStore::subscribe(std::vector<std::string> prefixes, base::Loop& /*reader*/,
                                                           store::EventHandler handler) {
  auto shared = std::make_shared<store::EventHandler>(std::move(handler));
  auto last = std::make_shared<base::Instant>();
  return inner_.subscribe(std::move(prefixes), loop_, [this, shared, last](store::StoreEvent event) {
    disguise(event);
    *last = std::max(*last, loop_.now() + delay(faults_.stalls && rng_.one_in(10) ? 3s : 20ms));
    loop_.after(*last - loop_.now(), [alive = alive_, shared, event = std::move(event)] {
      if (*alive) (*shared)(event);
    });
  });
}

void ShakyStore::read(store::ReadRequest request, const store::RequestOptions& options, base::Loop& /*loop*/,
                      store::Done<store::ReadReply> done) {
  later([this, request = std::move(request), options, done = slow(std::move(done))] {
    inner_.read(request, options, loop_, [this, done](base::Result<store::ReadReply> reply) {
      if (reply) {
        for (auto& item : reply->items) disguise(item);
      }
      done(std::move(reply));
    });
  });
}

void ShakyStore::put(store::PutRequest request, const store::RequestOptions& options, base::Loop& /*loop*/,
                     store::Done<store::WriteReply> done) {
  later([this, request = std::move(request), options, done = slow(std::move(done))] {
    inner_.put(request, options, loop_, done);
  });
}

void ShakyStore::remove(store::RemoveRequest request, const store::RequestOptions& options, base::Loop& /*loop*/,
                        store::Done<store::WriteReply> done) {
  later([this, request = std::move(request), options, done = slow(std::move(done))] {
    inner_.remove(request, options, loop_, done);
  });
}

void ShakyStore::commit(store::Transaction request, const store::RequestOptions& options, base::Loop& /*loop*/,
                        store::Done<store::Revision> done) {
  if (faults_.without == Without::kComparison) {
    std::erase_if(request.conditions, [](const store::Untouched& one) { return is_object_key(one.key); });
  } else if (faults_.without == Without::kGuards) {
    std::erase_if(request.conditions, [](const store::Untouched& one) { return is_guard(one.key); });
    std::erase_if(request.puts, [](const auto& put) { return is_guard(put.first); });
  }
  const bool lost = faults_.lost_replies && rng_.one_in(25);
  const bool before = lost && rng_.one_in(2);
  later([this, lost, before, request = std::move(request), options, done = slow(std::move(done))] {
    const auto answer = [lost, done](base::Result<store::Revision> result) {
      if (lost) result = base::fail(base::Error::unavailable("the reply was lost"));
      done(std::move(result));
    };
    if (before) return answer(base::fail(base::Error::unavailable("the request was lost")));
    inner_.commit(request, options, loop_, answer);
  });
}

void ShakyStore::compact(store::Revision revision, const store::RequestOptions& options, base::Loop& /*loop*/,
                         store::Done<store::Revision> done) {
  inner_.compact(revision, options, loop_, slow(std::move(done)));
}

void ShakyStore::status(const store::RequestOptions& options, base::Loop& /*loop*/,
                        store::Done<store::StoreStatus> done) {
  inner_.status(options, loop_, slow(std::move(done)));
}

}  // namespace neutron_test
