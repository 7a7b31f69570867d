// What a filter keeps of a stream or a connection can leave the process with it: plain values, no address that only this process understands.
import Foundation
import Testing

@Suite("state of filters")
struct FilterStateTests {
  /// Types without an address in them: numbers, truth values, places by number.
  static let plain: Set<String> = [
    "Bool", "Int", "Int8", "Int16", "Int32", "Int64", "UInt", "UInt8", "UInt16", "UInt32", "UInt64", "Double",
    "KeptBytes", "MonotonicInstant",
    // Of codecs: numbers, and which side it is.
    "DubboLimits", "CodecPeer",
  ]

  /// The stored properties of the filters that a file declares, each with its type as far as the text says it.
  static func state(in text: String) -> [(property: String, type: String)] {
    let head = #/(?m)^(?:package |public |private )?struct \w+: [\w, ]*(?:Filter|ProtocolCodec)\b[^{\n]*\{\n/#
    let property =
      #/^  (?:@\w+ )?(?:package |private |fileprivate )?(?:private\(set\) )?(?:var|let) (?<name>\w+)(?:: (?<type>[^={]+))?(?: ?= (?<value>[^{]+))?$/#
    return text.matches(of: head).flatMap { match in
      text[match.range.upperBound...].split(separator: "\n", omittingEmptySubsequences: false).prefix { $0 != "}" }
        .compactMap { line in
          guard let found = line.wholeMatch(of: property) else { return nil }
          return (String(found.name), found.type.map { trimmed($0) } ?? inferred(found.value.map { trimmed($0) } ?? ""))
        }
    }
  }

  private static func trimmed(_ text: Substring) -> String { text.trimmingCharacters(in: .whitespaces) }

  /// The type of a literal, or the name in front of `(` or `.`.
  private static func inferred(_ value: String) -> String {
    if value == "true" || value == "false" { return "Bool" }
    if value.contains(#/^-?[\d_]+$/#) { return "Int" }
    return String(value.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
  }

  /// Whether a type is plain: listed, an optional of one that is, or an enum that the file declares with raw numbers.
  static func isPlain(_ type: String, in text: String) -> Bool {
    let name = type.hasSuffix("?") ? String(type.dropLast()) : type
    return plain.contains(name) || text.contains("enum \(name): UInt8")
  }

  @Test("neither a filter nor a codec keeps a pointer, a reference or a view")
  func statesArePlain() {
    var seen = 0
    for folder in ["WeftHTTPFilters", "WeftNetworkFilters", "WeftProtocols"] {
      for path in Repository.files(under: "Sources/Extensions/\(folder)", suffix: ".swift") {
        let text = Repository.text(path)
        for (property, type) in Self.state(in: text) {
          seen += 1
          #expect(Self.isPlain(type, in: text), "\(path): \(property) is a \(type); keep a number or a place by number")
        }
      }
    }
    #expect(seen > 4, "the pattern finds no states any more")
  }

  @Test("planted pointers are found, and neither configuration nor a computed property is taken for state")
  func planted() {
    let text = """
      package struct Planted: RequestHeadFilter, HoldingFilter {
        package struct Config: BitwiseCopyable {
          var view = ByteView.empty
        }
        enum Phase: UInt8, BitwiseCopyable { case first, second }
        private var base: UnsafeMutableRawPointer?
        var seen = ByteView.empty
        var owner: Unmanaged<Owner>? = nil
        private var count: UInt32 = 0
        var isActive = false
        var phase = Phase.first
        var kept = KeptBytes()
        var isBusy: Bool { count > 0 }
        static let name = ByteView("planted")
      }
      struct Beside { var text = ByteView.empty }
      """
    let state = Self.state(in: text)
    #expect(state.map(\.property) == ["base", "seen", "owner", "count", "isActive", "phase", "kept"])
    #expect(state.filter { !Self.isPlain($0.type, in: text) }.map(\.property) == ["base", "seen", "owner"])
  }
}
