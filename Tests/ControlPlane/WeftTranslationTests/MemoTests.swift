import Testing
import WeftBase
import WeftControlAPI

@testable import WeftTranslation

@Suite("what proxies share of a translation")
struct MemoTests {
  @Test("makes no difference to what a proxy is given, whoever asked before", arguments: TranslationCase.names)
  func same(_ name: String) throws {
    let example = try TranslationCase(name)
    let plain = example.translate()
    let memo = TranslationMemo(example.snapshot)
    // One that is like it but for its name and addresses, one with other labels, one of another namespace.
    var twin = example.proxy
    twin.nodeID = "sidecar~10.9.9.9~twin.\(twin.namespace)~x"
    twin.workload = "twin"
    twin.addresses = ["10.9.9.9"]
    var other = twin
    other.labels["other"] = "yes"
    var stranger = twin
    stranger.namespace = "elsewhere"
    for proxy in [stranger, other, twin, example.proxy] {
      let alone = Translator.translate(example.snapshot, for: proxy, interest: example.interest)
      let shared = Translator.translate(example.snapshot, for: proxy, interest: example.interest, memo: memo)
      for type in ResourceType.allCases { #expect(alone.all(type) == shared.all(type)) }
      #expect(alone.dependencies == shared.dependencies)
      #expect(alone.issues == shared.issues)
    }
    let again = Translator.translate(example.snapshot, for: example.proxy, interest: example.interest, memo: memo)
    for type in ResourceType.allCases { #expect(again.all(type) == plain.all(type)) }
  }

  @Test("gives two proxies the same objects, and none of another snapshot")
  func identity() throws {
    let example = try TranslationCase("universal-upstreams")
    let memo = TranslationMemo(example.snapshot)
    var twin = example.proxy
    twin.workload = "twin"
    let first = Translator.translate(example.snapshot, for: example.proxy, memo: memo)
    let second = Translator.translate(example.snapshot, for: twin, memo: memo)
    let routes = first.names(.route)
    #expect(!routes.isEmpty)
    for name in routes { #expect(first[.route, name] === second[.route, name]) }
    let stale = TranslationMemo(WeftSnapshot(version: 99))
    let third = Translator.translate(example.snapshot, for: example.proxy, memo: stale)
    for name in routes {
      #expect(first[.route, name] == third[.route, name])
      #expect(first[.route, name] !== third[.route, name])
    }
  }
}
