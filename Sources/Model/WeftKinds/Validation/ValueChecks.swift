package import WeftProtobuf

// Checks of values: ports, durations, percentages, addresses, regular expressions.

/// Rules of addresses in text.
package enum AddressRules {
  package static func isIPv4(_ text: some StringProtocol) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { part in
        (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
          && (part.utf8.count == 1 || part.utf8.first != 0x30) && UInt8(part) != nil
      }
  }

  package static func isIPv6(_ text: some StringProtocol) -> Bool {
    let text = String(text)
    guard text.contains(":"), !text.contains(":::") else { return false }
    let halves = text.split(separator: "::", omittingEmptySubsequences: false).map(String.init)
    guard halves.count <= 2 else { return false }
    var groups = 0
    for (index, half) in halves.enumerated() where !half.isEmpty {
      let parts = half.split(separator: ":", omittingEmptySubsequences: false)
      for (position, part) in parts.enumerated() {
        if part.contains(".") {
          guard position == parts.count - 1, index == halves.count - 1, isIPv4(part) else { return false }
          groups += 2
        } else {
          guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit) else { return false }
          groups += 1
        }
      }
    }
    return halves.count == 2 ? groups < 8 : groups == 8
  }

  package static func isIP(_ text: some StringProtocol) -> Bool { isIPv4(text) || isIPv6(text) }

  /// An address with a prefix length.
  package static func isCIDR(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let bits = UInt8(parts[1]), !parts[1].hasPrefix("+") else { return false }
    return (isIPv4(parts[0]) && bits <= 32) || (isIPv6(parts[0]) && bits <= 128)
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

  package mutating func checkNotNegative(_ field: String, _ value: Int32) {
    if value < 0 { error(field, "must not be negative") }
  }
}
