import Testing
import WeftBase

@Suite("percent-encoding")
struct PercentEncodingTests {
  struct Case: CustomTestStringConvertible {
    let text: String
    /// What it says; nil: refused.
    let strict: String?
    let lenient: String
    var testDescription: String { text }
  }

  @Test(
    "escapes are undone, and a broken one is refused or stays as it is",
    arguments: [
      Case(text: "", strict: "", lenient: ""),
      Case(text: "plain+text", strict: "plain+text", lenient: "plain+text"),
      Case(text: "%41%7e%C3%a9", strict: "A~é", lenient: "A~é"),
      Case(text: "%2541", strict: "%41", lenient: "%41"),
      Case(text: "%", strict: nil, lenient: "%"),
      Case(text: "a%4", strict: nil, lenient: "a%4"),
      Case(text: "%%41", strict: nil, lenient: "%A"),
      Case(text: "%4g%42", strict: nil, lenient: "%4gB"),
    ])
  func decoding(_ c: Case) {
    #expect(PercentEncoding.decode(c.text) == c.strict.map { Array($0.utf8) })
    #expect(PercentEncoding.decode(c.text, brokenEscape: .kept) == Array(c.lenient.utf8))
  }

  @Test("a plus sign is a space where it is said to be, an escaped one never")
  func plus() {
    #expect(PercentEncoding.decode("a+b%2Bc", plusIsSpace: true) == Array("a b+c".utf8))
    #expect(PercentEncoding.decode("a+b%2Bc") == Array("a+b+c".utf8))
  }

  @Test("what is encoded says the same when it is decoded, whatever stands for itself")
  func roundTrip() {
    let text = String(decoding: UInt8.min...UInt8.max, as: UTF8.self) + "é€"
    for stands in [{ (_: UInt8) in false }, { byte in byte != UInt8(ascii: "%") }, { byte in byte > 0x60 }] {
      let coded = PercentEncoding.encode(text, standsForItself: stands)
      #expect(PercentEncoding.decode(coded) == Array(text.utf8))
    }
    #expect(PercentEncoding.encode("a b/é", standsForItself: { $0 == UInt8(ascii: "a") }) == "a%20%62%2F%C3%A9")
  }
}
