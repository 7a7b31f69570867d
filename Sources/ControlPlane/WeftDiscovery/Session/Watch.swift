package import WeftControlAPI
package import WeftTranslation

/// The name of a response: the snapshot's version and the response's number in the session.
enum Nonce {
  static func text(version: UInt64, sequence: UInt64) -> String { "\(version).\(sequence)" }
  static func sequence(_ nonce: String) -> UInt64? {
    nonce.lastIndex(of: ".").flatMap { UInt64(nonce[nonce.index(after: $0)...]) }
  }
}

/// What a client has asked for of one type, and what it has been sent.
package struct Watch: Sendable {
  /// One resource as it was last sent.
  package struct Sent: Sendable {
    package var hash: ContentHash
    /// The response that carried it: responses of a session are counted.
    package var sequence: UInt64
    package var origins: [Origin]
    /// Why the client refused it.
    package var refusal: String?
  }

  package var isWildcard: Bool
  package var names: Set<String>
  package private(set) var sent: [String: Sent] = [:]

  package private(set) var nonceSent = ""
  package private(set) var nonceAcked = ""
  package private(set) var nonceRefused = ""
  package private(set) var sequenceSent: UInt64 = 0
  package private(set) var sequenceAcked: UInt64 = 0
  package private(set) var versionSent: UInt64 = 0
  package private(set) var versionAcked: UInt64 = 0
  /// Versions of responses that are not acknowledged yet, by sequence.
  private var versions: [UInt64: UInt64] = [:]
  /// Text of a refusal, until the resources it was about are replaced by some that are acknowledged.
  package private(set) var lastError: String?
  package private(set) var refusals = 0
  package var staleRequests = 0
  /// The client may ask once more for what it has: a parent of these resources was sent.
  var owesAnswer = false

  package init(isWildcard: Bool, names: Set<String>) {
    self.isWildcard = isWildcard
    self.names = names
  }

  func wants(_ name: String) -> Bool { isWildcard || names.contains(name) }
  /// The last response is answered. A refusal of an earlier one says nothing about it.
  var isSettled: Bool { nonceSent == nonceAcked || nonceSent == nonceRefused }

  mutating func note(sent response: DiscoveryResponseEvent, sequence: UInt64, isWhole: Bool) {
    if isWhole { sent = [:] }
    nonceSent = response.nonce
    sequenceSent = sequence
    versionSent = response.version
    if versions.count >= 64 { versions = versions.filter { $0.key + 64 > sequence } }
    versions[sequence] = response.version
    for resource in response.resources {
      sent[resource.name] = Sent(hash: resource.hash, sequence: sequence, origins: resource.origins)
    }
    for name in response.removed { sent[name] = nil }
  }

  /// No response up to `sequence` waits for an answer.
  func isAnswered(upTo sequence: UInt64) -> Bool { versions.keys.allSatisfy { $0 > sequence } }

  mutating func noteAcknowledged() {
    nonceAcked = nonceSent
    sequenceAcked = sequenceSent
    versionAcked = versions[sequenceSent] ?? versionAcked
    versions = [:]
    // What was refused stays refused when a later response about other resources is taken.
    if lastError != nil { lastError = sent.values.lazy.compactMap(\.refusal).first }
  }

  /// Finds the resources that a refusal is about: those of the response with this nonce whose names its text has, or all of it. The
  /// nonce need not be the last one: another response may have been on its way.
  mutating func noteRefused(_ text: String, nonce: String) {
    lastError = text
    nonceRefused = nonce
    refusals += 1
    guard let sequence = Nonce.sequence(nonce) else { return }
    let candidates = sent.filter { $0.value.sequence == sequence }.map(\.key)
    // Names may be parts of others: the longest that fits counts at each place.
    let named = candidates.filter { Self.mentions(text, $0) }
    for name in named.isEmpty ? candidates : named { sent[name]?.refusal = text }
  }

  /// Whether `name` stands in `text` and is not a part of a longer name there.
  static func mentions(_ text: String, _ name: String) -> Bool {
    let haystack = Array(text.utf8)
    let needle = Array(name.utf8)
    guard !needle.isEmpty, haystack.count >= needle.count else { return false }
    func isNamePart(_ byte: UInt8) -> Bool {
      (byte >= 0x30 && byte <= 0x39) || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A) || byte == 0x2D || byte == 0x5F
        || byte == 0x7C || byte == 0x2E
    }
    var start = 0
    while start + needle.count <= haystack.count {
      if haystack[start] == needle[0], haystack[start..<start + needle.count].elementsEqual(needle) {
        let end = start + needle.count
        let before = start > 0 && isNamePart(haystack[start - 1])
        // A full stop that ends the sentence does not belong to a name.
        let after =
          end < haystack.count && isNamePart(haystack[end])
          && !(haystack[end] == 0x2E && (end + 1 == haystack.count || haystack[end + 1] == 0x20))
        if !before, !after { return true }
      }
      start += 1
    }
    return false
  }

  mutating func forget(_ name: String) { sent[name] = nil }
  mutating func forgetUnwanted() { if !isWildcard { sent = sent.filter { names.contains($0.key) } } }

  /// The client says it holds `name` in this very version: it need not be sent.
  mutating func assumeHeld(_ resource: Resource) {
    sent[resource.name] = Sent(hash: resource.hash, sequence: 0, origins: resource.origins)
  }

  func isAcknowledged(_ entry: Sent) -> Bool { entry.refusal == nil && entry.sequence <= sequenceAcked }
}
