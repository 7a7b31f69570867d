import Testing
import WeftControlAPI

@Suite("civil time")
struct WallTimeTests {
  @Test(
    "reads what it writes",
    arguments: [
      0, 1, -1, 1_790_000_000_000_000_000, 1_790_000_000_123_000_000, -62_135_596_800, Int64.max,
      Int64.min + 1_000_000_000,
    ])
  func roundTrip(nanoseconds: Int64) {
    let time = WallTime(nanoseconds: nanoseconds)
    #expect(WallTime(time.description) == time)
  }

  @Test(
    "a creation time past the end of the range is refused instead of ending the program",
    arguments: [
      "2262-04-11T23:47:16.9Z", "2262-04-11T23:47:16.854775808Z", "2262-04-11T23:47:17Z", "9999-12-31T23:59:60Z",
      "0000-01-01T00:00:00Z",
    ])
  func pastEnd(text: String) {
    #expect(WallTime(text) == nil)
  }

  @Test("the last instant of the range is read")
  func last() {
    #expect(WallTime("2262-04-11T23:47:16.854775807Z") == WallTime(nanoseconds: .max))
  }
}
