// Decoded fields to a head, with the rules of RFC 9113 §8: what makes a message malformed.

import WeftBase

/// Collects one header block into the scratch.
struct H2HeadBuilder {
  enum Kind { case request, response, trailers }

  /// What became of the block.
  enum Verdict { case valid, malformed(H2ErrorDetail), tooLarge }

  private let head: MessageHead
  private let kind: Kind
  private let characters: CharacterTable
  private let maxBytes: Int
  private let maxCount: Int
  private var bytes = 0
  private var count = 0
  private var seen: UInt8 = 0
  private var regularSeen = false
  private var fault: H2ErrorDetail?
  private(set) var isTooLarge = false
  private(set) var contentLength: UInt64?
  private var host: ByteView?
  private var cookies = 0

  init(_ head: MessageHead, kind: Kind, limits: HTTPLimits) {
    self.head = head
    self.kind = kind
    characters = unsafe head.cell.pointee.characters
    maxBytes = kind == .trailers ? limits.trailerBytes : limits.headerBytes
    maxCount = kind == .trailers ? limits.trailerCount : limits.headerCount
    head.reset()
    head.version = .http2
    switch kind {
    case .request: break
    case .response: head.flags = .response
    case .trailers: head.flags = .trailers
    }
  }

  /// Takes a field. Once a fault or the limit is reached, fields are only counted.
  mutating func add(_ field: HPACKField) {
    bytes &+= field.size &+ 32
    if field.pseudo == .none { count &+= 1 }
    if bytes > maxBytes || count > maxCount { isTooLarge = true }
    if isTooLarge || fault != nil { return }
    if field.pseudo != .none {
      pseudo(field)
    } else {
      regular(field)
    }
  }

  private mutating func pseudo(_ field: HPACKField) {
    let bit = UInt8(1) << field.pseudo.rawValue
    if regularSeen || seen & bit != 0 || field.pseudo == .unknown || kind == .trailers {
      fault = .pseudoHeader
      return
    }
    seen |= bit
    let value = field.value
    let isForRequest = field.pseudo != .status
    guard isForRequest == (kind == .request), isFieldValue(value) else {
      fault = .pseudoHeader
      return
    }
    switch field.pseudo {
    case .method:
      if characters.isToken(value) { head.setMethod(value) } else { fault = .pseudoHeader }
    case .scheme:
      if isScheme(value) { head.scheme = value } else { fault = .pseudoHeader }
    case .authority:
      if value.isEmpty || Authority.isValid(value, characters) {
        head.authority = value
      } else {
        fault = .pseudoHeader
      }
    case .path:
      if !value.isEmpty, unsafe firstNonTarget(value.base, 0, value.count) == value.count {
        head.path = value
      } else {
        fault = .pseudoHeader
      }
    case .protocolName:
      if characters.isToken(value) { head.protocolText = value } else { fault = .pseudoHeader }
    case .status:
      guard value.count == 3, let status = ASCII.parseDecimal(value), status >= 100, status != 101, status < 600 else {
        fault = .pseudoHeader
        return
      }
      head.status = UInt16(status)
    case .none, .unknown: fault = .pseudoHeader
    }
  }

  private func isScheme(_ text: ByteView) -> Bool {
    guard let first = text.first, (first | 0x20) &- 97 < 26 else { return false }
    for i in 0..<text.count {
      let c = text[i]
      let isLetter = (c | 0x20) &- 97 < 26
      guard isLetter || ASCII.isDigit(c) || c == UInt8(ascii: "+") || c == UInt8(ascii: "-") || c == UInt8(ascii: ".")
      else { return false }
    }
    return true
  }

  private mutating func regular(_ field: HPACKField) {
    regularSeen = true
    let name = field.name
    let value = field.value
    guard !name.isEmpty, name.count <= MessageHead.longestName, characters.all(name, CharacterTable.lowerToken),
      isFieldValue(value),
      !isBlank(value.first), !isBlank(value.last), !field.id.isConnectionSpecific
    else {
      fault = .headerField
      return
    }
    switch field.id {
    case .te:
      guard value.equals("trailers") else {
        fault = .headerField
        return
      }
      head.flags.insert(.acceptsTrailers)
    case .contentLength:
      guard contentLength == nil, let length = ASCII.parseDecimal(value), length <= UInt64(Int64.max) else {
        fault = .contentLength
        return
      }
      contentLength = length
    case .host where kind == .request:
      if host != nil || !Authority.isValid(value, characters) { fault = .headerField }
      host = value
      return
    case .cookie: cookies += 1
    case .expect where kind == .request:
      if value.equalsIgnoringCase("100-continue") { head.flags.insert(.expectsContinue) }
    default: break
    }
    // A trailer that could change framing, routing or identity is dropped, never merged.
    if kind == .trailers, field.id.isForbiddenInTrailers { return }
    unsafe head.cell.pointee.append(
      HeaderField(id: field.id, name: name, value: value, flags: field.neverIndexed ? .neverIndexed : []))
  }

  private func isBlank(_ byte: UInt8?) -> Bool { byte == 32 || byte == 9 }

  private func has(_ pseudo: PseudoField) -> Bool { seen & (UInt8(1) << pseudo.rawValue) != 0 }

  /// Judges the finished block and sets the framing.
  mutating func finish(endStream: Bool, allowsExtendedConnect: Bool) -> Verdict {
    if let fault { return .malformed(fault) }
    if isTooLarge { return .tooLarge }
    switch kind {
    case .trailers: return .valid
    case .response:
      guard has(.status) else { return .malformed(.pseudoHeader) }
    case .request:
      if let fault = requestFault(allowsExtendedConnect) { return .malformed(fault) }
    }
    if cookies > 1 { joinCookies() }
    if let length = contentLength {
      head.framing = .length(length)
    } else {
      head.framing = endStream ? .none : .chunked
    }
    // CONNECT, plain or extended: what follows is a byte stream of the protocol asked for, never content of a length.
    if kind == .request, head.method == .connect {
      if contentLength != nil { return .malformed(.contentLength) }
      if !endStream { head.framing = .tunnel }
    }
    if endStream { head.flags.remove(.expectsContinue) }
    return .valid
  }

  private func requestFault(_ allowsExtendedConnect: Bool) -> H2ErrorDetail? {
    guard has(.method) else { return .pseudoHeader }
    if let host {
      if head.authority.isEmpty {
        head.authority = host
      } else if !host.equalsIgnoringCase(head.authority) {
        return .pseudoHeader
      }
    }
    if head.authority.isEmpty { return .pseudoHeader }
    if has(.protocolName) {
      guard head.method == .connect else { return .pseudoHeader }
      if !allowsExtendedConnect { return .prohibitedUpgrade }
      head.flags.insert(.extendedConnect)
    } else if head.method == .connect {
      return has(.scheme) || has(.path) ? .pseudoHeader : nil
    }
    guard has(.scheme), has(.path) else { return .pseudoHeader }
    if head.path[0] == UInt8(ascii: "/") { return nil }
    return head.method == .options && head.path.equals("*") ? nil : .pseudoHeader
  }

  /// One `cookie` field out of the crumbs (RFC 9113 §8.2.3), as every other protocol version needs it.
  private func joinCookies() {
    var total = 0
    var index = head.firstIndex(of: .cookie)
    while let i = index {
      total += head.field(at: i).value.count + 2
      index = head.firstIndex(of: .cookie, from: i + 1)
    }
    let joined = unsafe head.build(total) { room in
      var n = 0
      var index = head.firstIndex(of: .cookie)
      while let i = index {
        if n > 0 {
          unsafe room[n] = UInt8(ascii: ";")
          unsafe room[n + 1] = UInt8(ascii: " ")
          n += 2
        }
        let crumb = head.field(at: i).value
        for k in 0..<crumb.count { unsafe room[n + k] = crumb[k] }
        n += crumb.count
        index = head.firstIndex(of: .cookie, from: i + 1)
      }
      return n
    }
    head.set(.cookie, joined)
  }
}
