#include "cli/output.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/strings.h"
#include "cli/go_template.h"
#include "cli/template_value.h"
#include "model/kinds/kinds.h"
#include "model/resource_text.h"
#include "os/files.h"

namespace cli {
namespace {

namespace json = boost::json;
using base::Error;
using base::ErrorKind;
using model::CellStyle;
using model::Column;
using model::Kind;
using model::Resource;

constexpr std::size_t kJoinedLimit = 80;
constexpr std::size_t kMinWidth = 5;
constexpr std::size_t kPadding = 3;

std::string_view view(const json::string_view& text) { return {text.data(), text.size()}; }

std::string plain_text(const json::value& value) {
  if (value.is_string()) return std::string(view(value.get_string()));
  if (value.is_double()) return model::format_float_for_table(value.get_double());
  return model::to_go_json(value);
}

std::string joined_text(const json::value& value) {
  std::vector<std::string> parts;
  if (value.is_array()) {
    for (const json::value& element : value.get_array()) parts.push_back(plain_text(element));
  } else if (value.is_object()) {
    for (const json::key_value_pair& member : value.get_object())
      parts.push_back(std::string(view(member.key())) + "=" + plain_text(member.value()));
    std::ranges::sort(parts);
  } else {
    return plain_text(value);
  }
  return base::join(parts, ",");
}

std::string zero_text(const Kind& kind, std::string_view path) {
  const model::Field* field = model::find_field(*kind.spec, path.substr(path.rfind('.') + 1));
  return field != nullptr && field->type == model::FieldType::kBool ? "false" : "0";
}

std::string absent_text(const Kind& kind, const Column& column) {
  switch (column.style) {
    case CellStyle::kPointer: return "<nil>";
    case CellStyle::kZero: return zero_text(kind, column.path);
    case CellStyle::kDash: return "-";
    case CellStyle::kNever: return "Never";
    case CellStyle::kText:
    case CellStyle::kJoined:
    case CellStyle::kTruncated:
    case CellStyle::kCustom: break;
  }
  return {};
}

std::string cell_text(const Resource& resource, const Column& column, const TableContext& context) {
  if (column.style == CellStyle::kCustom) return column.cell(resource, context.default_as_number);
  const json::value* value = model::find(resource, column.path);
  const bool empty = value == nullptr || (value->is_string() && value->get_string().empty());
  if (empty) return absent_text(*resource.kind, column);
  std::string text = joined_text(*value);
  if (column.style == CellStyle::kTruncated && text.size() > kJoinedLimit)
    text = text.substr(0, kJoinedLimit - 3) + "...";
  return text;
}

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

base::Result<std::vector<const Column*>> choose_columns(const Kind& kind, const OutputFormat& format,
                                                        const TableContext& context) {
  std::vector<std::string> headings = format.columns;
  if (format.style != OutputFormat::Style::kColumns) {
    if (context.with_namespace && kind.namespaced) headings.emplace_back("NAMESPACE");
    const std::string_view list = format.style == OutputFormat::Style::kWide ? kind.wide : kind.ps;
    for (const std::string_view heading : base::split(list, ' ')) headings.emplace_back(heading);
  }
  std::vector<const Column*> columns;
  for (const std::string& heading : headings) {
    const auto column = std::ranges::find(kind.columns, heading, &Column::heading);
    if (column == kind.columns.end()) {
      std::vector<std::string> valid;
      for (const Column& known : kind.columns) valid.emplace_back(known.heading);
      std::ranges::sort(valid);
      return base::fail(
          Error(ErrorKind::kInvalid, "unknown heading " + heading + ", valid values are: " + base::join(valid, ", ")));
    }
    columns.push_back(&*column);
  }
  return columns;
}

base::Result<std::string> table_of(const Kind& kind, std::span<const Resource> items, const OutputFormat& format,
                                   const TableContext& context) {
  const auto columns = choose_columns(kind, format, context);
  if (!columns) return base::fail(columns.error());
  std::vector<std::string> headings;
  for (const Column* column : *columns) headings.emplace_back(column->heading);
  std::vector<std::vector<std::string>> rows;
  for (const Resource& item : items) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const Column* column : *columns) row.push_back(cell_text(item, *column, context));
  }
  return format_table(headings, rows);
}

// A list's members in the order upstream's structure has them; YAML sorts anyway.
json::value display(const GetResult& result) {
  if (const auto* resource = std::get_if<Resource>(&result)) return display_object(*resource);
  const auto& list = std::get<ResourceList>(result);
  json::array items;
  for (const Resource& item : list.items) items.push_back(display_object(item));
  return json::object{{"kind", std::string(list.kind->name) + "List"},
                      {"apiVersion", model::kApiVersion},
                      {"metadata", {{"resourceVersion", list.resource_version}}},
                      {"items", std::move(items)}};
}

// A template sees the array of results, even of one.
base::Result<std::string> templated(const std::vector<GetResult>& results, const OutputFormat& format,
                                    const TableContext& context) {
  const auto parsed = GoTemplate::parse(format.template_text);
  if (!parsed) return base::fail(parsed.error());
  TemplateValue::List all;
  for (const GetResult& result : results)
    all.push_back(std::visit([](const auto& one) { return template_value(one); }, result));
  return parsed->run(TemplateValue(std::move(all)), {context.default_as_number});
}

}  // namespace

base::Result<OutputFormat> parse_format(std::string_view text) {
  using Style = OutputFormat::Style;
  const auto fail_with = [](std::string message) { return base::fail(Error(ErrorKind::kInvalid, std::move(message))); };
  OutputFormat format;
  if (text.empty() || text == "ps") return format;
  if (text == "wide") return OutputFormat{Style::kWide, {}, {}};
  if (text == "yaml" || text == "yml") return OutputFormat{Style::kYaml, {}, {}};
  if (text == "json") return OutputFormat{Style::kJson, {}, {}};
  constexpr std::string_view kColumns = "custom-columns";
  if (text == kColumns || text == std::string(kColumns) + "=") return fail_with("need to specify at least one column");
  if (text.starts_with(std::string(kColumns) + "=")) {
    format.style = Style::kColumns;
    for (const std::string_view column : base::split(text.substr(kColumns.size() + 1), ','))
      format.columns.emplace_back(column);
    return format;
  }
  constexpr std::string_view kTemplate = "go-template=", kTemplateFile = "go-template-file=";
  if (text.starts_with(kTemplateFile) && text.size() > kTemplateFile.size()) {
    auto content = os::read_file(std::string(text.substr(kTemplateFile.size())));
    if (!content) return base::fail(content.error());
    format.style = Style::kTemplate;
    format.template_text = *std::move(content);
    return format;
  }
  if (text.starts_with("go-template-file")) return fail_with("need to specify a template file");
  if (text.starts_with(kTemplate) && text.size() > kTemplate.size()) {
    format.style = Style::kTemplate;
    format.template_text = text.substr(kTemplate.size());
    return format;
  }
  if (text.starts_with("go-template")) return fail_with("need to specify a template");
  return fail_with("unrecognized output format '" + std::string(text) + "'");
}

std::string format_table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < headings.size(); ++i) {
    std::size_t longest = code_points(headings[i]);
    for (const auto& row : rows) longest = std::max(longest, code_points(row[i]));
    widths.push_back(std::max(kMinWidth, longest + kPadding));
  }
  std::string text;
  const auto append = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      text += cells[i] + std::string(widths[i] - code_points(cells[i]), ' ');
    text += "\n";
  };
  append(headings);
  for (const auto& row : rows) append(row);
  return text + "\n";
}

bool needs_default_as_number(const std::vector<GetResult>& results, const OutputFormat& format) {
  if (format.style == OutputFormat::Style::kTemplate) return format.template_text.find("config") != std::string::npos;
  if (format.style != OutputFormat::Style::kWide && format.style != OutputFormat::Style::kColumns) return false;
  return std::ranges::any_of(results, [](const GetResult& result) {
    const auto* resource = std::get_if<Resource>(&result);
    return (resource != nullptr ? resource->kind : std::get<ResourceList>(result).kind) == &model::kinds::kNode;
  });
}

base::Result<std::string> format_results(const std::vector<GetResult>& results, const OutputFormat& format,
                                         const TableContext& context) {
  using Style = OutputFormat::Style;
  if (format.style == Style::kYaml || format.style == Style::kJson) {
    json::value shown;
    if (results.size() == 1) {
      shown = display(results.front());
    } else {
      json::array all;
      for (const GetResult& result : results) all.push_back(display(result));
      shown = std::move(all);
    }
    return format.style == Style::kYaml ? model::to_go_yaml(shown) : model::to_go_json_indented(shown);
  }
  if (format.style == Style::kTemplate) return templated(results, format, context);
  std::string text;
  for (const GetResult& result : results) {
    const auto* resource = std::get_if<Resource>(&result);
    const auto table = resource != nullptr ? table_of(*resource->kind, std::span(resource, 1), format, context)
                                           : table_of(*std::get<ResourceList>(result).kind,
                                                      std::get<ResourceList>(result).items, format, context);
    if (!table) return table;
    text += *table;
  }
  return text;
}

}  // namespace cli
