// YAML 1.2 as JSON values: the core schema, positions, what is refused, the writer.
import Testing
import WeftBase
import WeftYAML

@Suite("YAML")
struct YAMLTests {
  private func value(_ text: String) throws -> JSONValue { try YAML.document(text).value }

  @Test(
    "plain scalars follow the core schema of YAML 1.2",
    arguments: [
      ("true", .bool(true)), ("True", .bool(true)), ("FALSE", .bool(false)), ("tRUE", "tRUE"),
      ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"), ("NO", "NO"),
      ("null", .null), ("~", .null), ("", .null), ("Null", .null), ("nULL", "nULL"),
      ("0", .number("0")), ("-17", .number("-17")), ("+5", .number("5")), ("012", .number("12")),
      ("0o17", .number("15")), ("0xfF", .number("255")), ("0x", "0x"), ("0b11", "0b11"), ("0o+7", "0o+7"),
      ("1_000", "1_000"), ("1:30", "1:30"), ("12:30:45", "12:30:45"), ("2001-12-14", "2001-12-14"),
      ("1.5", .number("1.5")), (".5", .number("0.5")), ("1.", .number("1")), ("1.e3", .number("1e3")),
      ("-0.0", .number("-0.0")), ("1e3", .number("1e3")), ("1E-3", .number("1e-3")), ("e3", "e3"), (".", "."),
      ("1.10", .number("1.10")), ("1.2.3", "1.2.3"), ("123456789012345678901", .number("123456789012345678901")),
      (".inf", "Infinity"), ("-.INF", "-Infinity"), (".nan", "NaN"), ("nan", "nan"),
      ("'true'", "true"), ("\"12\"", "12"), ("! 12", "12"), ("!!str 12", "12"), ("!!int 12", .number("12")),
      ("!!float 1.5", .number("1.5")), ("!!bool true", .bool(true)), ("!!null ~", .null),
    ] as [(String, JSONValue)])
  func plainScalars(_ text: String, _ expected: JSONValue) throws {
    #expect(try value(text) == expected)
    #expect(try value("- \(text)") == [expected])
    #expect(try value("key: \(text)") == ["key": expected])
  }

  @Test(
    "IPv6 addresses stand in flow lists and maps without quotes, as YAML has it",
    arguments: [
      ("[::1]", ["::1"]), ("[2001:db8::1, fd00::/8, fd00::, ::1]", ["2001:db8::1", "fd00::/8", "fd00::", "::1"]),
      ("{a: ::1, b: '::1', c: [::]}", ["a": "::1", "b": "::1", "c": ["::"]]),
      ("[::1, \"a # ::2\", 'b, ::3'] # [::4]", ["::1", "a # ::2", "b, ::3"]),
      ("[ ::ffff:10.0.0.1 , ::1\n]", ["::ffff:10.0.0.1", "::1"]),
    ] as [(String, JSONValue)])
  func addressesInFlow(_ text: String, _ expected: JSONValue) throws {
    #expect(try value("x: \(text)") == ["x": expected])
  }

  @Test("what is wrong beside an address in a flow list is told as if it were not there")
  func faultBesideAddress() {
    #expect(throws: YAMLError.self) { try value("x: [::1") }
    #expect(throws: YAMLError.self) { try value("x: [::1]\ny: [a, ]]") }
  }

  @Test("lists, maps, block texts, comments, anchors")
  func document() throws {
    let text = """
      # a comment
      name: &n reviews
      hosts: [a, 'b', {c: 1}]
      text: |
        two
        lines
      folded: >-
        one
        line
      base: &base
        port: 80
      copy: *base
      alias: *n
      *n : key
      1: number
      empty: {}
      """
    #expect(
      try value(text) == [
        "name": "reviews", "hosts": ["a", "b", ["c": 1]], "text": "two\nlines\n", "folded": "one line",
        "base": ["port": 80], "copy": ["port": 80], "alias": "reviews", "reviews": "key", "1": "number", "empty": [:],
      ])
  }

  @Test("a byte order mark is no part of the first line")
  func byteOrderMark() throws {
    #expect(try YAML.document("\u{feff}a: 1\nb: 2\n").value == ["a": 1, "b": 2])
  }

  @Test("several documents, empty ones among them")
  func documents() throws {
    #expect(try YAML.documents("a: 1\n---\n---\n- x\n...\n").map(\.value) == [["a": 1], nil, ["x"]])
    #expect(try YAML.documents("").isEmpty)
    #expect(try YAML.documents("# nothing\n").isEmpty)
    #expect(throws: YAMLError.self) { try YAML.document("1\n---\n2\n") }
  }

  @Test(
    "what is refused, and where",
    arguments: [
      ("a: 1\nb: 2\na: 3", "duplicate key", 3, 1), ("'a': 1\na: 3", "duplicate key", 2, 1),
      ("a: *x", "alias", 1, 4), ("a: &x [*x]", "alias", 1, 8), ("a: &x 1\n---\nb: *x", "alias", 3, 4),
      ("? [a]\n: 1", "key must be a scalar", 1, 3), ("<<: {a: 1}", "merge keys", 1, 1),
      ("!custom 1", "tag", 1, 1), ("a: !!binary aGk=", "tag", 1, 4), ("!!int x", "tag", 1, 1),
      ("!!set {a}", "tag", 1, 1),
      ("a: [1", "", 0, 0), ("a: 'x", "", 0, 0), ("a:\n\t- x", "", 0, 0), ("a: @x", "", 0, 0), ("a: b: c", "", 1, 5),
      ("%YAML 3.0\n---\na", "", 0, 0),
    ])
  func refused(_ text: String, _ message: String, _ line: Int, _ column: Int) {
    let error = #expect(throws: YAMLError.self) { try YAML.documents(text) }
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
    if line > 0 { #expect(error?.position == YAMLPosition(line: line, column: column)) }
  }

  @Test("bytes that are not UTF-8 are refused")
  func invalidUTF8() {
    for bytes: [UInt8] in [[0x61, 0xFF], [0x22, 0xED, 0xA0, 0x80, 0x22], [0xC0, 0xAF], [0x00], [0xFE, 0xFF]] {
      #expect(throws: YAMLError.self) { try YAML.documents(bytes) }
    }
  }

  @Test("aliases that multiply are bounded by the nodes they make")
  func billionLaughs() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for i in 1...9 {
      let items = Array(repeating: "*a\(i - 1)", count: 9).joined(separator: ", ")
      text += "a\(i): &a\(i) [\(items)]\n"
    }
    let error = #expect(throws: YAMLError.self) { try YAML.documents(text) }
    #expect(error?.message.contains("limit") == true)
  }

  @Test("depth is bounded, also through aliases")
  func depth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(throws: Never.self) { try YAML.documents(nested(100)) }
    #expect(throws: YAMLError.self) { try YAML.documents(nested(101)) }
    #expect(throws: YAMLError.self) { try YAML.documents(nested(100_000)) }
    var text = "l0: &l0 [x]\n"
    for i in 1...200 { text += "l\(i): &l\(i) [*l\(i - 1)]\n" }
    #expect(throws: YAMLError.self) { try YAML.documents(text) }
  }

  @Test("size and number of documents are bounded")
  func limits() {
    #expect(throws: YAMLError.self) { try YAML.documents("abcdef", limits: YAMLLimits(bytes: 5)) }
    #expect(throws: YAMLError.self) { try YAML.documents("1\n---\n2\n---\n3", limits: YAMLLimits(documents: 2)) }
    #expect(throws: YAMLError.self) { try YAML.documents("[1, 2, 3]", limits: YAMLLimits(nodes: 3)) }
  }

  @Test("positions of paths, and of the nearest value around a path that is not there")
  func positions() throws {
    let text = "kind: X\nspec:\n  hosts:\n  - a\n  - name: b\n    port: 1\n"
    let document = try YAML.document(text)
    func at(_ elements: FieldPath.Element...) -> String { "\(document.position(of: FieldPath(elements)))" }
    #expect(at() == "line 1, column 1")
    #expect(at(.field("kind")) == "line 1, column 1")
    #expect(at(.field("spec")) == "line 2, column 1")
    #expect(at(.field("spec"), .field("hosts"), .index(0)) == "line 4, column 5")
    #expect(at(.field("spec"), .field("hosts"), .index(1), .field("port")) == "line 6, column 5")
    #expect(at(.field("spec"), .key("hosts"), .index(7)) == "line 3, column 3")
    #expect(at(.field("nope")) == "line 1, column 1")
  }

  static let values: [JSONValue] = [
    nil, true, 12, "text", "", [], [:], ["a", ["b", []], [["c"]], ["k": 1, "l": [["m": nil]]]],
    ["a": ["b": ["c": [1, 2]], "d": [:]], "e": [["f": "x", "g": ["h"]], "i"], "j": nil],
    [
      "text": "two\nlines\n", "bare": "two\nlines", "odd": "x\n\n", "lead": " a\nb", "trail": "a \nb",
      "blank": "a\n\nb",
    ],
    ["yes": "no", "on": "off", "true": "false", "null": "~", "1": "1.5", "0x1": "0o7", "-": "- a", "": " "],
    ["k": "a: b", "l": "a #b", "m": "# c", "n": "*x", "o": "&x", "p": "!t", "q": "[a", "r": "{a", "s": "'", "t": "\""],
    [
      "k": "2001-01-01", "l": "12:30", "m": "1e3", "n": ".5", "o": "=", "p": "%a", "q": "@a", "r": "`a", "s": "a:",
      "t": "<<",
    ],
    ["u": "\u{0}\u{7}\u{1B}\t\r", "v": "\u{85}\u{2028}\u{FEFF}", "w": "größe 🧵", "x": "a\\b", "y": "? a", "z": "---"],
    ["block": [["text": "l1\nl2\n"], "l1\nl2"], "1_000": "1_000", "0b1": "0b1", "y": "Y", "n": "N"],
    .string("multi\nline\n"),
  ]

  @Test("what the writer writes reads back as the same value", arguments: values)
  func writer(_ value: JSONValue) throws {
    let text = YAML.text(value)
    #expect(try YAML.document(text).value == value, "\(text)")
    #expect(try YAML.documents(YAML.text(documents: [value, value])).map(\.value) == [value, value])
  }

  @Test("the writer's style")
  func style() {
    let value: JSONValue = ["kind": "X", "on": "yes", "hosts": ["a", ["b": 1, "c": ["d"]]], "text": "x\ny\n"]
    #expect(
      YAML.text(value) == """
        kind: X
        "on": "yes"
        hosts:
        - a
        - b: 1
          c:
          - d
        text: |
          x
          y

        """)
  }
}
