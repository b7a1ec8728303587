#include "model/selector.h"

#include <algorithm>

#include <boost/unordered/unordered_flat_set.hpp>

#include "base/digest.h"
#include "model/selector/body.h"

namespace model {

void intrusive_ptr_add_ref(const Selector::Body* body) { body->add_reference(); }
void intrusive_ptr_release(const Selector::Body* body) { body->drop_reference(); }

std::string hashed_id(std::string_view kind, std::string_view content) {
  std::string id(kind);
  id += base::base64url(base::sha224(kind, content));
  return id;
}

Selector::Selector() {
  static const Selector kAll = [] {
    base::Interner interner;  // all() has no labels, so it stays empty and nothing refers to it later
    return Selector(Body::create("", selector::Tree{{selector::Node{}}, 0}, interner));
  }();
  body_ = kAll.body_;
}

base::Result<Selector> Selector::parse(std::string_view text, base::Interner& interner) {
  auto tree = selector::parse_tree(text);
  if (!tree) return base::fail(std::move(tree).error());
  return Selector(Body::create(text, *tree, interner));
}

bool Selector::matches(std::span<const Label> labels) const { return body_->program().matches(labels); }
const std::string& Selector::canonical() const { return body_->canonical(); }
const std::string& Selector::unique_id() const { return body_->unique_id(); }
std::span<const LabelRestriction> Selector::restrictions() const { return body_->restrictions(); }
bool Selector::is_impossible() const { return body_->is_impossible(); }
bool Selector::matches_everything() const { return body_->matches_everything(); }

namespace {
// Below this many texts a sweep is not worth its while.
constexpr std::size_t kSmallestSweep = 256;
}  // namespace

struct SelectorCache::Table {
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    std::size_t operator()(const Selector& selector) const { return (*this)(selector.body_->text()); }
  };
  struct TextEqual {
    using is_transparent = void;
    bool operator()(const Selector& a, const Selector& b) const { return a.body_ == b.body_; }
    bool operator()(const Selector& a, std::string_view b) const { return a.body_->text() == b; }
    bool operator()(std::string_view a, const Selector& b) const { return a == b.body_->text(); }
  };

  explicit Table(base::Interner& i) : interner(i) {}
  base::Interner& interner;
  boost::unordered_flat_set<Selector, TextHash, TextEqual> by_text;
  std::size_t sweep_at = kSmallestSweep;
};

SelectorCache::SelectorCache(base::Interner& interner) : table_(std::make_unique<Table>(interner)) {}
SelectorCache::~SelectorCache() = default;

base::Result<Selector> SelectorCache::parse(std::string_view text) {
  auto& known = table_->by_text;
  if (const auto found = known.find(text); found != known.end()) return *found;
  auto selector = Selector::parse(text, table_->interner);
  if (!selector) return selector;
  if (known.size() >= table_->sweep_at) {
    // A body that only the cache refers to cannot gain an owner elsewhere meanwhile.
    erase_if(known, [](const Selector& unused) { return unused.body_->has_one_reference(); });
    table_->sweep_at = std::max(kSmallestSweep, 2 * known.size());
  }
  known.insert(*selector);
  return selector;
}

base::Result<> check_selector(std::string_view text) {
  auto tree = selector::parse_tree(text);
  if (!tree) return base::fail(std::move(tree).error());
  return {};
}

base::Result<std::string> with_label_prefix(std::string_view selector, std::string_view prefix) {
  auto tree = selector::parse_tree(selector);
  if (!tree) return base::fail(std::move(tree).error());
  return selector::print_tree(*tree, prefix);
}

}  // namespace model
