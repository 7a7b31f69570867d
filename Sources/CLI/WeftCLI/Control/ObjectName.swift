// What people call an object: `vs reviews`, `vs/reviews`, `virtualservice reviews ratings`.

/// A kind and names, as they stand on a command line.
struct ObjectNames: Sendable, Equatable {
  var kind: String
  var names: [String]

  init(kind: String, names: [String]) {
    self.kind = kind
    self.names = names
  }

  /// Objects of several kinds: `vs,dr`, `vs,dr reviews`, `vs/reviews dr/reviews`, `all`. *Errors*: as of one kind.
  static func groups(_ words: [String]) throws(UsageError) -> [ObjectNames] {
    guard let first = words.first else { throw UsageError("name a kind, for instance virtualservices") }
    guard first.contains("/") else {
      let parsed = try ObjectNames(words)
      let kinds = parsed.kind.split(separator: ",").map(String.init)
      guard !kinds.isEmpty else { throw UsageError("name a kind, for instance virtualservices") }
      return kinds.map { ObjectNames(kind: $0, names: parsed.names) }
    }
    var groups: [ObjectNames] = []
    for word in words {
      let one = try ObjectNames([word])
      if let known = groups.firstIndex(where: { $0.kind == one.kind }) {
        groups[known].names += one.names
      } else {
        groups.append(one)
      }
    }
    return groups
  }

  /// *Errors*: kinds that differ, or a mixture of both forms.
  init(_ words: [String]) throws(UsageError) {
    guard let first = words.first else { throw UsageError("name a kind, for instance virtualservices") }
    guard first.contains("/") else {
      if let word = words.first(where: { $0.contains("/") }) {
        throw UsageError("write either KIND NAME or KIND/NAME, not both ('\(word)')")
      }
      kind = first
      names = Array(words.dropFirst())
      return
    }
    kind = ""
    names = []
    for word in words {
      let parts = word.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
        throw UsageError("'\(word)' is not KIND/NAME")
      }
      guard kind.isEmpty || kind == parts[0] else { throw UsageError("name objects of one kind at a time") }
      kind = parts[0]
      names.append(parts[1])
    }
  }

  /// Exactly one object. *Errors*: none or several.
  static func one(_ words: [String]) throws(UsageError) -> (kind: String, name: String) {
    let parsed = try ObjectNames(words)
    guard let name = parsed.names.first, parsed.names.count == 1 else {
      throw UsageError("name one object, for instance 'virtualservice reviews' or 'vs/reviews'")
    }
    return (parsed.kind, name)
  }
}
