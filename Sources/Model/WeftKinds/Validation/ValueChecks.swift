package import WeftProtobuf

// Checks of values: ports, durations, percentages, addresses, regular expressions.

/// Rules of addresses in text.
package enum AddressRules {
  /// What `sockaddr_un` has room for, beside its final NUL.
  package static let longestSocketPath = 107

  package static func isUnixSocket(_ text: String) -> Bool { text.hasPrefix("unix://") }

  package static func isIPv6(_ text: some StringProtocol) -> Bool { text.utf8.contains(0x3A) && ipv6(text) != nil }
  package static func isIP(_ text: some StringProtocol) -> Bool { bytes(text) != nil }

  /// An address with a prefix length.
  package static func isCIDR(_ text: String) -> Bool { cidr(text) != nil }

  /// The one spelling of an address or a block: RFC 5952 for IPv6, no bits beyond a block's length. Anything else as it stands.
  package static func canonical(_ text: String) -> String {
    if let (bytes, length) = cidr(text) { return "\(spelled(masked(bytes, length)))/\(length)" }
    guard text.utf8.contains(0x3A), let bytes = ipv6(text) else { return text }
    return spelled(bytes)
  }

  /// 4 or 16 bytes in network order; nil for what is no address.
  package static func bytes(_ text: some StringProtocol) -> [UInt8]? {
    text.utf8.contains(0x3A) ? ipv6(text) : ipv4(text)
  }

  private static func cidr(_ text: String) -> (bytes: [UInt8], length: Int)? {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = UInt8(parts[1]),
      let bytes = bytes(parts[0]), Int(length) <= bytes.count * 8
    else { return nil }
    return (bytes, Int(length))
  }

  private static func masked(_ bytes: [UInt8], _ length: Int) -> [UInt8] {
    bytes.enumerated().map { index, byte in
      let kept = min(max(length - index * 8, 0), 8)
      return kept == 8 ? byte : byte & ~(0xFF >> UInt8(kept))
    }
  }

  private static func ipv4(_ text: some StringProtocol) -> [UInt8]? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bytes: [UInt8] = []
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
        part.utf8.count == 1 || part.utf8.first != 0x30, let byte = UInt8(part)
      else { return nil }
      bytes.append(byte)
    }
    return bytes
  }

  private static func ipv6(_ text: some StringProtocol) -> [UInt8]? {
    let text = String(text)
    guard !text.contains(":::") else { return nil }
    let halves = text.split(separator: "::", omittingEmptySubsequences: false).map(String.init)
    guard halves.count <= 2 else { return nil }
    var sides: [[UInt8]] = []
    for (index, half) in halves.enumerated() {
      var bytes: [UInt8] = []
      let parts = half.isEmpty ? [] : half.split(separator: ":", omittingEmptySubsequences: false)
      for (position, part) in parts.enumerated() {
        if part.utf8.contains(UInt8(ascii: ".")) {
          guard position == parts.count - 1, index == halves.count - 1, let last = ipv4(part) else { return nil }
          bytes += last
        } else {
          guard (1...4).contains(part.utf8.count), part.allSatisfy({ $0.isASCII && $0.isHexDigit }),
            let group = UInt16(part, radix: 16)
          else { return nil }
          bytes += [UInt8(group >> 8), UInt8(truncatingIfNeeded: group)]
        }
      }
      sides.append(bytes)
    }
    let known = sides.reduce(0) { $0 + $1.count }
    guard sides.count == 2 else { return known == 16 ? sides[0] : nil }
    return known < 16 ? sides[0] + Array(repeating: 0, count: 16 - known) + sides[1] : nil
  }

  /// *Source*: RFC 5952 section 4: no leading zeros, lower case, the longest run of two or more zero groups as `::`.
  private static func spelled(_ bytes: [UInt8]) -> String {
    if bytes.count == 4 { return bytes.map { "\($0)" }.joined(separator: ".") }
    let groups = stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
    var longest = 0..<0
    var start = 0
    for (index, group) in groups.enumerated() {
      if group != 0 { start = index + 1 } else if index + 1 - start > longest.count { longest = start..<(index + 1) }
    }
    func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
    guard longest.count > 1 else { return text(groups[...]) }
    return text(groups[..<longest.lowerBound]) + "::" + text(groups[longest.upperBound...])
  }
}

extension FindingCollector {
  package mutating func checkPort(_ number: UInt32) {
    if number < 1 || number > 65_535 { error("\(number) is not a port; allowed are 1 to 65535") }
  }

  package mutating func checkSubnet(_ text: String) {
    if !AddressRules.isIP(text), !AddressRules.isCIDR(text) {
      error("\"\(text)\" is neither an IP address nor a CIDR block")
    }
  }

  /// A percentage as a double.
  package mutating func checkPercent(_ value: Double) {
    if !(value >= 0 && value <= 100) { error("\(value) is not a percentage; allowed are 0 to 100") }
  }

  package enum DurationRule {
    /// At least 1 ms, in whole milliseconds.
    case positive
    /// As `positive`, or zero (which switches off).
    case positiveOrZero
    /// In whole seconds, not negative.
    case wholeSeconds
    /// Anything not negative.
    case notNegative
  }

  package mutating func checkDuration(_ field: String, _ value: Google_Protobuf_Duration?, _ rule: DurationRule) {
    guard let value else { return }
    let nanoseconds = Int64(value.nanos)
    let isNegative = value.seconds < 0 || nanoseconds < 0
    let isZero = value.seconds == 0 && nanoseconds == 0
    at(field) { here in
      if isNegative {
        here.error("a duration must not be negative")
        return
      }
      if value.totalNanoseconds == nil {
        here.error("a duration must be less than 292 years")
        return
      }
      switch rule {
      case .positive, .positiveOrZero:
        if isZero, rule == .positiveOrZero { return }
        if value.seconds == 0, nanoseconds < 1_000_000 {
          here.error("a duration must be at least 1ms\(rule == .positiveOrZero ? ", or 0s" : "")")
        } else if nanoseconds % 1_000_000 != 0 {
          here.error("a duration must be a whole number of milliseconds")
        }
      case .wholeSeconds:
        if nanoseconds != 0 { here.error("a duration must be a whole number of seconds here") }
      case .notNegative: break
      }
    }
  }

  /// An RE2 expression of at most 1024 bytes.
  package mutating func checkRegex(_ pattern: String) {
    if pattern.isEmpty {
      error("a regular expression must not be empty")
    } else if pattern.utf8.count > 1024 {
      error("a regular expression must not be longer than 1024 bytes; this one has \(pattern.utf8.count)")
    } else if let problem = context.regexProblem(pattern) {
      error("not a valid RE2 expression: \(problem)")
    }
  }

  /// Text of which a proxy makes a header's value: no control characters, which would end it or begin another.
  package mutating func checkHeaderText(_ text: String) {
    if text.utf8.contains(where: { ($0 < 0x20 && $0 != 0x09) || $0 == 0x7F }) {
      error("must not contain line breaks or other control characters, which become part of a header")
    }
  }

  /// The value of a header operation: text in which `%` begins an operator.
  package mutating func checkHeaderFormat(_ text: String) {
    checkHeaderText(text)
    if let problem = context.formatProblem(text) { error("not a header value: \(problem)") }
  }

  /// Text that becomes a part of a request's target or authority: a blank would end it.
  package mutating func checkTargetText(_ text: String) {
    if text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) {
      error("must not contain blanks, line breaks or other control characters, which would end it")
    }
  }

  /// `unix:///path` or `unix://@name`, as far as a socket's address goes.
  package mutating func checkUnixSocket(_ address: String) {
    let path = address.dropFirst("unix://".count)
    let isAbstract = path.utf8.first == UInt8(ascii: "@")
    if path.utf8.first != UInt8(ascii: "/"), !isAbstract || path.utf8.count < 2 {
      error("\"\(address)\" must name an absolute path, like \"unix:///run/app.sock\"")
    } else if path.utf8.last == UInt8(ascii: "/"), !isAbstract {
      error("\"\(address)\" is a directory; the socket in it must be named")
    } else if path.utf8.count > AddressRules.longestSocketPath {
      error(
        "the path of a socket must not be longer than \(AddressRules.longestSocketPath) bytes; this one has \(path.utf8.count)"
      )
    } else if path.utf8.contains(0) {
      error("the path of a socket must not contain NUL")
    }
  }

  package mutating func checkNotNegative(_ field: String, _ value: Int32) {
    if value < 0 { error(field, "must not be negative") }
  }
}
