// DubboRequest: the head of a request's body, laid out in the form in which routes read requests.

package import WeftBase
package import WeftHTTP

/// Why a request is not passed on. Its connection goes on: where its frame ends is known.
package enum DubboRefusal: Error, Hashable, Sendable {
  /// The body is not hessian2, or ends too early.
  case malformed
  /// More of something than `DubboLimits` allows.
  case tooMuch
  /// It names no service or no method.
  case nameless

  package var words: StaticString {
    switch self {
    case .malformed: "dubbo.malformed_request"
    case .tooMuch: "dubbo.request_over_limits"
    case .nameless: "dubbo.request_without_name"
    }
  }
}

/// Requests of Dubbo 2.
///
/// *Shape of a body*: five texts (version of Dubbo, service path, version of the service, method, types of the arguments), one value per argument,
/// a map of attachments. Laid out in a `MessageHead`:
///
/// | in the head | from |
/// |---|---|
/// | `:method` | POST |
/// | `:path` | `/` service path `/` method, bytes that a path cannot hold as `%XX` |
/// | `:authority` | the attachment `interface`, else the service path |
/// | `group`, `version` | the attachment `group`, the version of the service |
/// | `dubbo-attachment-` name | each other attachment whose name and value can stand in a field; names in lower case |
///
/// Of a body that is not hessian2 nothing can be known but its serialization: `:authority` is `serialization-` number, `:path` is `/`.
package enum DubboRequest {
  package static var groupField: ByteView { ByteView("group") }
  package static var versionField: ByteView { ByteView("version") }
  package static var attachmentPrefix: ByteView { ByteView("dubbo-attachment-") }

  /// Lays out the request `frame` with `body`. *Errors*: why it must not be passed on. *Lifetime*: the head holds views of `body`.
  package static func read(
    _ frame: DubboFrame, _ body: ByteView, into head: MessageHead, _ limits: DubboLimits
  ) throws(DubboRefusal) {
    guard frame.serialization == DubboFrame.hessian2 else {
      head.startRequest(.post, authority: .empty, path: ByteView("/"), framing: .length(UInt64(frame.bytes)))
      head.authority = head.concatenate(
        ByteView("serialization-"), head.decimal(UInt64(frame.serialization)))
      return
    }
    head.startRequest(.post, authority: .empty, path: .empty, framing: .length(UInt64(frame.bytes)))
    do throws(HessianFault) { try readHessian(body, head, limits) } catch {
      throw error == .tooMuch ? .tooMuch : .malformed
    }
    if head.path.isEmpty { throw .nameless }
  }

  private static func readHessian(_ body: ByteView, _ head: MessageHead, _ limits: DubboLimits) throws(HessianFault) {
    var reader = HessianReader(body, limits)
    _ = try name(&reader, head)
    let path = try name(&reader, head)
    let version = try name(&reader, head)
    let method = try name(&reader, head)
    let types = try name(&reader, head)
    guard let count = argumentCount(types) else { throw .malformed }
    if path.isEmpty || method.isEmpty { return }
    head.path = Self.path(path, method, head)
    head.authority = path
    if !version.isEmpty, isValue(version) { head.append(named: versionField, version) }
    let origin = reader
    for _ in 0..<count { try reader.skipValue() }
    // Old clients send none.
    if reader.isAtEnd { return }
    var entries = 0
    var bytes = 0
    _ = try reader.textMap(head, origin: origin) { (name, value) throws(HessianFault) in
      // Services are found by these in some servers, and by what stands in front in others: what differs would be routed as one and served as another.
      if !value.isEmpty, name.equals("path") && !value.equals(path) || name.equals("version") && !value.equals(version)
      {
        throw .malformed
      }
      entries += 1
      bytes += name.count + value.count
      guard entries <= limits.attachments, bytes <= limits.attachmentBytes else { throw .tooMuch }
      attach(name, value, head)
    }
  }

  /// One of the texts in front; null is as good as empty.
  private static func name(_ reader: inout HessianReader, _ head: MessageHead) throws(HessianFault) -> ByteView {
    switch try reader.text(head) {
    case .text(let text): text
    case .null: .empty
    case .unrepresentable, .none: throw .malformed
    }
  }

  /// How many types a descriptor such as `Ljava/lang/String;[I` names; nil when it is none.
  private static func argumentCount(_ types: ByteView) -> Int? {
    var count = 0
    var i = 0
    while i < types.count {
      while i < types.count, types[i] == UInt8(ascii: "[") { i += 1 }
      guard i < types.count else { return nil }
      switch types[i] {
      case UInt8(ascii: "V"), UInt8(ascii: "Z"), UInt8(ascii: "B"), UInt8(ascii: "C"), UInt8(ascii: "D"),
        UInt8(ascii: "F"), UInt8(ascii: "I"), UInt8(ascii: "J"), UInt8(ascii: "S"):
        i += 1
      case UInt8(ascii: "L"):
        guard let end = types.firstIndex(of: UInt8(ascii: ";"), from: i) else { return nil }
        i = end + 1
      default: return nil
      }
      count += 1
    }
    return count
  }

  /// `/service/method`. What might mean something else in a path is escaped, so that no two services have one path.
  private static func path(_ service: ByteView, _ method: ByteView, _ head: MessageHead) -> ByteView {
    unsafe head.build(2 + 3 * (service.count + method.count)) { room in
      var n = 0
      for part in [service, method] {
        unsafe room[n] = UInt8(ascii: "/")
        n += 1
        for i in 0..<part.count {
          let byte = part[i]
          if isPlain(byte) {
            unsafe room[n] = byte
            n += 1
          } else {
            unsafe room[n] = UInt8(ascii: "%")
            unsafe room[n + 1] = upper(byte >> 4)
            unsafe room[n + 2] = upper(byte & 15)
            n += 3
          }
        }
      }
      return n
    }
  }

  private static func upper(_ digit: UInt8) -> UInt8 { digit < 10 ? 0x30 + digit : 0x37 + digit }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: ByteView("._-$:@").contains(byte)
    }
  }

  private static func isValue(_ value: ByteView) -> Bool { MessageHead.isSound(name: ByteView("x"), value: value) }

  /// One attachment. The last of a name counts, as in the map that the service makes of them.
  private static func attach(_ name: ByteView, _ value: ByteView, _ head: MessageHead) {
    if name.equals("interface") {
      if !value.isEmpty { head.authority = value }
      return
    }
    // They repeat what stands in front.
    if name.equals("path") || name.equals("version") || name.isEmpty { return }
    if name.equals("group") {
      if isValue(value) { head.set(named: groupField, value) }
      return
    }
    let prefix = attachmentPrefix
    let field = unsafe head.build(prefix.count + name.count) { room in
      for i in 0..<prefix.count { unsafe room[i] = prefix[i] }
      for i in 0..<name.count { unsafe room[prefix.count + i] = ASCII.lowercased(name[i]) }
      return prefix.count + name.count
    }
    if MessageHead.isSound(name: field, value: value) { head.set(named: field, value) }
  }
}
