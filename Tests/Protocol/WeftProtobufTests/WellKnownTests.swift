// Times, masks and wrappers.
import Testing
import WeftBase
import WeftProtobuf

@Suite("protobuf well-known types")
struct WellKnownTests {
  @Test(
    "durations",
    arguments: [
      ("0s", 0, 0, "0s"), ("1s", 1, 0, "1s"), ("-0.5s", 0, -500_000_000, "-0.500s"),
      ("1.000001s", 1, 1000, "1.000001s"),
      ("3.000000001s", 3, 1, "3.000000001s"), ("315576000000s", 315_576_000_000, 0, "315576000000s"),
      ("-315576000000s", -315_576_000_000, 0, "-315576000000s"), ("1.1s", 1, 100_000_000, "1.100s"),
    ] as [(String, Int64, Int32, String)])
  func durations(_ text: String, _ seconds: Int64, _ nanos: Int32, _ written: String) throws {
    let duration = try #require(Google_Protobuf_Duration(text: text))
    #expect(duration.seconds == seconds)
    #expect(duration.nanos == nanos)
    #expect(try duration.json() == .string(written))
  }

  @Test(
    "not durations",
    arguments: [
      "", "s", "1", "1.s", ".5s", "1.0000000001s", "--1s", "+1s", "1 s", "315576000001s", "1e3s", "0x1s", "1S",
    ])
  func badDurations(_ text: String) {
    #expect(Google_Protobuf_Duration(text: text) == nil)
    #expect(throws: ProtobufError.self) { try Google_Protobuf_Duration(json: .string(text)) }
  }

  @Test("durations in nanoseconds")
  func nanoseconds() {
    #expect(Google_Protobuf_Duration(seconds: 1, nanos: 5).totalNanoseconds == 1_000_000_005)
    #expect(Google_Protobuf_Duration(milliseconds: -1500).totalNanoseconds == -1_500_000_000)
    #expect(Google_Protobuf_Duration(seconds: 315_576_000_000).totalNanoseconds == nil)
    #expect(Google_Protobuf_Duration(seconds: 1, nanos: -1).totalNanoseconds == nil)
    #expect(throws: ProtobufError.self) { try Google_Protobuf_Duration(seconds: 1, nanos: -1).json() }
  }

  @Test(
    "timestamps",
    arguments: [
      ("1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"),
      ("2000-02-29T23:59:59.5Z", 951_868_799, 500_000_000, "2000-02-29T23:59:59.500Z"),
      ("1969-12-31T23:59:59.999999999Z", -1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
      ("0001-01-01T00:00:00Z", -62_135_596_800, 0, "0001-01-01T00:00:00Z"),
      ("9999-12-31T23:59:59Z", 253_402_300_799, 0, "9999-12-31T23:59:59Z"),
      ("2026-11-21T09:00:00+02:00", 1_795_244_400, 0, "2026-11-21T07:00:00Z"),
      ("1969-12-31T19:00:00-05:00", 0, 0, "1970-01-01T00:00:00Z"),
    ] as [(String, Int64, Int32, String)])
  func timestamps(_ text: String, _ seconds: Int64, _ nanos: Int32, _ written: String) throws {
    let time = try #require(Google_Protobuf_Timestamp(text: text))
    #expect(time.seconds == seconds)
    #expect(time.nanos == nanos)
    #expect(time.text == written)
  }

  @Test(
    "not timestamps",
    arguments: [
      "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01t00:00:00Z", "1970-01-01 00:00:00Z", "1970-13-01T00:00:00Z",
      "1970-02-29T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T00:00:00.Z",
      "1970-01-01T00:00:00.0000000001Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "1970-01-01T00:00:00+1:00",
      "0001-01-01T00:00:00+00:01", "1970-01-01T00:00:00Zx", "19 0-01-01T00:00:00Z",
    ])
  func badTimestamps(_ text: String) {
    #expect(Google_Protobuf_Timestamp(text: text) == nil)
  }

  @Test("every day of four centuries keeps its date")
  func calendar() throws {
    for day in stride(from: Int64(-62_135_596_800), through: 253_402_300_799, by: 86400 * 997) {
      let time = Google_Protobuf_Timestamp(seconds: day)
      let text = try #require(time.text)
      #expect(Google_Protobuf_Timestamp(text: text)?.seconds == day)
    }
  }

  @Test("field masks change case and refuse what does not survive")
  func fieldMasks() throws {
    var mask = Google_Protobuf_FieldMask()
    mask.paths = ["foo_bar", "baz.q_x"]
    #expect(try mask.json() == "fooBar,baz.qX")
    #expect(try Google_Protobuf_FieldMask(json: "fooBar,baz.qX") == mask)
    for path in ["fooBar", "a,b", ""] {
      mask.paths = [path]
      #expect(throws: ProtobufError.self) { try mask.json() }
    }
    #expect(throws: ProtobufError.self) { try Google_Protobuf_FieldMask(json: "foo_bar") }
  }

  @Test("names are derived as protoc derives them")
  func names() {
    #expect(Weft_Test_Sample.schema.field(named: "by_name")?.number == 6)
    #expect(Weft_Test_Sample.schema.field(named: "byName")?.number == 6)
    #expect(Weft_Test_Sample.schema.field(named: "Custom-Name")?.name == "custom")
    #expect(Weft_Test_Sample.schema.field(numbered: 29) == nil)
    #expect(Weft_Test_Sample.typeURL == "type.googleapis.com/weft.test.Sample")
    #expect(Weft_Test_Sample.Type_.roundRobin.name == "TYPE_ROUND_ROBIN")
    #expect(Weft_Test_Sample.Type_(rawValue: 9).name == "9")
    #expect(Weft_Test_Greeter.watch == "/weft.test.Greeter/Watch")
  }
}
