// compact_map.h: an ordered map for a hundred thousand small entries. Where std::map spends a node of its own on each,
// forty bytes beside the entry, these lie side by side in sorted chunks of up to 64, which are full if keys came in
// order and by two thirds if they came at random. What it costs: an entry moves when its neighbours come and go, so a
// reference lasts only until the next insertion or removal, and there are no iterators.
//
// Costs: looking up two binary searches; inserting and removing also moving half a chunk, and now and then one pointer
// for each 64 entries.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

namespace base {

struct NoValue {};

template <typename Key, typename Value>
class CompactMap {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void clear() {
    chunks_.clear();
    size_ = 0;
  }

  // Null if it is not there.
  Value* find(const Key& key) {
    const Position at = position(key);
    return at.found ? &chunks_[at.chunk][at.place].value : nullptr;
  }
  const Value* find(const Key& key) const { return const_cast<CompactMap*>(this)->find(key); }
  bool contains(const Key& key) const { return position(key).found; }

  // Makes it of Value{} if it is not there.
  Value& operator[](const Key& key) {
    Position at = position(key);
    if (!at.found) at = insert_at(at, key);
    return chunks_[at.chunk][at.place].value;
  }
  // True if it was not there.
  bool insert(const Key& key) {
    const Position at = position(key);
    if (!at.found) insert_at(at, key);
    return !at.found;
  }

  bool erase(const Key& key) {
    const Position at = position(key);
    if (!at.found) return false;
    Chunk& chunk = chunks_[at.chunk];
    chunk.erase(chunk.begin() + offset(at.place));
    --size_;
    merge_small(at.chunk);
    return true;
  }

  // In ascending order; the visitor must not insert or remove.
  template <typename Visitor>  // void(const Key&, Value&)
  void for_each(Visitor visit) {
    for (Chunk& chunk : chunks_) {
      for (Entry& entry : chunk) visit(std::as_const(entry.key), entry.value);
    }
  }
  template <typename Visitor>  // void(const Key&, const Value&)
  void for_each(Visitor visit) const {
    for (const Chunk& chunk : chunks_) {
      for (const Entry& entry : chunk) visit(entry.key, entry.value);
    }
  }
  // From the first that is not less than `key`, for as long as the visitor returns true.
  template <typename Visitor>  // bool(const Key&, const Value&)
  void for_each_from(const Key& key, Visitor visit) const {
    const Position from = position(key);
    std::size_t place = from.place;
    for (std::size_t chunk = from.chunk; chunk < chunks_.size(); ++chunk, place = 0) {
      for (; place < chunks_[chunk].size(); ++place) {
        const Entry& entry = chunks_[chunk][place];
        if (!visit(entry.key, entry.value)) return;
      }
    }
  }
  // In ascending order.
  template <typename Predicate>  // bool(const Key&, Value&)
  void erase_if(Predicate leaves) {
    std::vector<Chunk> kept;
    size_ = 0;
    for (Chunk& chunk : chunks_) {
      std::erase_if(chunk, [&](Entry& entry) { return leaves(std::as_const(entry.key), entry.value); });
      if (chunk.empty()) continue;
      size_ += chunk.size();
      if (!kept.empty() && kept.back().size() + chunk.size() <= kMost) {
        append(kept.back(), chunk);
      } else {
        kept.push_back(std::move(chunk));
      }
    }
    chunks_ = std::move(kept);
  }

 private:
  struct Entry {
    Key key;
    [[no_unique_address]] Value value;
  };
  using Chunk = std::vector<Entry>;  // sorted, never empty
  struct Position {                  // where the key is, or would be
    std::size_t chunk = 0;
    std::size_t place = 0;
    bool found = false;
  };

  static constexpr std::size_t kMost = 64;

  static std::ptrdiff_t offset(std::size_t place) { return static_cast<std::ptrdiff_t>(place); }

  Position position(const Key& key) const {
    if (chunks_.empty()) return {};
    const auto behind = std::upper_bound(chunks_.begin(), chunks_.end(), key,
                                         [](const Key& a, const Chunk& b) { return a < b.front().key; });
    const auto chunk = behind == chunks_.begin() ? behind : std::prev(behind);
    const auto place =
        std::lower_bound(chunk->begin(), chunk->end(), key, [](const Entry& a, const Key& b) { return a.key < b; });
    return {static_cast<std::size_t>(chunk - chunks_.begin()), static_cast<std::size_t>(place - chunk->begin()),
            place != chunk->end() && place->key == key};
  }

  Position insert_at(Position at, const Key& key) {
    if (chunks_.empty()) chunks_.emplace_back();
    if (chunks_[at.chunk].size() == kMost) at = split(at);
    Chunk& chunk = chunks_[at.chunk];
    // Of one size, so that what one leaves another can take; only a small map, of which there may be many, is smaller.
    if (chunks_.size() > 1) chunk.reserve(kMost);
    chunk.insert(chunk.begin() + offset(at.place), Entry{key, Value{}});
    ++size_;
    return at;
  }

  // Makes room. Keys often come in order, and then the last chunk is left full and another begun behind it.
  Position split(Position at) {
    const bool in_order = at.place == kMost && at.chunk + 1 == chunks_.size();
    const std::size_t keep = in_order ? kMost : kMost / 2;
    Chunk rest;
    append(rest, chunks_[at.chunk], keep);
    chunks_.insert(chunks_.begin() + offset(at.chunk) + 1, std::move(rest));
    if (at.place < keep) return at;
    return {at.chunk + 1, at.place - keep, false};
  }

  static void append(Chunk& to, Chunk& from, std::size_t first = 0) {
    to.reserve(kMost);
    std::move(from.begin() + offset(first), from.end(), std::back_inserter(to));
    from.erase(from.begin() + offset(first), from.end());
  }

  // After a removal from this chunk.
  void merge_small(std::size_t chunk) {
    if (chunks_[chunk].empty()) {
      chunks_.erase(chunks_.begin() + offset(chunk));
      return;
    }
    for (const std::size_t first : {chunk, chunk - 1}) {  // of the first chunk, the second is none
      if (first >= chunks_.size() || first + 1 >= chunks_.size()) continue;
      if (chunks_[first].size() + chunks_[first + 1].size() > kMost / 2) continue;
      append(chunks_[first], chunks_[first + 1]);
      chunks_.erase(chunks_.begin() + offset(first) + 1);
      return;
    }
  }

  std::vector<Chunk> chunks_;
  std::size_t size_ = 0;
};

template <typename Key>
using CompactSet = CompactMap<Key, NoValue>;

}  // namespace base
