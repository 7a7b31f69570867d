// Canonical JSON of messages: both ways, errors with paths, unknown fields.
import Testing
import WeftBase
import WeftProtobuf

@Suite("protobuf JSON")
struct ProtobufJSONTests {
  static let registry = TypeRegistry([Weft_Test_Sample.self])

  private func decode(_ text: String, _ unknown: UnknownFieldPolicy = .refuse) throws -> Weft_Test_Sample {
    try Weft_Test_Sample(
      json: JSONValue(parsing: text), options: JSONDecodingOptions(unknownFields: unknown, registry: Self.registry))
  }

  private func encode(_ message: some Message, protoNames: Bool = false) throws -> String {
    try message.json(options: JSONEncodingOptions(protoNames: protoNames, registry: Self.registry)).text()
  }

  @Test(
    "texts survive the round trip as they are",
    arguments: [
      #"{}"#,
      #"{"name":"a","count":0,"deltas":["-1","9223372036854775807"]}"#,
      #"{"child":{"child":{}},"children":[{"name":"x"},{}]}"#,
      #"{"byName":{"a":{},"b":{"count":1}},"flags":{"-1":true,"7":false}}"#,
      #"{"type":"TYPE_ROUND_ROBIN","protocol":{"name":"h2"},"text":""}"#,
      #"{"type":17}"#,
      #"{"wait":"1.500s","limit":0,"metadata":{"a":[1,null,"x",{"b":true}]}}"#,
      #"{"payload":"AP+A","ratio":0.1,"stamp":"18446744073709551615"}"#,
      #"{"ratio":"NaN"}"#, #"{"ratio":"-Infinity"}"#, #"{"ratio":1.5e+300}"#,
      #"{"Custom-Name":"c","self":"s","default":1}"#,
      #"{"any":{"@type":"type.googleapis.com/weft.test.Sample","name":"inside"}}"#,
      #"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"3s"}}"#,
      #"{"any":{"@type":"type.googleapis.com/google.protobuf.Empty"}}"#,
      #"{"value":null}"#, #"{"value":[{"a":1.5}]}"#,
    ])
  func roundTrip(_ text: String) throws {
    let message = try decode(text)
    #expect(try encode(message) == text)
    #expect(try Weft_Test_Sample(serialized: message.serialized()) == message)
  }

  @Test("a message with every kind of field survives JSON")
  func full() throws {
    let sample = fullSample()
    #expect(try decode(encode(sample)) == sample)
    #expect(try decode(encode(sample, protoNames: true)) == sample)
  }

  @Test(
    "other spellings of the same value are accepted",
    arguments: [
      (#"{"by_name":{"a":{}}}"#, #"{"byName":{"a":{}}}"#),
      (#"{"custom":"c"}"#, #"{"Custom-Name":"c"}"#),
      (#"{"count":"7"}"#, #"{"count":7}"#),
      (#"{"count":7.0e0}"#, #"{"count":7}"#),
      (#"{"deltas":[1e3,-0]}"#, #"{"deltas":["1000","0"]}"#),
      (#"{"type":1}"#, #"{"type":"TYPE_ROUND_ROBIN"}"#),
      (#"{"ratio":"0.5"}"#, #"{"ratio":0.5}"#),
      (#"{"payload":"_-8="}"#, #"{"payload":"/+8="}"#),
      (#"{"payload":"_-8"}"#, #"{"payload":"/+8="}"#),
      (#"{"name":null,"child":null,"deltas":null,"flags":null,"text":null}"#, "{}"),
      (#"{"text":null,"wait":"0s"}"#, #"{"wait":"0s"}"#),
    ])
  func spellings(_ text: String, _ canonical: String) throws {
    #expect(try encode(decode(text)) == canonical)
  }

  @Test(
    "what is wrong is refused, with the path as the document spells it",
    arguments: [
      (#"[]"#, "", "expected an object"),
      (#"{"nope":1}"#, "nope", "unknown field"),
      (
        #"{"child":{"by_name":{"x":{"children":[{},{"count":-1}]}}}}"#, #"child.by_name["x"].children[1].count"#, "0 to"
      ),
      (#"{"count":1.5}"#, "count", "whole number"),
      (#"{"count":4294967296}"#, "count", "whole number"),
      (#"{"count":"0x10"}"#, "count", "whole number"),
      (#"{"count":"+1"}"#, "count", "whole number"),
      (#"{"count":" 1"}"#, "count", "whole number"),
      (#"{"count":true}"#, "count", "whole number"),
      (#"{"name":1}"#, "name", "expected a string"),
      (#"{"type":"ROUND"}"#, "type", "allowed: TYPE_NEGATIVE, TYPE_ROUND_ROBIN, TYPE_UNSPECIFIED"),
      (#"{"children":{}}"#, "children", "expected an array"),
      (#"{"children":[null]}"#, "children", "null"),
      (#"{"flags":{"x":true}}"#, "flags", "invalid key"),
      (#"{"flags":{"1":true,"01":false}}"#, "flags", "duplicate key"),
      (#"{"text":"a","nested":{}}"#, "nested", "only one of text and nested"),
      (#"{"by_name":{},"byName":{}}"#, "byName", "twice"),
      (#"{"payload":"a"}"#, "payload", "base64"),
      (#"{"payload":"AA=A"}"#, "payload", "base64"),
      (#"{"ratio":"inf"}"#, "ratio", "expected a number"),
      (#"{"ratio":1e999}"#, "ratio", "out of range"),
      (#"{"wait":"1"}"#, "wait", "duration"),
      (#"{"metadata":{"a":{"b":1e999}}}"#, "metadata.a.b", "out of range"),
      (#"{"any":{"name":"x"}}"#, "any", "@type"),
      (#"{"any":{"@type":"type.googleapis.com/no.Such"}}"#, "any", "unknown type"),
      (#"{"any":{"@type":"type.googleapis.com/weft.test.Sample","count":"x"}}"#, "any.count", "whole number"),
      (#"{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":3}}"#, "any.value", "duration"),
    ])
  func errors(_ text: String, _ path: String, _ message: String) throws {
    let error = #expect(throws: ProtobufError.self) { try decode(text) }
    #expect(error?.path.description == path)
    #expect(error?.message.contains(message) == true, "\(error?.message ?? "")")
  }

  @Test("unknown fields can be collected by path")
  func collect() throws {
    var unknown: [FieldPath] = []
    let json: JSONValue = ["x": 1, "name": "n", "children": [["y": ["z": 1]], [:]], "by_name": ["k": ["w": nil]]]
    let message = try Weft_Test_Sample(
      json: json, options: JSONDecodingOptions(unknownFields: .collect), unknown: &unknown)
    #expect(message.name == "n")
    #expect(unknown.map(\.description) == ["x", "children[0].y", #"by_name["k"].w"#])
  }

  @Test("ignoring unknown fields also ignores unknown enum names")
  func ignore() throws {
    #expect(try encode(decode(#"{"x":1,"type":"NOPE","count":1}"#, .ignore)) == #"{"count":1}"#)
  }

  @Test("nesting is bounded, in fields, Struct and Any")
  func depth() {
    func wrapped(_ open: String, _ close: String, _ count: Int) -> String {
      String(repeating: open, count: count) + "{}" + String(repeating: close, count: count)
    }
    let limits = JSONLimits(depth: 10_000)
    for (open, close) in [(#"{"child":"#, "}"), (#"{"metadata":{"a":"#, "}}"), (#"{"value":["#, "]}")] {
      let inner = open.hasPrefix(#"{"child"#) ? (open, close) : (#"{"a":"#, "}")
      let text = open + wrapped(inner.0, inner.1, 500) + close
      #expect(throws: ProtobufError.self) { try Weft_Test_Sample(json: JSONValue(parsing: text, limits: limits)) }
    }
  }

  @Test("an Any of an unknown type cannot be written, and says where")
  func unknownAny() {
    var sample = Weft_Test_Sample()
    sample.child = Weft_Test_Sample()
    sample.child?.any = Google_Protobuf_Any(typeUrl: "type.googleapis.com/no.Such", value: [])
    let error = #expect(throws: ProtobufError.self) { try sample.json() }
    #expect(error?.path.description == "child.any")
  }
}
