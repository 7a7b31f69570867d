// RFC 8259: what is accepted, what is refused, how it is written.
import Testing
import WeftBase

@Suite("JSON values")
struct JSONValueTests {
  @Test(
    "accepted texts and their compact form",
    arguments: [
      (" { } ", "{}"), ("[ ]", "[]"), ("[1 , 2]", "[1,2]"), ("null", "null"), ("\t\r\n true", "true"), ("0", "0"),
      ("-0", "-0"), ("-0.0e+00", "-0.0e+00"), ("123456789012345678901234567890", "123456789012345678901234567890"),
      (#""\u00e9\ud83e\uddf5\/\b\f\n\r\t""#, #""é🧵/\u0008\u000c\n\r\t""#),
      (#"{"b":1,"a":{"":[]}}"#, #"{"b":1,"a":{"":[]}}"#),
      (#""\u0000""#, #""\u0000""#), (#""""#, #""""#), ("\"\u{7F}\"", #""\u007f""#),
    ])
  func accepted(_ text: String, _ compact: String) throws {
    let value = try JSONValue(parsing: text)
    #expect(value.text() == compact)
    #expect(try JSONValue(parsing: compact) == value)
    #expect(try JSONValue(parsing: value.text(.pretty)) == value)
  }

  @Test(
    "refused texts",
    arguments: [
      "", " ", "nul", "True", "tru", "nullx", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "1 2",
      "[1,]",
      "[,1]", "[1", "[1 2]", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":1 \"b\":2}",
      "{\"a\":1}}",
      "{\"a\":1,\"a\":2}", #"{"a":1,"\u0061":2}"#, "\"", "\"a", "\"\\\"", #""\x""#, #""\u12""#, #""\ud800""#,
      #""\udc00""#,
      #""\ud800\u0041""#, "\"\n\"", "\"\t\"", "// c\n1", "[1]/*c*/", "\u{FEFF}1", "'a'", "]", ":", ",",
    ])
  func refused(_ text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
  }

  @Test("strings must be valid UTF-8")
  func invalidUTF8() {
    for bytes: [UInt8] in [[0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82]] {
      #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22] + bytes + [0x22]) }
      #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0x5C, 0x6E] + bytes + [0x22]) }
    }
  }

  @Test("a text cut anywhere is refused")
  func truncation() throws {
    let text = Array(#"{"a":[1,-2.5e3,"x\u00e9\\"],"b":{"c":null,"d":true}}"#.utf8)
    _ = try JSONValue(parsing: text)
    for count in 0..<text.count {
      #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text[..<count])) }
    }
  }

  @Test("errors carry line and column")
  func position() {
    let error = #expect(throws: JSONError.self) { try JSONValue(parsing: "{\n  \"a\": 1,\n  \"a\": 2\n}") }
    #expect(error?.line == 3)
    #expect(error?.column == 3)
    #expect(error?.message.contains("duplicate") == true)
  }

  @Test("duplicates are found among many members")
  func manyMembers() throws {
    let members = (0..<50).map { "\"k\($0)\":\($0)" }
    #expect(try JSONValue(parsing: "{" + members.joined(separator: ",") + "}").objectValue?.count == 50)
    for i in [0, 7, 8, 9, 49] {
      #expect(throws: JSONError.self) {
        try JSONValue(parsing: "{" + (members + ["\"k\(i)\":1"]).joined(separator: ",") + "}")
      }
    }
  }

  @Test("limits: depth, bytes, values")
  func limits() {
    let deep = String(repeating: "[", count: 101) + String(repeating: "]", count: 101)
    #expect(throws: JSONError.self) { try JSONValue(parsing: deep) }
    #expect(throws: Never.self) { try JSONValue(parsing: deep, limits: JSONLimits(depth: 101)) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: String(repeating: "[", count: 1_000_000)) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: "[1,2]", limits: JSONLimits(bytes: 4)) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: "[1,2]", limits: JSONLimits(values: 2)) }
  }

  @Test("members keep their order, or are sorted on request")
  func order() {
    let value: JSONValue = ["b": ["d": 1, "c": 2], "a": [true]]
    #expect(value.text() == #"{"b":{"d":1,"c":2},"a":[true]}"#)
    #expect(value.text(.canonical) == #"{"a":[true],"b":{"c":2,"d":1}}"#)
    #expect(
      value.text(JSONStyle(pretty: true, sorted: true))
        == "{\n  \"a\": [\n    true\n  ],\n  \"b\": {\n    \"c\": 2,\n    \"d\": 1\n  }\n}")
  }

  @Test("reading and changing members")
  func access() {
    var value: JSONValue = ["a": [1, "x"], "n": 2.5]
    #expect(value["a"]?[0]?.intValue == 1)
    #expect(value["a"]?[2] == nil)
    #expect(value["n"]?.doubleValue == 2.5)
    #expect(value["n"]?.intValue == nil)
    value["n"] = nil
    value["b"] = true
    #expect(value == ["a": [1, "x"], "b": true])
    #expect(JSONValue.number("1e3").intValue == 1000)
    #expect(JSONValue.number("1e300").intValue == nil)
    #expect(JSONValue.double(1e300).numberText == "1e+300")
    #expect(JSONValue.double(-0.0).numberText == "-0.0")
    #expect(JSONValue.double(3).numberText == "3")
  }

  @Test(
    "base64 both ways", arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")])
  func base64(_ plain: String, _ coded: String) {
    #expect(Base64.encode(Array(plain.utf8)) == coded)
    #expect(Base64.decode(coded.utf8) == Array(plain.utf8))
    #expect(Base64.decode(coded.filter { $0 != "=" }.utf8) == Array(plain.utf8))
  }

  @Test("not base64", arguments: ["a", "a===", "Zg=", "Zg===", "=Zg=", "Z g=", "Zm9v=", "Zm9vé"])
  func notBase64(_ text: String) { #expect(Base64.decode(text.utf8) == nil) }
}
