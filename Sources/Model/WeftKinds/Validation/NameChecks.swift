// Checks of names: host names, labels, namespaces, header names.

/// Rules of single words, as the API's users know them.
package enum NameRules {
  /// An RFC 1123 label: lower-case letters, digits and `-`, at most 63, neither first nor last a `-`.
  package static func isDNSLabel(_ text: String) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, bytes.count <= 63 else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last) && bytes.allSatisfy { isAlphanumeric($0) || $0 == 0x2D }
  }

  /// A fully qualified domain name, in any case; a trailing dot is allowed. Labels may hold `_` (SRV-like names).
  package static func isFQDN(_ text: String) -> Bool {
    var name = text[...]
    if name.hasSuffix(".") { name = name.dropLast() }
    guard !name.isEmpty, name.utf8.count <= 255 else { return false }
    let labels = name.split(separator: ".", omittingEmptySubsequences: false)
    for label in labels {
      let bytes = label.utf8
      guard let first = bytes.first, let last = bytes.last, bytes.count <= 63, isNameByte(first), isNameByte(last),
        bytes.allSatisfy({ isNameByte($0) || $0 == 0x2D })
      else { return false }
    }
    // A name whose last label is all digits is an IP address that went wrong.
    return labels.count == 1 || !(labels.last?.utf8.allSatisfy { (0x30...0x39).contains($0) } ?? false)
  }

  /// `*`, `*.` and a domain name, or a domain name.
  package static func isWildcardFQDN(_ text: String) -> Bool {
    if text == "*" { return true }
    return isFQDN(text.hasPrefix("*.") ? String(text.dropFirst(2)) : text)
  }

  /// A label key of Kubernetes: an optional domain prefix with `/`, and a name of at most 63.
  package static func isLabelKey(_ text: String) -> Bool {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let name = parts.last, isQualified(name), !name.isEmpty else { return false }
    return parts.count == 1 || (parts[0].utf8.count <= 253 && isFQDN(String(parts[0])))
  }

  /// A label value: empty, or at most 63 of letters, digits, `-`, `_`, `.`, beginning and ending with one of the first.
  package static func isLabelValue(_ text: String) -> Bool { text.isEmpty || isQualified(text[...]) }

  /// An HTTP header name: an RFC 9110 token.
  package static func isHeaderName(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        switch $0 {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "!#$%&'*+-.^_`|~".utf8.contains($0)
        }
      }
  }

  private static func isQualified(_ text: Substring) -> Bool {
    let bytes = text.utf8
    guard let first = bytes.first, let last = bytes.last, bytes.count <= 63 else { return false }
    func inner(_ byte: UInt8) -> Bool { isLetterOrDigit(byte) || byte == 0x2D || byte == 0x5F || byte == 0x2E }
    return isLetterOrDigit(first) && isLetterOrDigit(last) && bytes.allSatisfy(inner)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || (0x41...0x5A).contains(byte) }
  private static func isNameByte(_ byte: UInt8) -> Bool { isLetterOrDigit(byte) || byte == 0x5F }
}

extension FindingCollector {
  /// A host that a rule is about: a short name, a domain name, or a wildcard.
  package mutating func checkWildcardHost(_ host: String) {
    if host.isEmpty {
      error("must not be empty")
    } else if !NameRules.isWildcardFQDN(host) {
      error("\"\(host)\" is neither a domain name nor a wildcard of the form \"*\" or \"*.example.com\"")
    }
  }

  /// A host of a rule's destination: a domain name, or the wildcard that a ServiceEntry has for its host.
  package mutating func checkDestinationHost(_ host: String) {
    if host == "*" {
      error("\"*\" is not a destination; name a host, or a wildcard like \"*.example.com\"")
    } else {
      checkWildcardHost(host)
    }
  }

  /// A host that traffic is sent to: no wildcard.
  package mutating func checkHost(_ host: String) {
    if host.isEmpty {
      error("must not be empty")
    } else if host.contains("*") {
      error("\"\(host)\" must not be a wildcard")
    } else if !NameRules.isFQDN(host) {
      error("\"\(host)\" is not a domain name")
    }
  }

  package mutating func checkLabels(_ field: String, _ labels: [String: String]) {
    entries(field, labels) { entry, key, value in
      if !NameRules.isLabelKey(key) { entry.error("\"\(key)\" is not a valid label key") }
      if !NameRules.isLabelValue(value) { entry.error("\"\(value)\" is not a valid label value") }
    }
  }

  /// A selector: equality of labels, never a pattern.
  package mutating func checkSelector(_ field: String, _ labels: [String: String]) {
    entries(field, labels) { entry, key, value in
      if key.isEmpty {
        entry.error("the key must not be empty")
      } else if key.contains("*") || value.contains("*") {
        entry.error("a selector compares whole values; wildcards are not allowed")
      } else {
        if !NameRules.isLabelKey(key) { entry.error("\"\(key)\" is not a valid label key") }
        if !NameRules.isLabelValue(value) { entry.error("\"\(value)\" is not a valid label value") }
      }
    }
  }

  /// `exportTo`: `.`, `*`, names of namespaces, and `~` where nobody may be meant.
  package mutating func checkExportTo(_ list: [String], allowsNone: Bool = false) {
    var seen: Set<String> = []
    var hasErrors = false
    each("exportTo", list) { item, value, _ in
      switch value {
      case ".", "*": break
      case "~":
        if !allowsNone {
          item.error("\"~\" is not allowed here; allowed are \".\", \"*\" and namespaces")
          hasErrors = true
        }
      default:
        if !NameRules.isDNSLabel(value) {
          item.error("\"\(value)\" is not a namespace; allowed are \".\", \"*\" and namespaces")
          hasErrors = true
        }
      }
      let meaning = value == "." ? item.context.namespace : value
      if !seen.insert(meaning).inserted {
        item.error(
          value == meaning && !list.contains(".")
            ? "duplicate \"\(value)\"" : "\".\" and \"\(item.context.namespace)\" are the same namespace")
        hasErrors = true
      }
    }
    guard !hasErrors, list.count > 1 else { return }
    for alone in ["*", "~"] where list.contains(alone) {
      error("exportTo", "\"\(alone)\" must stand alone")
    }
  }

  /// Names of gateways that a rule is bound to: `mesh`, `name`, `namespace/name`.
  package mutating func checkGatewayNames(_ names: [String]) {
    each("gateways", names) { item, name, _ in
      let parts = name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
      let valid =
        switch parts.count {
        case 1: NameRules.isFQDN(parts[0])
        case 2: (parts[0] == "." || NameRules.isDNSLabel(parts[0])) && NameRules.isFQDN(parts[1])
        default: false
        }
      if !valid { item.error("\"\(name)\" is not a gateway; allowed are \"mesh\", \"name\" and \"namespace/name\"") }
    }
  }
}
