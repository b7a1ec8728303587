#include "model/decode/field.h"

#include <cmath>

namespace model::decode {

void Problems::add(Problem problem) {
  refused_ = refused_ || problem.refuses;
  if (list_.size() < kMost) list_.push_back(std::move(problem));
}

void Problems::clear() {
  list_.clear();
  refused_ = false;
}

Field::Field(const Field& parent, std::string_view name, std::size_t index, const json::value* value)
    : parent_(&parent),
      name_(name),
      index_(index),
      value_(value != nullptr && value->is_null() ? nullptr : value),
      problems_(parent.problems_) {}

Field Field::member(std::string_view name) const& {
  const json::object* const members = object();
  return Field(*this, name, kNoIndex, members == nullptr ? nullptr : members->if_contains(name));
}

const json::object* Field::object() const {
  if (object_ != nullptr) return object_;
  if (value_ == nullptr) return nullptr;
  if (const json::object* const found = value_->if_object()) return found;
  refuse_type("an object");
  return nullptr;
}

const json::array* Field::array() const {
  if (value_ == nullptr) return nullptr;
  if (const json::array* const found = value_->if_array()) return found;
  refuse_type("a list");
  return nullptr;
}

std::size_t Field::size() const {
  const json::array* const list = value_ == nullptr ? nullptr : value_->if_array();
  return list == nullptr ? 0 : list->size();
}

std::string_view Field::text() const {
  if (value_ == nullptr) return {};
  if (const json::string* const found = value_->if_string()) return *found;
  refuse_type("a text");
  return {};
}

bool Field::boolean() const {
  if (value_ == nullptr) return false;
  if (const bool* const found = value_->if_bool()) return *found;
  refuse_type("true or false");
  return false;
}

std::optional<double> Field::number() const {
  if (value_ == nullptr) return std::nullopt;
  // Boost.JSON takes 1e400 for infinity and 0e400 for no number at all.
  if (value_->is_number() && std::isfinite(value_->to_number<double>())) return value_->to_number<double>();
  refuse_type("a number");
  return std::nullopt;
}

std::optional<std::int64_t> Field::integer(std::int64_t least, std::int64_t most) const {
  if (value_ == nullptr) return std::nullopt;
  json::error_code error;
  const auto found = value_->is_number() ? value_->to_number<std::int64_t>(error) : 0;
  if (value_->is_number() && !error && found >= least && found <= most) return found;
  refuse_type("a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

void Field::refuse(std::string_view what, std::string_view remedy) const {
  problems_->add({path(), std::string(what).append(": ").append(remedy), true});
}

void Field::refuse_text(std::string_view what, std::string_view remedy) const {
  const json::string* const own = value_ == nullptr ? nullptr : value_->if_string();
  refuse(quoted(own == nullptr ? std::string_view() : std::string_view(*own)).append(" ").append(what), remedy);
}

void Field::leave_out(std::string_view what, std::string_view remedy) const {
  problems_->add({path(), std::string(what).append(": ").append(remedy), false});
}

void Field::refuse_type(std::string_view wanted) const {
  refuse("has the wrong type or is out of range", std::string("give ").append(wanted));
}

std::string Field::path() const {
  if (parent_ == nullptr) return {};
  std::string text = parent_->path();
  if (index_ != kNoIndex) return text + "[" + std::to_string(index_) + "]";
  if (!text.empty()) text += '.';
  return text.append(name_);
}

std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  std::string out = "'";
  for (const char c : text.substr(0, kLongest)) out += c >= ' ' && c != '\x7f' ? c : '?';
  if (text.size() > kLongest) out += "...";
  return out + "'";
}

}  // namespace model::decode
