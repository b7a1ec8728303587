#include "model/resource_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>

namespace model {
namespace {

namespace json = boost::json;

TEST(ResourceText, SplitsDocuments) {
  using ::testing::ElementsAre;
  EXPECT_THAT(split_documents("a: 1\n--- # next\nb: 2\n"), ElementsAre("a: 1\n", "b: 2\n"));
  EXPECT_THAT(split_documents("---\na: 1\n---\n"), ElementsAre("---\na: 1\n"));
  EXPECT_TRUE(split_documents("").empty());
  EXPECT_THAT(split_documents("a: 1\n---\n---\nb: 2"), ElementsAre("a: 1\n", "---\nb: 2"));
}

TEST(ResourceText, ResolvesPlainScalarsAsYaml11) {
  struct Case {
    std::string_view yaml, json;
  };
  const Case kCases[] = {
      {"yes", "true"},
      {"n", "false"},
      {"off", "false"},
      {"~", "null"},
      {"", "null"},
      {"0x10", "16"},
      {"010", "8"},
      {"0o17", "15"},
      {"1_000", "1000"},
      {"-5", "-5"},
      {"1.50", "1.5"},
      {"1e3", "1E3"},
      {"'yes'", "\"yes\""},
      {"\"1\"", "\"1\""},
      {"1.2.3.4", "\"1.2.3.4\""},
      {"fd00::1", "\"fd00::1\""},
      {"10.0.0.0/8", "\"10.0.0.0/8\""},
      {"18446744073709551615", "18446744073709551615"},
      {"|\n  text\n", "\"text\\n\""},
      {"[a, 1]", "[\"a\",1]"},
      {"a: b\n---\n", "{\"a\":\"b\"}"},
      {"a: &x {c: 1}\nb: {<<: *x, d: 2}", R"({"a":{"c":1},"b":{"c":1,"d":2}})"},
      {"a: {<<: [{c: 1}, {d: 2}]}", R"({"a":{"c":1,"d":2}})"},
      {"a: {'<<': 1}", R"({"a":{"<<":1}})"},
      {"0X1f", "31"},
      {"0O17", "15"},
      {"-0B11", "-3"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"{yes: a, 010: b, 1.50: c, 'no': d, 1e3: e}", R"({"true":"a","8":"b","1.5":"c","no":"d","1000":"e"})"},
      {"[!!int '5', !!str 5, !!bool 'yes', !!float '1.5', !!null '']", R"([5,"5",true,1.5,null])"},
  };
  for (const Case& c : kCases) {
    const auto value = parse_document(c.yaml);
    ASSERT_TRUE(value) << c.yaml << value.error().text();
    EXPECT_EQ(*value, json::parse(c.json)) << c.yaml;
  }
}

TEST(ResourceText, ReadsJsonThatIsNotYaml) {
  const auto tabs = parse_document("{\n\t\"a\":\t\"\\ud83d\\ude00\\/\"}");
  ASSERT_TRUE(tabs) << tabs.error().text();
  EXPECT_EQ(to_go_json(*tabs), "{\"a\":\"\xF0\x9F\x98\x80/\"}");
  EXPECT_FALSE(parse_document("{\"a\": 1, \"a\": 2}"));
}

TEST(ResourceText, RefusesNumbersThatNoDoubleHolds) {
  for (const std::string_view bad : {"[1e400]", "[-1e400]", R"({"a":[0e400]})"}) EXPECT_FALSE(parse_json(bad)) << bad;
  EXPECT_TRUE(parse_json("[1e308, 1e-400, 0e4]"));
}

TEST(ResourceText, RefusesBadDocuments) {
  for (const std::string_view bad :
       {"a: [", "a: b: c", "\t- x", "? [1]\n: 2", "- a\nb: c", " a: b\nc: d", "a: &x {c: 1}\nb: {<<: *x, c: 2}",
        "a: {<<: 1}", "~: a", "yes: a\ntrue: b", "a: !!int x", "a: !!null x", "a: \x01", "{\"a\":1},b",
        "{\"metadata\":\"p\"},z0}}", "a: 1\n---\nb: 2", "a: 1\n...\nb"})
    EXPECT_FALSE(parse_document(bad)) << bad;
  EXPECT_FALSE(parse_document(std::string(500, '[') + std::string(500, ']')));
}

TEST(ResourceText, EmptyDocumentsMayFollow) {
  const auto value = parse_document("a: 1\n---\n---\n# nothing\n");
  ASSERT_TRUE(value) << value.error().text();
  EXPECT_EQ(*value, json::parse(R"({"a":1})"));
}

// Each level repeats the one before it nine times.
TEST(ResourceText, AliasesMayNotMakeADocumentHuge) {
  const auto nested = [](int levels) {
    std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
    for (int level = 1; level < levels; ++level) {
      const std::string name = "a" + std::to_string(level);
      const std::string before = "*a" + std::to_string(level - 1);
      text += name + ": &" + name + " [" + before;
      for (int i = 1; i < 9; ++i) text += ", " + before;
      text += "]\n";
    }
    return text;
  };
  EXPECT_TRUE(parse_document(nested(3)));
  const auto huge = parse_document(nested(8));
  ASSERT_FALSE(huge);
  EXPECT_THAT(huge.error().text(), testing::HasSubstr("aliases"));
}

TEST(ResourceText, WritesYamlAsGoDoes) {
  const json::value value =
      json::parse(R"j({"kind":"X","b":{"list":[{"z":1,"a":["x","y"]},"plain"],"empty":[],"none":{}},
    "text":{"number":"123","bool":"yes","null":"~","colon":"a: b","star":"*","hash":"a #b","quote":"it's","selector":"a == 'b'",
            "all":"all()","lines":"one\ntwo\n","blank":" x","time":"2026-01-15T10:20:30Z","mac":"fa:16:3e:00:11:22","v":"12:30","dash":"- x","empty":""}})j");
  EXPECT_EQ(to_go_yaml(value), R"(b:
  empty: []
  list:
  - a:
    - x
    - "y"
    z: 1
  - plain
  none: {}
kind: X
text:
  all: all()
  blank: ' x'
  bool: "yes"
  colon: 'a: b'
  dash: '- x'
  empty: ""
  hash: 'a #b'
  lines: |
    one
    two
  mac: fa:16:3e:00:11:22
  "null": "~"
  number: "123"
  quote: it's
  selector: a == 'b'
  star: '*'
  time: "2026-01-15T10:20:30Z"
  v: "12:30"
)");
}

// The expected texts are those of sigs.k8s.io/yaml 1.4, which calicoctl prints with.
TEST(ResourceText, FoldsAndQuotesYamlAsGoDoes) {
  const std::string id = "sg.projectcalico.org/openstack-8f1c0d5a-5b0e-4a39-9f0e-2f3fbb6b8a11";
  const json::value value = {
      {"blanks", "a  " + id + "  b " + id + " c"},
      {"double", "\t" + id + " " + id + " x"},
      {"emoji", "\xF0\x9F\x98\x80"},
      {"list",
       json::array{"8000:8010", "90:91", "22:22", "1:59", "-1:2:3.5", "(has(" + id + ") && has(" + id + ")) || all()"}},
      {"one", "has(" + id + ") has(" + id + ")"},
      {"single", "# " + id + " " + id + " x"},
      {"torn", "a \nb"},
  };
  EXPECT_EQ(to_go_yaml(value), "blanks: a  " + id + "  b\n  " + id + " c\n" +       //
                                   "double: \"\\t" + id + " " + id + "\n  x\"\n" +  //
                                   "emoji: \"\\U0001F600\"\n" +                     //
                                   "list:\n- 8000:8010\n- 90:91\n- \"22:22\"\n- \"1:59\"\n- \"-1:2:3.5\"\n" +
                                   "- (has(" + id + ") && has(" + id + "))\n  || all()\n" +  //
                                   "one: has(" + id + ") has(" + id + ")\n" +                //
                                   "single: '# " + id + " " + id + "\n  x'\n" +              //
                                   "torn: \"a \\nb\"\n");
}

TEST(ResourceText, YamlReadsBackAsItself) {
  for (const std::string_view text : {"",
                                      "a",
                                      "1",
                                      "yes",
                                      "~",
                                      "a: b",
                                      " x ",
                                      "'",
                                      "\"",
                                      "\n",
                                      "a\n",
                                      "a\n\nb",
                                      "\x01",
                                      "\t",
                                      "-",
                                      "- a",
                                      "#",
                                      "{",
                                      "*",
                                      "0x1f",
                                      "1_000",
                                      "=",
                                      "<<",
                                      "é",
                                      "a'b\"c",
                                      "trailing ",
                                      "key:",
                                      "%",
                                      "@",
                                      "`",
                                      "!tag",
                                      "&x",
                                      "| x",
                                      "2001-01-01",
                                      "1:20",
                                      "8000:8010",
                                      "\xE2\x80\xA8x",
                                      "a\xC2\x85"
                                      "b",
                                      "\xEF\xBB\xBFx",
                                      "\xF0\x9F\x98\x80"}) {
    json::object object;
    object["k"] = json::string(json::string_view(text.data(), text.size()));
    object["list"] = json::array{object["k"]};
    const std::string yaml = to_go_yaml(object);
    const auto back = parse_document(yaml);
    ASSERT_TRUE(back) << yaml << back.error().text();
    EXPECT_EQ(*back, json::value(object)) << yaml;
  }
}

TEST(ResourceText, WritesJsonAsGoDoes) {
  json::object object;
  object["a"] = "<&>\xE2\x80\xA8\x01\xff\"";
  object["b"] = json::array();
  object["c"] = json::array{1, 2.5, nullptr};
  EXPECT_EQ(to_go_json(object), R"({"a":"\u003c\u0026\u003e\u2028\u0001\ufffd\"","b":[],"c":[1,2.5,null]})");
  EXPECT_EQ(to_go_json_indented(object),
            "{\n  \"a\": \"\\u003c\\u0026\\u003e\\u2028\\u0001\\ufffd\\\"\",\n  \"b\": [],\n  \"c\": [\n    1,\n    "
            "2.5,\n    null\n  ]\n}");
}

}  // namespace
}  // namespace model
