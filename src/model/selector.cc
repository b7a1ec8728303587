#include "model/selector.h"

#include <algorithm>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/digest.h"
#include "model/selector/program.h"
#include "model/selector/restrictions.h"
#include "model/selector/tree.h"

namespace model {

struct Selector::Body {
  std::string canonical;
  std::string unique_id;
  selector::Program program;
  selector::Restrictions restrictions;
};

namespace {

// The identifier comes from the tree, not from reading the canonical text again: the two differ for !(!x), spec §5.4.
std::shared_ptr<const Selector::Body> build(const selector::Tree& tree, base::Interner& interner) {
  auto body = std::make_shared<Selector::Body>();
  body->canonical = selector::print_tree(tree);
  body->unique_id = hashed_id("s:", body->canonical);
  body->program = selector::Program::compile(tree, interner);
  body->restrictions = selector::derive_restrictions(tree, interner);
  return body;
}

// all() has no labels, so this interner stays empty and nothing refers to it later.
std::shared_ptr<const Selector::Body> build_all() {
  base::Interner interner;
  return build(selector::Tree{{selector::Node{}}, 0}, interner);
}

}  // namespace

std::string hashed_id(std::string_view kind, std::string_view content) {
  std::string id(kind);
  id += base::base64url(base::sha224(kind, content));
  return id;
}

Selector::Selector() {
  static const std::shared_ptr<const Body> kAll = build_all();
  body_ = kAll;
}

base::Result<Selector> Selector::parse(std::string_view text, base::Interner& interner) {
  auto tree = selector::parse_tree(text);
  if (!tree) return base::fail(std::move(tree).error());
  return Selector(build(*tree, interner));
}

bool Selector::matches(std::span<const Label> labels) const { return body_->program.matches(labels); }
const std::string& Selector::canonical() const { return body_->canonical; }
const std::string& Selector::unique_id() const { return body_->unique_id; }
std::span<const LabelRestriction> Selector::restrictions() const { return body_->restrictions.labels; }
bool Selector::is_impossible() const { return body_->restrictions.impossible; }
bool Selector::matches_everything() const { return body_->canonical == "all()"; }

namespace {
// Below this many texts a sweep is not worth its while.
constexpr std::size_t kSmallestSweep = 256;
}  // namespace

struct SelectorCache::Table {
  explicit Table(base::Interner& i) : interner(i) {}
  base::Interner& interner;
  boost::unordered_flat_map<std::string, Selector> by_text;
  std::size_t sweep_at = kSmallestSweep;
};

SelectorCache::SelectorCache(base::Interner& interner) : table_(std::make_unique<Table>(interner)) {}
SelectorCache::~SelectorCache() = default;

base::Result<Selector> SelectorCache::parse(std::string_view text) {
  auto& known = table_->by_text;
  std::string key(text);
  if (const auto found = known.find(key); found != known.end()) return found->second;
  auto selector = Selector::parse(text, table_->interner);
  if (!selector) return selector;
  if (known.size() >= table_->sweep_at) {
    // A body that only the cache refers to cannot gain an owner elsewhere meanwhile.
    erase_if(known, [](const auto& entry) { return entry.second.body_.use_count() == 1; });
    table_->sweep_at = std::max(kSmallestSweep, 2 * known.size());
  }
  known.emplace(std::move(key), *selector);
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
