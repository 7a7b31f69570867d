// CheckAnswer: what an authorization service answers by gRPC, read in place. Fuzzed (`Fuzz/authz.swift`): it knows nothing but bytes and heads.

import WeftBase
import WeftHTTP

/// A `CheckResponse`, well formed throughout.
struct CheckAnswer {
  private(set) var isOK = true
  private(set) var ok = ByteView.empty
  /// A refusal, or what the service says of a failure of its own.
  private(set) var denial: Denial?
  private(set) var isError = false
  private(set) var hasMetadata = false

  struct Denial {
    var status: UInt16?
    var body = ByteView.empty
    /// The message again, for its headers.
    var message: ByteView
  }

  /// Nil when any part of it is malformed.
  init?(_ message: ByteView) {
    var reader = WireReader(message)
    while let field = reader.next() {
      if !field.isBytes { continue }
      switch field.number {
      case 1:
        guard let code = Self.number(field.bytes) else { return nil }
        isOK = code == 0
      case 2, 5:
        guard let denial = Self.denial(field.bytes) else { return nil }
        self.denial = denial
        isError = field.number == 5
        ok = .empty
      case 3:
        ok = field.bytes
        denial = nil
        isError = false
        var inner = WireReader(ok)
        while let part = inner.next() { if part.number == 3 { hasMetadata = true } }
        if inner.isMalformed { return nil }
      case 4: hasMetadata = true
      default: break
      }
    }
    if reader.isMalformed { return nil }
  }

  /// Field 1 of `Status` and of `HttpStatus`.
  private static func number(_ message: ByteView) -> UInt64? {
    var reader = WireReader(message)
    var value: UInt64 = 0
    while let field = reader.next() { if field.number == 1 { value = field.value } }
    return reader.isMalformed ? nil : value
  }

  private static func denial(_ message: ByteView) -> Denial? {
    var reader = WireReader(message)
    var denial = Denial(message: message)
    while let field = reader.next() {
      if !field.isBytes { continue }
      switch field.number {
      case 1:
        guard let code = number(field.bytes) else { return nil }
        // What is no final status cannot be told a client.
        if (200..<600).contains(code) { denial.status = UInt16(code) }
      case 2: if HeaderOption(field.bytes) == nil { return nil }
      case 3: denial.body = field.bytes
      default: break
      }
    }
    return reader.isMalformed ? nil : denial
  }
}

/// A `HeaderValueOption`.
struct HeaderOption {
  private(set) var name = ByteView.empty
  private(set) var value = ByteView.empty
  /// The older `append`; nil when it is not set.
  private(set) var append: Bool?
  private(set) var action = ResponseChange.Action.append

  init?(_ message: ByteView) {
    var reader = WireReader(message)
    while let field = reader.next() {
      switch field.number {
      case 1 where field.isBytes:
        guard takeHeader(field.bytes) else { return nil }
      case 2 where field.isBytes:
        var inner = WireReader(field.bytes)
        append = false
        while let part = inner.next() { if part.number == 1 { append = part.value != 0 } }
        if inner.isMalformed { return nil }
      case 3 where !field.isBytes: action = ResponseChange.Action(rawValue: UInt8(clamping: field.value)) ?? .append
      default: break
      }
    }
    if reader.isMalformed { return nil }
  }

  private mutating func takeHeader(_ message: ByteView) -> Bool {
    var reader = WireReader(message)
    var raw = ByteView.empty
    while let field = reader.next() {
      if !field.isBytes { continue }
      switch field.number {
      case 1: name = field.bytes
      case 2: value = field.bytes
      case 3: raw = field.bytes
      default: break
      }
    }
    if value.isEmpty { value = raw }
    return !reader.isMalformed
  }

  /// Whether it is one of those that only codecs set.
  var frames: Bool { HeaderNameSet.framing.contains(HeaderName.find(name)) }

  /// Whether it can be a field of a response.
  var isSound: Bool { MessageHead.isSound(name: name, value: value) }
}

/// A change of the response as it is kept until that comes: what to do, lengths, name, value.
enum ResponseChange {
  enum Action: UInt8 { case append, addIfAbsent, overwrite, overwriteIfExists }

  static func write(_ action: Action, _ name: ByteView, _ value: ByteView, to buffer: inout ByteBuffer) {
    buffer.append(action.rawValue)
    buffer.appendBigEndian(UInt32(clamping: name.count))
    buffer.appendBigEndian(UInt32(clamping: value.count))
    buffer.append(name)
    buffer.append(value)
  }

  static func apply(_ changes: ByteView, to head: MessageHead) {
    var rest = changes
    while rest.count >= 9, let action = Action(rawValue: rest[0]) {
      let (names, values) = (Int(rest.loadBigEndianUInt32(at: 1)), Int(rest.loadBigEndianUInt32(at: 5)))
      guard rest.count >= 9 + names + values else { return }
      let name = rest[9..<9 + names]
      let value = rest[9 + names..<9 + names + values]
      rest = rest.dropFirst(9 + names + values)
      let isThere = head.first(named: name) != nil
      switch action {
      case .addIfAbsent where isThere, .overwriteIfExists where !isThere: continue
      case .append, .addIfAbsent: break
      case .overwrite, .overwriteIfExists: head.remove(named: name)
      }
      head.append(named: head.copy(name), head.copy(value))
    }
  }
}
