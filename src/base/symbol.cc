#include "base/symbol.h"

#include <algorithm>
#include <vector>

#include <boost/unordered/unordered_flat_set.hpp>

#include "base/check.h"

namespace base {
namespace {

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

// Numbers are given out in turn; those of interners that are gone come again on the next way round.
std::uint32_t SymbolTexts::add(const char* chunk) {
  for (std::uint32_t tried = 0; tried < kChunks; ++tried) {
    const std::uint32_t number = next_.fetch_add(1, std::memory_order_relaxed) % kChunks;
    if (number == 0) continue;
    const char* free = nullptr;
    if (chunks_[number].compare_exchange_strong(free, chunk, std::memory_order_acq_rel)) return number;
  }
  check_failed("the process holds no more than 4 GB of names", __FILE__, __LINE__);
}

struct Interner::Table {
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::uint32_t number = 0;
  };

  boost::unordered_flat_set<Symbol, TextHash, TextEqual> symbols;
  std::vector<Chunk> chunks;
  std::size_t used = SymbolTexts::kChunkBytes;  // of the last chunk

  ~Table() {
    for (const Chunk& chunk : chunks) SymbolTexts::remove(chunk.number);
  }

  Symbol add(std::string_view text) {
    const std::size_t bytes = packed_size(text);
    // A text longer than a chunk gets a larger one to itself.
    if (used + bytes > SymbolTexts::kChunkBytes) add_chunk(std::max<std::size_t>(bytes, SymbolTexts::kChunkBytes));
    const Symbol symbol(chunks.back().number * SymbolTexts::kChunkBytes + static_cast<std::uint32_t>(used));
    pack_text(text, chunks.back().bytes.get() + used);
    used += bytes;
    symbols.insert(symbol);
    return symbol;
  }

  void add_chunk(std::size_t bytes) {
    Chunk chunk{std::make_unique_for_overwrite<char[]>(bytes)};
    chunk.number = SymbolTexts::add(chunk.bytes.get());
    chunks.push_back(std::move(chunk));
    used = 0;
  }
};

Interner::Interner() : table_(std::make_unique<Table>()) {}
Interner::~Interner() = default;

Symbol Interner::intern(std::string_view text) {
  if (text.empty()) return Symbol();
  if (const auto known = table_->symbols.find(text); known != table_->symbols.end()) return *known;
  return table_->add(text);
}

Symbol Interner::find(std::string_view text) const {
  const auto known = table_->symbols.find(text);
  return known == table_->symbols.end() ? Symbol() : *known;
}

std::uint32_t Interner::size() const { return static_cast<std::uint32_t>(table_->symbols.size()); }

}  // namespace base
