// ClientHello: what a TLS client asks for, read before any context is chosen (a listener's TLS inspector).

package import WeftBase

/// The parts of a ClientHello that choose a filter chain.
package struct ClientHello: Hashable, Sendable {
  /// The host name of SNI in lower case, empty when there is none.
  package let serverName: String
  /// The protocols offered by ALPN, in the client's order.
  package let protocols: [String]

  package init(serverName: String, protocols: [String]) {
    self.serverName = serverName
    self.protocols = protocols
  }

  package enum Reading: Hashable, Sendable {
    case needMore
    /// Not TLS, or a broken ClientHello; the text says what is wrong.
    case notTLS(String)
    /// Larger than allowed, by its own word.
    case tooLarge(Int)
    case hello(ClientHello)
  }

  /// Largest ClientHello read where nobody says otherwise; Envoy's tls_inspector stops at 16 KiB. *Units*: bytes of handshake message.
  package static var maximumBytes: Int { 65_536 }

  /// Reads a ClientHello from the first bytes of a connection, consuming none. It may be spread over many records.
  /// *Cost*: while bytes are missing only record headers are looked at.
  package static func read(_ bytes: ByteView, limit: Int = maximumBytes) -> Reading {
    if bytes.isEmpty { return .needMore }
    if bytes[0] != 22 { return .notTLS("not a TLS handshake record (first byte \(bytes[0]))") }
    if bytes.count > 1, bytes[1] != 3 { return .notTLS("not a TLS record version") }
    // First pass: how much of the handshake message is there?
    var at = 0
    var have = 0
    var header: [UInt8] = []
    while at + 5 <= bytes.count {
      guard bytes[at] == 22, bytes[at + 1] == 3 else {
        return .notTLS("a record inside the ClientHello is not a handshake record")
      }
      let length = Int(bytes.loadBigEndianUInt16(at: at + 3))
      if length == 0 || length > 16_384 + 256 { return .notTLS("a record of \(length) bytes") }
      let body = bytes[at + 5..<min(bytes.count, at + 5 + length)]
      if header.count < 4 { header += body.prefix(4 - header.count).array }
      if header.count >= 1, header[0] != 1 { return .notTLS("the first handshake message is not a ClientHello") }
      have += body.count
      at += 5 + length
      guard header.count == 4 else { continue }
      // Said as soon as it is known: whatever follows does not make it another hello.
      if messageLength(header) > limit { return .tooLarge(messageLength(header)) }
      if have >= 4 + messageLength(header) { break }
    }
    guard header.count == 4 else { return .needMore }
    let length = messageLength(header)
    if have < 4 + length { return .needMore }
    return parse(message(in: bytes, length))
  }

  private static func messageLength(_ header: [UInt8]) -> Int {
    Int(header[1]) << 16 | Int(header[2]) << 8 | Int(header[3])
  }

  /// The body of the handshake message, put together from its records.
  private static func message(in bytes: ByteView, _ length: Int) -> [UInt8] {
    var message: [UInt8] = []
    message.reserveCapacity(length + 4)
    var at = 0
    while message.count < length + 4 {
      let record = Int(bytes.loadBigEndianUInt16(at: at + 3))
      message += bytes[at + 5..<min(bytes.count, at + 5 + record)].prefix(length + 4 - message.count).array
      at += 5 + record
    }
    message.removeFirst(4)
    return message
  }

  private static func parse(_ message: [UInt8]) -> Reading {
    message.withByteView { view in
      var reader = Reader(rest: view)
      // Version and random, session id, cipher suites, compression methods.
      guard reader.skip(34), reader.vector(1) != nil, reader.vector(2) != nil, reader.vector(1) != nil else {
        return .notTLS("a truncated ClientHello")
      }
      if reader.rest.isEmpty { return .hello(ClientHello(serverName: "", protocols: [])) }
      guard let extensions = reader.vector(2), reader.rest.isEmpty else { return .notTLS("a malformed ClientHello") }
      return parse(extensions: extensions)
    }
  }

  private static func parse(extensions: ByteView) -> Reading {
    var serverName = ""
    var protocols: [String] = []
    var list = Reader(rest: extensions)
    while !list.rest.isEmpty {
      guard let type = list.number(2), let body = list.vector(2) else { return .notTLS("a malformed extension") }
      var reader = Reader(rest: body)
      switch type {
      case 0:
        guard var names = reader.vector(2).map({ Reader(rest: $0) }), let kind = names.number(1),
          let name = names.vector(2)
        else {
          return .notTLS("a malformed server name")
        }
        if kind != 0 { continue }
        // A NUL would let two readers see two names.
        if name.isEmpty || name.count > 255 || name.contains(0) { return .notTLS("an invalid server name") }
        serverName = String(decoding: name.array.map(ASCII.lowercased), as: UTF8.self)
      case 16:
        guard var names = reader.vector(2).map({ Reader(rest: $0) }) else { return .notTLS("a malformed ALPN list") }
        while !names.rest.isEmpty {
          guard let name = names.vector(1), !name.isEmpty else { return .notTLS("a malformed ALPN list") }
          protocols.append(name.string)
        }
      default: continue
      }
    }
    return .hello(ClientHello(serverName: serverName, protocols: protocols))
  }

  /// Reads TLS' length-prefixed vectors.
  private struct Reader {
    var rest: ByteView

    mutating func skip(_ n: Int) -> Bool {
      if rest.count < n { return false }
      rest = rest.dropFirst(n)
      return true
    }

    mutating func number(_ width: Int) -> Int? {
      if rest.count < width { return nil }
      var value = 0
      for index in 0..<width { value = value << 8 | Int(rest[index]) }
      rest = rest.dropFirst(width)
      return value
    }

    mutating func vector(_ width: Int) -> ByteView? {
      guard let length = number(width), rest.count >= length else { return nil }
      let body = rest.prefix(length)
      rest = rest.dropFirst(length)
      return body
    }
  }
}
