// field.h: reading a JSON value member by member, with a path for the message when something is wrong.
//
// Reading goes on after a problem: getters give an empty value and note the problem, so a decoder reads like a list of
// members, all problems of an object are found at once, and the caller looks at the end whether the object can be used.
// JSON null counts as absent everywhere, as it does for the writers.
//
// A Field refers to its parent and to the document; both must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

namespace model::decode {

namespace json = boost::json;

struct Problem {
  std::string field;
  std::string text;
  bool refuses = true;  // false: the object is used without the part in question
};

// What is wrong with one object. Only the first few are kept: a value of a megabyte can hold a hundred thousand.
class Problems {
 public:
  static constexpr std::size_t kMost = 8;
  void add(Problem problem);
  void clear();
  bool refused() const { return refused_; }
  const std::vector<Problem>& list() const { return list_; }

 private:
  std::vector<Problem> list_;
  bool refused_ = false;
};

class Field {
 public:
  Field(const json::object& document, Problems& problems) : object_(&document), problems_(&problems) {}

  Field member(std::string_view name) const&;
  Field member(std::string_view name) const&& = delete;  // the parent would be gone

  bool present() const { return object_ != nullptr || value_ != nullptr; }
  bool is_text() const { return value_ != nullptr && value_->is_string(); }

  std::string_view text() const;         // "" if absent
  bool boolean() const;                  // false if absent
  std::optional<double> number() const;  // nothing if absent
  std::optional<std::int64_t> integer(std::int64_t least, std::int64_t most) const;
  const json::object* object() const;  // null if absent
  std::size_t size() const;            // of a list, 0 if absent

  // Calls visit(Field) for each element of a list that is not null.
  template <typename Visit>
  void each(Visit visit) const {
    const json::array* const list = array();
    if (list == nullptr) return;
    for (std::size_t i = 0; i < list->size(); ++i) visit(Field(*this, {}, i, &(*list)[i]));
  }
  // Calls visit(Field, name, text) for each member of an object of texts; a null counts as empty text.
  template <typename Visit>
  void each_text(Visit visit) const {
    const json::object* const members = object();
    if (members == nullptr) return;
    for (const json::key_value_pair& member : *members) {
      const Field field(*this, member.key(), kNoIndex, &member.value());
      visit(field, std::string_view(member.key()), field.text());
    }
  }

  // The object cannot be used: `what` says what is wrong with this field, `remedy` what to write instead.
  void refuse(std::string_view what, std::string_view remedy) const;
  // The same with the field's own text in front: 'x' is not an address.
  void refuse_text(std::string_view what, std::string_view remedy) const;
  // This field is left out and the rest is used.
  void leave_out(std::string_view what, std::string_view remedy) const;

  std::string path() const;

 private:
  static constexpr std::size_t kNoIndex = SIZE_MAX;
  Field(const Field& parent, std::string_view name, std::size_t index, const json::value* value);
  const json::array* array() const;
  void refuse_type(std::string_view wanted) const;

  const Field* parent_ = nullptr;
  std::string_view name_;
  std::size_t index_ = kNoIndex;
  const json::object* object_ = nullptr;  // of the document itself, which is no json::value
  const json::value* value_ = nullptr;    // null if absent
  Problems* problems_ = nullptr;
};

// Text as it appears in a message: in quotes, cut if long, control characters replaced.
std::string quoted(std::string_view text);

}  // namespace model::decode
