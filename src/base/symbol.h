// symbol.h: interned strings. Equal text gives the same Symbol, so comparing is comparing pointers, and a label costs
// eight bytes wherever it is used.
//
// Thread rules: an Interner belongs to one thread; the symbols it hands out are immutable and may be read by any thread
// that received them through a queue. Symbols live as long as their Interner; nothing is ever freed, so intern only
// what repeats (label names and values, policy, profile, tier and host names), never what is unique per endpoint.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace base {

class Symbol {
 public:
  Symbol() = default;  // the empty string

  std::string_view view() const { return entry_ ? std::string_view(entry_->text(), entry_->size) : std::string_view(); }
  bool empty() const { return entry_ == nullptr; }
  // Dense: 1, 2, 3 … in order of first interning; 0 for the empty string. For indexing arrays, never for ordering
  // output.
  std::uint32_t id() const { return entry_ ? entry_->id : 0; }

  friend bool operator==(Symbol a, Symbol b) { return a.entry_ == b.entry_; }
  // By text, so that sorted output never depends on the order of interning.
  friend std::strong_ordering operator<=>(Symbol a, Symbol b) {
    return a.entry_ == b.entry_ ? std::strong_ordering::equal : a.view() <=> b.view();
  }

 private:
  friend class Interner;
  struct Entry {
    std::uint32_t id;
    std::uint32_t size;
    const char* text() const { return reinterpret_cast<const char*>(this + 1); }
  };
  explicit Symbol(const Entry* entry) : entry_(entry) {}
  const Entry* entry_ = nullptr;
};

class Interner {
 public:
  Interner();
  ~Interner();
  Interner(const Interner&) = delete;
  Interner& operator=(const Interner&) = delete;

  Symbol intern(std::string_view text);
  // The symbol if the text is known, else the empty symbol. Never grows the table.
  Symbol find(std::string_view text) const;
  std::uint32_t size() const;

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

}  // namespace base

template <>
struct std::hash<base::Symbol> {
  std::size_t operator()(base::Symbol s) const noexcept { return s.id() * 0x9E3779B97F4A7C15ull; }
};
