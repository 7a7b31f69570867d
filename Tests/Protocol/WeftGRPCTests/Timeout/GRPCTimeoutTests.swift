import Testing
import WeftGRPC

@Suite("grpc-timeout")
struct GRPCTimeoutTests {
  @Test(
    "well-formed values are read",
    arguments: [
      ("1n", Duration.nanoseconds(1)), ("20u", .microseconds(20)), ("300m", .milliseconds(300)), ("5S", .seconds(5)),
      ("2M", .seconds(120)), ("1H", .seconds(3600)), ("0S", .zero), ("99999999H", .seconds(99_999_999 * 3600)),
      ("00000001S", .seconds(1)),
    ])
  func reads(text: String, expected: Duration) { #expect(GRPCTimeout.parse(text) == expected) }

  @Test(
    "malformed values are refused",
    arguments: ["", "1", "S", "1s", "-1S", "+1S", "1.5S", "123456789S", " 1S", "1S ", "1 S", "0x1S", "١S"])
  func refuses(text: String) { #expect(GRPCTimeout.parse(text) == nil) }

  @Test(
    "values are written in the finest unit that fits, never too short",
    arguments: [
      (Duration.zero, "0n"), (.seconds(-5), "0n"), (.nanoseconds(1), "1n"), (.nanoseconds(99_999_999), "99999999n"),
      (.nanoseconds(100_000_000), "100000u"), (.nanoseconds(100_000_001), "100001u"), (.seconds(30), "30000000u"),
      (.seconds(100), "100000m"), (.seconds(99_999), "99999000m"), (.seconds(100_000), "100000S"),
      (.seconds(100_000_000), "1666667M"), (.seconds(6_000_000_000), "1666667H"),
      (.seconds(Int64.max), "99999999H"), (.init(secondsComponent: 0, attosecondsComponent: 1), "1n"),
    ])
  func writes(timeout: Duration, expected: String) { #expect(GRPCTimeout.format(timeout) == expected) }

  @Test("what is written is read back as at least as much, and at most a unit more")
  func roundTrip() throws {
    for exponent in 0..<60 {
      let timeout = Duration.nanoseconds(Int64(1) << exponent) + .nanoseconds(17)
      let back = try #require(GRPCTimeout.parse(GRPCTimeout.format(timeout)))
      #expect(back >= timeout)
      #expect(back - timeout <= max(.nanoseconds(0), timeout / 1_000))
    }
  }
}
