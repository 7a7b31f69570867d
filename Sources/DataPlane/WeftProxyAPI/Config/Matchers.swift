package import WeftBase
package import WeftHTTP
package import WeftModel
package import WeftTelemetry

/// A compiled `StringMatcher`.
package struct CompiledStringMatcher: BitwiseCopyable {
  package enum Kind: UInt8, BitwiseCopyable { case exact, prefix, suffix, contains, regex }
  package let kind: Kind
  package let ignoresCase: Bool
  package let text: ByteView
  package let regex: RegexRef

  package init(_ matcher: StringMatcher, _ storage: SnapshotStorage) throws(ConfigError) {
    ignoresCase = matcher.ignoreCase
    switch matcher.pattern {
    case .exact(let text): (kind, self.text, regex) = (.exact, storage.text(text), .none)
    case .prefix(let text): (kind, self.text, regex) = (.prefix, storage.text(text), .none)
    case .suffix(let text): (kind, self.text, regex) = (.suffix, storage.text(text), .none)
    case .contains(let text): (kind, self.text, regex) = (.contains, storage.text(text), .none)
    case .regex(let pattern): (kind, text, regex) = (.regex, .empty, try storage.regex(pattern))
    }
  }

  package func matches(_ value: ByteView) -> Bool {
    switch kind {
    case .exact: equals(value, text)
    case .prefix: value.count >= text.count && equals(value.prefix(text.count), text)
    case .suffix: value.count >= text.count && equals(value.suffix(text.count), text)
    case .contains: contains(value)
    case .regex: regex.matchesAll(value)
    }
  }

  private func equals(_ a: ByteView, _ b: ByteView) -> Bool {
    ignoresCase ? a.equalsIgnoringCase(b) : a.equals(b)
  }

  private func contains(_ value: ByteView) -> Bool {
    guard let first = text.first else { return true }
    var i = 0
    while i + text.count <= value.count {
      if !ignoresCase {
        guard let next = value.firstIndex(of: first, from: i), next + text.count <= value.count else { return false }
        i = next
      }
      if equals(value[i..<i + text.count], text) { return true }
      i += 1
    }
    return false
  }
}

/// A compiled `HeaderMatcher`.
package struct CompiledHeaderMatcher: BitwiseCopyable {
  package enum Kind: UInt8, BitwiseCopyable { case present, absent, string, range }
  /// Pseudo-fields that a matcher may name.
  package enum Pseudo: UInt8, BitwiseCopyable {
    case none, method, path, authority, scheme, status

    /// `name` in lower case.
    init(_ name: String) {
      self =
        switch name {
        case ":method": .method
        case ":path": .path
        case ":authority", "host": .authority
        case ":scheme": .scheme
        case ":status": .status
        default: .none
        }
    }
  }
  package let name: ByteView
  package let pseudo: Pseudo
  package let kind: Kind
  package let inverts: Bool
  package let treatsMissingAsEmpty: Bool
  package let string: CompiledStringMatcher?
  package let start: Int64
  package let end: Int64

  package init(_ matcher: HeaderMatcher, _ storage: SnapshotStorage) throws(ConfigError) {
    let lower = matcher.name.lowercased()
    name = storage.text(lower)
    pseudo = Pseudo(lower)
    inverts = matcher.invert
    treatsMissingAsEmpty = matcher.treatMissingAsEmpty
    switch matcher.condition {
    case .present(let wanted): (kind, string, start, end) = (wanted ? .present : .absent, nil, 0, 0)
    case .string(let matcher):
      string = try CompiledStringMatcher(matcher, storage)
      (kind, start, end) = (.string, 0, 0)
    case .range(let start, let end): (kind, string, self.start, self.end) = (.range, nil, start, end)
    }
  }

  /// Whether the condition holds. A field that comes several times is looked at value by value, and one that fits is enough: what else
  /// was sent hides a value neither from a rule that admits nor from one that denies (`inverts` applies to the outcome).
  package func matches(_ head: MessageHead) -> Bool {
    switch pseudo {
    case .none: break
    case .method: return matches(value: head.methodText)
    case .path: return matches(value: head.path.isEmpty ? nil : head.path)
    case .authority: return matches(value: head.authority.isEmpty ? nil : head.authority)
    case .scheme: return matches(value: head.scheme.isEmpty ? nil : head.scheme)
    case .status: return matches(value: head.value(named: name))
    }
    guard var index = head.firstIndex(named: name) else { return matches(value: nil) }
    let value = head.field(at: index).value
    if kind == .present || kind == .absent || holds(value) { return matches(value: value) }
    while let next = head.firstIndex(named: name, from: index + 1) {
      if holds(head.field(at: next).value) { return !inverts }
      index = next
    }
    return inverts
  }

  /// The same for the request of a log line.
  package func matches<S: AccessLogSource>(requestOf source: S) -> Bool {
    guard let first = source.requestHeader(name) else { return matches(value: nil) }
    if kind == .present || kind == .absent || holds(first) { return matches(value: first) }
    var number = 1
    while let next = source.requestHeader(name, number: number) {
      if holds(next) { return !inverts }
      number += 1
    }
    return inverts
  }

  /// Whether the condition holds for a field that comes once, or, with `nil`, not at all.
  package func matches(value: ByteView?) -> Bool {
    var found = value
    if found == nil, treatsMissingAsEmpty { found = .empty }
    switch kind {
    // Present and absent look at presence alone; inversion applies to the outcome.
    case .present: return (found != nil) != inverts
    case .absent: return (found == nil) != inverts
    case .string, .range: break
    }
    // A missing header never matches, also when inverted.
    guard let found else { return false }
    return holds(found) != inverts
  }

  private func holds(_ value: ByteView) -> Bool {
    if kind == .string { return string?.matches(value) ?? false }
    return integer(value).map { $0 >= start && $0 < end } ?? false
  }

  /// A whole decimal integer, with an optional sign.
  private func integer(_ text: ByteView) -> Int64? {
    let negative = text.first == UInt8(ascii: "-")
    let digits = negative || text.first == UInt8(ascii: "+") ? text.dropFirst() : text
    guard let magnitude = ASCII.parseDecimal(digits), magnitude <= UInt64(Int64.max) else {
      return nil
    }
    return negative ? -Int64(magnitude) : Int64(magnitude)
  }
}

/// A compiled `QueryParameterMatcher`.
package struct CompiledQueryMatcher: BitwiseCopyable {
  package let name: ByteView
  package let wantsPresence: Bool
  package let string: CompiledStringMatcher?

  package init(_ matcher: QueryParameterMatcher, _ storage: SnapshotStorage) throws(ConfigError) {
    name = storage.text(matcher.name)
    switch matcher.condition {
    case .present(let wanted): (wantsPresence, string) = (wanted, nil)
    case .string(let matcher): (wantsPresence, string) = (true, try CompiledStringMatcher(matcher, storage))
    }
  }

  package func matches(_ path: ByteView) -> Bool {
    let value = QueryString.first(name, in: path)
    guard let string else { return (value != nil) == wantsPresence }
    return value.map { string.matches($0) } ?? false
  }
}

extension SnapshotStorage {
  package func table(_ matchers: [HeaderMatcher], _ field: String) throws(ConfigError) -> ConstantTable<
    CompiledHeaderMatcher
  > {
    var compiled: [CompiledHeaderMatcher] = []
    for (i, matcher) in matchers.enumerated() {
      do throws(ConfigError) { compiled.append(try CompiledHeaderMatcher(matcher, self)) } catch {
        throw error.inside(FieldPath().field(field).index(i))
      }
    }
    return arena.table(compiled)
  }

  package func table(_ matchers: [QueryParameterMatcher], _ field: String) throws(ConfigError) -> ConstantTable<
    CompiledQueryMatcher
  > {
    var compiled: [CompiledQueryMatcher] = []
    for (i, matcher) in matchers.enumerated() {
      do throws(ConfigError) { compiled.append(try CompiledQueryMatcher(matcher, self)) } catch {
        throw error.inside(FieldPath().field(field).index(i))
      }
    }
    return arena.table(compiled)
  }
}

extension ConstantTable where T == CompiledHeaderMatcher {
  /// Whether every matcher holds.
  package func allMatch(_ head: MessageHead) -> Bool {
    for i in indices where !self[i].matches(head) { return false }
    return true
  }
}

extension MessageHead {
  /// What a name of configuration stands for: a field's first value, or `:path`, `:method`, `:authority` (`host`), `:scheme`, `:status`. Nil when it
  /// is not there.
  package func value(named name: ByteView) -> ByteView? {
    func present(_ text: ByteView) -> ByteView? { text.isEmpty ? nil : text }
    guard name.first == UInt8(ascii: ":") else {
      return name.equalsIgnoringCase(ByteView("host")) ? present(authority) : first(named: name)
    }
    if name.equalsIgnoringCase(ByteView(":path")) { return present(path) }
    if name.equalsIgnoringCase(ByteView(":authority")) { return present(authority) }
    if name.equalsIgnoringCase(ByteView(":method")) { return present(methodText) }
    if name.equalsIgnoringCase(ByteView(":scheme")) { return present(scheme) }
    if name.equalsIgnoringCase(ByteView(":status")), status > 0 { return decimal(UInt64(status)) }
    return nil
  }
}
