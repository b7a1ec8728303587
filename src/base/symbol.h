// symbol.h: interned strings. Equal text gives the same Symbol, so comparing is comparing numbers, and a label costs
// eight bytes wherever it is used.
//
// Thread rules: an Interner belongs to one thread; the symbols it hands out are immutable and may be read by any thread
// that received them through a queue. Symbols live as long as their Interner; nothing is ever freed, so intern only
// what repeats (label names and values, policy, profile, tier and host names), never what is unique per endpoint.
#pragma once

#include <array>
#include <atomic>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/packed_text.h"

namespace base {

class Symbol {
 public:
  Symbol() = default;  // the empty string

  std::string_view view() const;
  bool empty() const { return id_ == 0; }
  // No other symbol has it while its interner lives; 0 for the empty string. Neither dense nor the same from run to
  // run: for hashing and for the order inside an index, never for ordering output.
  std::uint32_t id() const { return id_; }

  friend bool operator==(Symbol, Symbol) = default;
  // By text, so that sorted output never depends on the order of interning.
  friend std::strong_ordering operator<=>(Symbol a, Symbol b) {
    return a.id_ == b.id_ ? std::strong_ordering::equal : a.view() <=> b.view();
  }

 private:
  friend class Interner;
  explicit Symbol(std::uint32_t id) : id_(id) {}
  std::uint32_t id_ = 0;  // where the text lies: chunk and offset, see SymbolTexts
};

// Where the texts of all interners lie, in chunks with a number each. It is the one table that
// a whole process shares: through it a symbol can be read by whoever has it, without its interner, although it is half
// the size of a pointer. In a cloud of a hundred thousand endpoints that halves the two million labels.
//
// Any thread may read; a chunk's owner alone writes it. There are at most 4 GB of text.
class SymbolTexts {
 public:
  static constexpr std::uint32_t kChunkBytes = 1u << 16;  // so an offset has 16 bits, as has the number of a chunk
  static constexpr std::uint32_t kChunks = 1u << 16;

  // Gives the chunk a number that no living one has, never 0. Aborts if there is none left.
  static std::uint32_t add(const char* chunk);
  static void remove(std::uint32_t number) { chunks_[number].store(nullptr, std::memory_order_release); }

  static const char* at(std::uint32_t id) {
    return chunks_[id / kChunkBytes].load(std::memory_order_relaxed) + id % kChunkBytes;
  }

 private:
  // Half a megabyte of address space, of which the parts in use are touched.
  static inline constinit std::array<std::atomic<const char*>, kChunks> chunks_{};
  static inline constinit std::atomic<std::uint32_t> next_{1};
};

inline std::string_view Symbol::view() const {
  return empty() ? std::string_view() : unpack_text(SymbolTexts::at(id_));
}

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
