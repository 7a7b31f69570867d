import Testing

@testable import WeftProtobuf

@Suite("durations as Go writes them")
struct GoDurationTests {
  @Test(
    "are read exactly",
    arguments: [
      ("300ms", 0, 300_000_000), ("1h30m", 5400, 0), ("-1.5h", -5400, 0), ("1.5s", 1, 500_000_000), ("0", 0, 0),
      ("2.us", 0, 2_000), (".5ms", 0, 500_000), ("1m0.000000001s", 60, 1), ("7µs", 0, 7_000), ("+24h", 86_400, 0),
    ] as [(String, Int64, Int32)])
  func valid(text: String, seconds: Int64, nanos: Int32) {
    let value = Google_Protobuf_Duration(goText: text)
    #expect(value?.seconds == seconds)
    #expect(value?.nanos == nanos)
  }

  @Test(
    "are refused when they are not",
    arguments: [
      "", "-", "5", "ms", "1d", "1.5", "1..5s", "1.2.3s", "0.1ns", "5 minutes", "99999999999999h", "1h-5m", ".",
    ])
  func invalid(text: String) {
    #expect(Google_Protobuf_Duration(goText: text) == nil)
  }
}
