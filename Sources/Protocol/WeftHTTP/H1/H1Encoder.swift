// The model to HTTP/1.1 bytes.

package import WeftBase

/// Why a head cannot be written as HTTP/1: it came from HTTP/2 or a filter and would not survive the wire.
package enum H1EncodeError: Error, Equatable, Sendable {
  case method, target, authority, fieldName, fieldValue, status, framing
}

/// What the connection, not the message, decides about a head.
package struct H1HeadOptions: Equatable, Sendable {
  package enum Connection: UInt8, Sendable {
    /// Nothing is written: HTTP/1.1's default is to persist.
    case persist
    /// `connection: close`.
    case close
    /// `connection: keep-alive`, for an HTTP/1.0 peer that asked for it.
    case keepAlive
    /// `connection: upgrade`, and the head's `Upgrade` field is kept.
    case upgrade
  }

  package var connection: Connection
  /// Responses: the request was HEAD, so `Content-Length` is kept and no content may follow.
  package var answersHEAD: Bool

  package init(connection: Connection = .persist, answersHEAD: Bool = false) {
    self.connection = connection
    self.answersHEAD = answersHEAD
  }
}

/// Writers of HTTP/1.1 messages. Nothing received is copied through unseen: framing fields, `Host` and hop-by-hop fields
/// are written anew, everything else field by field (fields that lie together unchanged in the read buffer in one copy).
package enum H1Encoder {
  /// Writes request line and fields. `head.framing` decides `Content-Length` or `Transfer-Encoding`.
  /// *Errors*: the output is unchanged.
  package static func writeRequest(
    _ head: MessageHead, options: H1HeadOptions = H1HeadOptions(), to output: inout ByteBuffer
  ) throws(H1EncodeError) {
    let characters = unsafe head.cell.pointee.characters
    let method = head.methodText
    if head.method == .other, !characters.isToken(method) { throw .method }
    var target = head.path
    if head.method == .connect {
      target = head.authority
    } else if target.isEmpty {
      target = ByteView("/" as StaticString)
    }
    guard unsafe firstNonTarget(target.base, 0, target.count) == target.count, !target.isEmpty else { throw .target }
    let authority = head.authority
    let isChecked = unsafe head.cell.pointee.authorityIsSound
    guard authority.isEmpty || isChecked || Authority.isValid(authority, characters) else {
      throw .authority
    }

    var failure: H1EncodeError?
    unsafe output.appendUninitialized(bound(head) + target.count + authority.count) { room in
      guard let base = room.baseAddress else { return 0 }
      var out = unsafe Writer(base)
      out.put(method)
      out.put(" ")
      out.put(target)
      out.put(" HTTP/1.1\r\n")
      let hostName = unsafe head.cell.pointee.hostName
      if hostName.isEmpty { out.put("host") } else { out.put(hostName) }
      out.put(": ")
      out.put(authority)
      out.put("\r\n")
      failure = fields(head, keepsUpgrade: options.connection == .upgrade, &out)
      switch head.framing {
      case .none, .tunnel:
        if head.framing == .none, head.method == .post || head.method == .put || head.method == .patch {
          out.put("content-length: 0\r\n")
        }
      case .length(let n): out.putContentLength(n)
      case .chunked: out.put("transfer-encoding: chunked\r\n")
      case .untilClose: failure = .framing
      }
      out.putConnection(options.connection)
      out.put("\r\n")
      return failure == nil ? unsafe out.at - base : 0
    }
    if let failure { throw failure }
  }

  /// Writes status line and fields of a final or informational response.
  package static func writeResponse(
    _ head: MessageHead, options: H1HeadOptions = H1HeadOptions(), to output: inout ByteBuffer
  ) throws(H1EncodeError) {
    let status = head.status
    guard status >= 100, status <= 999 else { throw .status }
    var reason = head.reason
    if reason.isEmpty || !isFieldValue(reason) { reason = ByteView(reasonPhrase(status)) }

    var failure: H1EncodeError?
    unsafe output.appendUninitialized(bound(head) + reason.count) { room in
      guard let base = room.baseAddress else { return 0 }
      var out = unsafe Writer(base)
      out.put("HTTP/1.1 ")
      out.put(decimal: UInt64(status))
      out.put(" ")
      out.put(reason)
      out.put("\r\n")
      failure = fields(head, keepsUpgrade: options.connection == .upgrade, &out)
      let hasNoContent = status < 200 || status == 204
      if status == 304 || options.answersHEAD || head.flags.contains(.answersHEAD), !hasNoContent {
        // Tells of the content a GET would have had.
        if case .length(let n) = head.framing, n > 0 {
          out.putContentLength(n)
        } else if let text = head.first(.contentLength), let n = ASCII.parseDecimal(text) {
          out.putContentLength(n)
        }
      } else if !hasNoContent {
        switch head.framing {
        case .none: out.put("content-length: 0\r\n")
        case .length(let n): out.putContentLength(n)
        case .chunked: out.put("transfer-encoding: chunked\r\n")
        case .untilClose, .tunnel: break
        }
      }
      if head.framing == .untilClose, options.connection != .close {
        out.putConnection(.close)
      } else {
        out.putConnection(options.connection)
      }
      out.put("\r\n")
      return failure == nil ? unsafe out.at - base : 0
    }
    if let failure { throw failure }
  }

  /// Writes `HTTP/1.1 100 Continue`.
  package static func writeContinue(to output: inout ByteBuffer) {
    output.append("HTTP/1.1 100 Continue\r\n\r\n" as StaticString)
  }

  /// Writes one chunk with its framing; nothing for empty data (that would end the content).
  package static func writeChunk(_ data: ByteView, to output: inout ByteBuffer) {
    if data.isEmpty { return }
    output.reserve(data.count + 24)
    writeChunkStart(data.count, to: &output)
    output.append(data)
    writeChunkEnd(to: &output)
  }

  /// Writes a chunk's size line; the owner writes `count` bytes and then `writeChunkEnd`. For large data sent without copying.
  package static func writeChunkStart(_ count: Int, to output: inout ByteBuffer) {
    precondition(count > 0)
    output.append(hexadecimal: UInt64(count))
    output.append("\r\n" as StaticString)
  }

  package static func writeChunkEnd(to output: inout ByteBuffer) { output.append("\r\n" as StaticString) }

  /// Writes the last chunk and the trailer fields, if any. Fields that may not be trailers are left out.
  package static func writeLastChunk(trailers: MessageHead? = nil, to output: inout ByteBuffer) {
    output.append("0\r\n" as StaticString)
    if let trailers {
      for field in trailers.fields where !field.id.isForbiddenInTrailers && isSound(field, trailers) {
        output.append(field.name)
        output.append(": " as StaticString)
        output.append(field.value)
        output.append("\r\n" as StaticString)
      }
    }
    output.append("\r\n" as StaticString)
  }

  // MARK: Fields

  /// Bytes that suffice for a head, without the variable parts of its start line. A line received without a blank after the colon grows
  /// by one byte.
  @inline(__always)
  private static func bound(_ head: MessageHead) -> Int {
    let state = unsafe head.cell
    return unsafe 256 &+ state.pointee.methodText.count &+ state.pointee.hostName.count &+ state.pointee.source.count
      &+ state.pointee.count &+ state.pointee.addedBytes
  }

  private static func isSound(_ field: HeaderField, _ head: MessageHead) -> Bool {
    unsafe head.cell.pointee.characters.isToken(field.name) && isFieldValue(field.value)
  }

  /// Names whose fields the encoder never copies; it writes its own.
  private static var own: HeaderNameSet {
    HeaderNameSet().with(.host).with(.connection).with(.contentLength).with(.transferEncoding).with(.keepAlive)
      .with(.proxyConnection).with(.http2Settings)
  }

  /// Copies the fields; runs that lie in memory as wire lines go in one piece.
  @inline(__always)
  private static func fields(_ head: MessageHead, keepsUpgrade: Bool, _ out: inout Writer) -> H1EncodeError? {
    let left = keepsUpgrade ? own : own.with(.upgrade)
    let fields = unsafe head.cell.pointee.fields
    let end = unsafe fields + head.slotCount
    var runStart = UnsafeRawPointer(fields)
    var runEnd = unsafe runStart
    var next = unsafe fields
    while unsafe next < end {
      let field = unsafe next
      unsafe next += 1
      if unsafe field.pointee.flags.contains(.removed) || left.contains(field.pointee.id) { continue }
      if unsafe field.pointee.flags.contains(.wireLine) {
        if unsafe field.pointee.nameBase != runEnd {
          unsafe out.put(runStart, runEnd - runStart)
          unsafe runStart = field.pointee.nameBase
        }
        unsafe runEnd = field.pointee.valueBase + (Int(field.pointee.valueCount) &+ 2)
        continue
      }
      unsafe out.put(runStart, runEnd - runStart)
      unsafe runStart = runEnd
      // What did not come from our HTTP/1 decoder is checked once more: HTTP/2 and filters can hold what a line cannot.
      let name = unsafe field.pointee.name
      let value = unsafe field.pointee.value
      if unsafe !field.pointee.flags.contains(.sound) {
        if unsafe field.pointee.id == .other && !head.cell.pointee.characters.isToken(name) { return .fieldName }
        if !isFieldValue(value) { return .fieldValue }
      }
      out.put(name)
      out.put(": ")
      out.put(value)
      out.put("\r\n")
    }
    unsafe out.put(runStart, runEnd - runStart)
    return nil
  }
}

/// Raw output of known sufficient size.
///
/// Why sound: `H1Encoder.bound` sums everything that is put, before the room is taken.
@safe
private struct Writer {
  var at: UnsafeMutableRawPointer

  init(_ base: UnsafeMutableRawPointer) { unsafe at = base }

  @inline(__always)
  mutating func put(_ base: UnsafeRawPointer, _ count: Int) {
    if count == 0 { return }
    unsafe at.copyMemory(from: base, byteCount: count)
    unsafe at += count
  }

  @inline(__always)
  mutating func put(_ view: ByteView) { unsafe put(view.base, view.count) }

  @inline(__always)
  mutating func put(_ text: StaticString) { unsafe put(text.utf8Start, text.utf8CodeUnitCount) }

  mutating func put(decimal value: UInt64) { unsafe at += ASCII.writeDecimal(value, to: at) }

  mutating func putContentLength(_ n: UInt64) {
    put("content-length: ")
    put(decimal: n)
    put("\r\n")
  }

  mutating func putConnection(_ connection: H1HeadOptions.Connection) {
    switch connection {
    case .persist: break
    case .close: put("connection: close\r\n")
    case .keepAlive: put("connection: keep-alive\r\n")
    case .upgrade: put("connection: upgrade\r\n")
    }
  }
}
