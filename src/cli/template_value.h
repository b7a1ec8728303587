// template_value.h: what a Go template sees of resources (spec cli §4): structures with the names of Go's types, not
// those of JSON, and with every member, zero ones too. Cheap to copy.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cli/client.h"
#include "model/resource.h"

namespace cli {

class TemplateValue {
 public:
  struct Nil {};      // a pointer without object
  struct Missing {};  // what a map says about a key that it does not have
  using List = std::vector<TemplateValue>;
  using Map = std::map<std::string, TemplateValue>;
  struct Struct {
    std::string type;  // for messages
    std::vector<std::pair<std::string, TemplateValue>> members;
  };

  TemplateValue() = default;
  explicit TemplateValue(bool value) : content_(value) {}
  explicit TemplateValue(std::int64_t value) : content_(value) {}
  explicit TemplateValue(double value) : content_(value) {}
  explicit TemplateValue(std::string value) : content_(std::move(value)) {}
  explicit TemplateValue(List value) : content_(std::make_shared<const List>(std::move(value))) {}
  explicit TemplateValue(Map value) : content_(std::make_shared<const Map>(std::move(value))) {}
  explicit TemplateValue(Struct value) : content_(std::make_shared<const Struct>(std::move(value))) {}
  static TemplateValue missing();

  // Null if it is something else.
  const bool* boolean() const { return std::get_if<bool>(&content_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&content_); }
  const double* real() const { return std::get_if<double>(&content_); }
  const std::string* text() const { return std::get_if<std::string>(&content_); }
  const List* list() const { return pointed<List>(); }
  const Map* map() const { return pointed<Map>(); }
  const Struct* structure() const { return pointed<Struct>(); }
  bool is_nil() const { return std::holds_alternative<Nil>(content_); }
  bool is_missing() const { return std::holds_alternative<Missing>(content_); }

  // Not nil, zero or empty.
  bool truth() const;
  // As Go prints it with %v.
  std::string printed() const;
  // "string", "v3.IPPoolSpec"
  std::string type() const;
  // A member of a structure, also one of an embedded structure, or of a map; null if a structure has none of that name.
  const TemplateValue* find(std::string_view name) const;

 private:
  template <typename T>
  const T* pointed() const {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&content_);
    return pointer == nullptr ? nullptr : pointer->get();
  }

  std::variant<Nil, Missing, bool, std::int64_t, double, std::string, std::shared_ptr<const List>,
               std::shared_ptr<const Map>, std::shared_ptr<const Struct>>
      content_;
};

TemplateValue template_value(const model::Resource& resource);
TemplateValue template_value(const ResourceList& list);

}  // namespace cli
