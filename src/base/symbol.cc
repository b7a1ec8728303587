#include "base/symbol.h"

#include <cstring>
#include <vector>

#include <boost/container_hash/hash.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include "base/check.h"

namespace base {
namespace {

// Texts are carved from chunks: one allocation per chunk instead of one per string.
constexpr std::size_t kChunkBytes = std::size_t{64} * 1024;

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  std::size_t operator()(Symbol symbol) const { return (*this)(symbol.view()); }
};
struct TextEqual {
  using is_transparent = void;
  bool operator()(Symbol a, Symbol b) const { return a == b; }
  bool operator()(Symbol a, std::string_view b) const { return a.view() == b; }
  bool operator()(std::string_view a, Symbol b) const { return a == b.view(); }
};

}  // namespace

struct Interner::Table {
  boost::unordered_flat_set<Symbol, TextHash, TextEqual> symbols;
  std::vector<std::unique_ptr<std::byte[]>> chunks;
  std::size_t chunk_left = 0;
  std::byte* chunk_next = nullptr;

  std::byte* allocate(std::size_t bytes) {
    bytes = (bytes + 7) & ~std::size_t{7};
    if (bytes > chunk_left) {
      const std::size_t size = bytes > kChunkBytes ? bytes : kChunkBytes;
      chunks.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
      chunk_next = chunks.back().get();
      chunk_left = size;
    }
    std::byte* place = chunk_next;
    chunk_next += bytes;
    chunk_left -= bytes;
    return place;
  }
};

Interner::Interner() : table_(std::make_unique<Table>()) {}
Interner::~Interner() = default;

Symbol Interner::intern(std::string_view text) {
  if (text.empty()) return Symbol();
  if (const auto known = table_->symbols.find(text); known != table_->symbols.end()) return *known;
  CHECK(text.size() < UINT32_MAX);
  std::byte* place = table_->allocate(sizeof(Symbol::Entry) + text.size());
  auto* entry = new (place)
      Symbol::Entry{static_cast<std::uint32_t>(table_->symbols.size() + 1), static_cast<std::uint32_t>(text.size())};
  std::memcpy(place + sizeof(Symbol::Entry), text.data(), text.size());
  const Symbol symbol(entry);
  table_->symbols.insert(symbol);
  return symbol;
}

Symbol Interner::find(std::string_view text) const {
  const auto known = table_->symbols.find(text);
  return known == table_->symbols.end() ? Symbol() : *known;
}

std::uint32_t Interner::size() const { return static_cast<std::uint32_t>(table_->symbols.size()); }

}  // namespace base
