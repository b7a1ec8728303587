// selector.h: Calico's selector language (spec datamodel §5): parse, canonical text, unique ID, evaluation, and the
// label restrictions from which an index can tell which endpoints need to be looked at.
//
// A Selector is immutable and cheap to copy (one pointer). Evaluation allocates nothing. Copies may be used by any
// threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "base/result.h"
#include "base/symbol.h"
#include "model/labels.h"

namespace model {

// What a selector demands of one label, derived from its expression (spec felix-agent §3.6). Sixteen bytes, because
// every selector of the cloud has some. Copies are valid as long as the selector.
class LabelRestriction {
 public:
  LabelRestriction(Symbol name, bool must_be_present, bool must_be_absent,
                   std::optional<std::span<const Symbol>> values)
      : name_(name),
        present_(must_be_present),
        absent_(must_be_absent),
        count_(values ? static_cast<std::uint32_t>(values->size()) & kMostValues : 0),
        values_(values ? values->data() : nullptr) {}

  Symbol name() const { return name_; }
  bool must_be_present() const { return present_; }
  bool must_be_absent() const { return absent_; }
  // If there are any, the value must be one of these; sorted by id.
  bool has_values() const { return values_ != nullptr; }
  std::span<const Symbol> values() const { return {values_, count_}; }

 private:
  static constexpr std::uint32_t kMostValues = (1u << 30) - 1;  // a value takes a byte of text, an etcd value 1.5 MB

  Symbol name_;
  std::uint32_t present_ : 1;
  std::uint32_t absent_ : 1;
  std::uint32_t count_ : 30;
  const Symbol* values_;
};

class Selector {
 public:
  Selector();  // all()

  // Errors name the position and what was expected there. The empty text is all().
  static base::Result<Selector> parse(std::string_view text, base::Interner& interner);

  bool matches(std::span<const Label> labels) const;  // labels sorted as model::Labels
  // Made when first asked for, and kept as long as any copy of the selector.
  const std::string& canonical() const;  // spec §5.4
  const std::string& unique_id() const;  // "s:" + 38 characters, spec §5.5
  // The same for copies of one selector, so also for equal texts from one SelectorCache. Means nothing once they are
  // gone.
  const void* identity() const { return body_.get(); }

  // Restrictions every matching label set fulfils, sorted by name id; empty means "cannot tell, look at all".
  std::span<const LabelRestriction> restrictions() const;
  bool is_impossible() const;       // the restrictions contradict each other: matches nothing
  bool matches_everything() const;  // canonical text is all()

  friend bool operator==(const Selector& a, const Selector& b) {
    return a.body_ == b.body_ || a.canonical() == b.canonical();
  }

 private:
  class Body;
  explicit Selector(const Body* body) : body_(body) {}
  friend void intrusive_ptr_add_ref(const Body* body);
  friend void intrusive_ptr_release(const Body* body);
  friend class SelectorCache;
  boost::intrusive_ptr<const Body> body_;
};

// Parses each distinct text once. Ten thousand policies with thirty selectors between them hold thirty syntax trees.
// Belongs to one thread. Drops texts nobody refers to any more when it has doubled since the last sweep.
class SelectorCache {
 public:
  explicit SelectorCache(base::Interner& interner);
  ~SelectorCache();
  SelectorCache(const SelectorCache&) = delete;
  SelectorCache& operator=(const SelectorCache&) = delete;

  base::Result<Selector> parse(std::string_view text);

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

// The scheme of every IP set's identifier (spec §5.5): `kind` and 38 characters that stand for kind and content.
//   hashed_id("s:", selector.canonical())   hashed_id("n:", selector.unique_id() + ",tcp,http")
std::string hashed_id(std::string_view kind, std::string_view content);

// Whether the text parses; costs a third of building a Selector and keeps nothing.
base::Result<> check_selector(std::string_view text);

// Textual rewriting helpers of spec §5.7–5.8: parse, prefix every label name, print canonically.
base::Result<std::string> with_label_prefix(std::string_view selector, std::string_view prefix);

}  // namespace model
