import Testing
import WeftBase

@Suite("errors")
struct ErrorTests {
  @Test("a config error tells kind, name, path and what is allowed")
  func configError() {
    let path = FieldPath().field("http").index(2).field("labels").key("a b").field("weight")
    #expect(path.description == "http[2].labels[\"a b\"].weight")
    let error = ConfigError(path: path, "must be 0 to 100, is 120").inside(FieldPath().field("spec"))
      .of(kind: "VirtualService", name: "default/reviews").of(kind: "Other", name: "other")
    #expect(
      error.description
        == "VirtualService default/reviews: spec.http[2].labels[\"a b\"].weight: must be 0 to 100, is 120")
    #expect(ConfigError("bad").description == "bad")
  }

  @Test("a system error carries its number and sentence")
  func systemError() {
    let error = WeftError.system("bind 127.0.0.1:80", 13)
    #expect(error.description == "system: bind 127.0.0.1:80: Permission denied")
    #expect(error.systemError == 13)
  }

  @Test("time saturates instead of wrapping")
  func time() {
    #expect(MonotonicInstant.zero - .seconds(1) == .zero)
    #expect(MonotonicInstant.distantFuture + .seconds(1) == .distantFuture)
    #expect((MonotonicInstant.zero + .milliseconds(1500)) - MonotonicInstant.zero == .milliseconds(1500))
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration.milliseconds(-3).nanoseconds == -3_000_000)
    #expect(Duration.microseconds(2_500).wholeMilliseconds == 2)
  }

  @Test("one seed gives one series, and draws stay below their bound")
  func random() {
    var a = RandomSource(seed: 9)
    var b = RandomSource(seed: 9)
    var counts = [Int](repeating: 0, count: 10)
    for _ in 0..<10_000 {
      let draw = a.next(below: 10)
      #expect(draw == b.next(below: 10))
      counts[draw] += 1
    }
    #expect(counts.allSatisfy { (800...1_200).contains($0) })
    #expect((0..<1_000).allSatisfy { _ in (0..<1).contains(a.nextUnit()) })
  }
}
