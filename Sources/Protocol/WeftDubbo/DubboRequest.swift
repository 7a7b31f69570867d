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
  /// In a serialization of which nothing can be read: nobody could say whose call it is.
  case unknownSerialization

  package var words: StaticString {
    switch self {
    case .malformed: "dubbo.malformed_request"
    case .tooMuch: "dubbo.request_over_limits"
    case .nameless: "dubbo.request_without_name"
    case .unknownSerialization: "dubbo.unknown_serialization"
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
/// | `:path` | `/` service `/` method, bytes that neither a path nor an authority can hold as `%XX` |
/// | `:authority` | the service, escaped alike |
/// | `group`, `version` | the attachment `group`, the version of the service |
/// | `dubbo-generic-method` | of a generic call the method that is meant |
/// | `dubbo-attachment-` name | each other attachment whose name and value can stand in a field; names in lower case |
///
/// A provider looks a service up by one text, `group/path:version`, made of the attachments where they are there, else of what stands in front. So
/// two calls that it takes for one have one head here, and what it could read in another way than we do is refused.
package enum DubboRequest {
  package static var groupField: ByteView { ByteView("group") }
  package static var versionField: ByteView { ByteView("version") }
  package static var genericField: ByteView { ByteView("dubbo-generic-method") }
  package static var attachmentPrefix: ByteView { ByteView("dubbo-attachment-") }

  /// Lays out the request `frame` with `body`. *Errors*: why it must not be passed on. *Lifetime*: the head holds views of `body`.
  package static func read(
    _ frame: DubboFrame, _ body: ByteView, into head: MessageHead, _ limits: DubboLimits
  ) throws(DubboRefusal) {
    guard frame.serialization == DubboFrame.hessian2 else { throw .unknownSerialization }
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
    guard var count = argumentCount(types) else { throw .malformed }
    // In front of the last slash stands a group, whichever field it came in.
    let slash = path.lastIndex(of: UInt8(ascii: "/"))
    let service = slash.map { path.dropFirst($0 + 1) } ?? path
    if service.isEmpty || method.isEmpty { return }
    guard isKeyPart(path), isKeyPart(version) else { throw .malformed }
    head.path = Self.path(service, method, head)
    head.authority = head.path[1..<(head.path.firstIndex(of: UInt8(ascii: "/"), from: 1) ?? head.path.count)]
    if !Attachments.version(version).isEmpty { head.append(named: versionField, version) }
    if count == 3, method.equals("$invoke") || method.equals("$invokeAsync") {
      guard case .text(let real) = try reader.value(head), let real = genericName(real) else { throw .malformed }
      head.append(named: genericField, real)
      count -= 1
    }
    for _ in 0..<count { try reader.skipValue() }
    var attachments = Attachments(path: path, version: version, group: slash.map { path.prefix($0) } ?? .empty, limits)
    // Old clients send none.
    if !reader.isAtEnd {
      try reader.textMap(head) { (name, value) throws(HessianFault) in try attachments.take(name, value, head) }
    }
    guard attachments.isPathTold || attachments.interface.isEmpty || attachments.interface.equals(path) else {
      throw .malformed
    }
    if !attachments.group.isEmpty { head.append(named: groupField, attachments.group) }
  }

  /// Whether the text can be part of what a provider looks a service up by: with a colon in it two different calls would be one.
  private static func isKeyPart(_ text: ByteView) -> Bool { !text.contains(UInt8(ascii: ":")) && isValue(text) }

  /// The name as the provider takes it: without control characters and blanks at its ends.
  private static func genericName(_ text: ByteView) -> ByteView? {
    var name = text
    while let first = name.first, first <= 0x20 { name = name.dropFirst() }
    while let last = name.last, last <= 0x20 { name = name.dropLast() }
    return name.isEmpty || !isValue(name) ? nil : name
  }

  /// One of the texts in front; null is as good as empty.
  private static func name(_ reader: inout HessianReader, _ head: MessageHead) throws(HessianFault) -> ByteView {
    switch try reader.text(head) {
    case .text(let text): text
    case .null: .empty
    case .unrepresentable, .none: throw .malformed
    }
  }

  /// How many types a descriptor such as `Ljava/lang/String;[I` names; nil when it is none. As strict as the provider's own expression, which passes
  /// over what it does not know: it would take an argument for the attachments.
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
        guard let end = types.firstIndex(of: UInt8(ascii: ";"), from: i), isClassName(types[(i + 1)..<end]) else {
          return nil
        }
        i = end + 1
      default: return nil
      }
      count += 1
    }
    return count
  }

  /// Names of Java in ASCII, with slashes between them.
  private static func isClassName(_ name: ByteView) -> Bool {
    var isFirst = true
    for i in 0..<name.count {
      switch name[i] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
        UInt8(ascii: "$"):
        isFirst = false
      case UInt8(ascii: "0")...UInt8(ascii: "9") where !isFirst: break
      case UInt8(ascii: "/") where !isFirst: isFirst = true
      default: return false
      }
    }
    return !isFirst
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
    default: ByteView("._-$").contains(byte)
    }
  }

  private static func isValue(_ value: ByteView) -> Bool { MessageHead.isSound(name: ByteView("x"), value: value) }

  /// What the attachments of one request have told so far.
  private struct Attachments {
    let path: ByteView
    let version: ByteView
    let limits: DubboLimits
    /// As the provider will look it up: with what stands in front of the path's last slash.
    var group: ByteView
    var interface = ByteView.empty
    var isPathTold = false
    private var names = InlineArray<128, ByteView>(repeating: .empty)
    private var count = 0
    private var bytes = 0

    init(path: ByteView, version: ByteView, group: ByteView, _ limits: DubboLimits) {
      (self.path, self.version, self.group, self.limits) = (path, version, group, limits)
    }

    /// One attachment. *Errors*: a name for the second time, also where only case differs: which of them counts would be the provider's choice; a
    /// value by which the provider finds another service than the one in front.
    mutating func take(_ name: ByteView, _ value: HessianReader.Text, _ head: MessageHead) throws(HessianFault) {
      for i in 0..<count where names[i].equalsIgnoringCase(name) { throw .malformed }
      guard count < DubboLimits.attachments else { throw .tooMuch }
      names[count] = name
      count += 1
      bytes += name.count
      var text: ByteView?
      if case .text(let value) = value {
        text = value
        bytes += value.count
      }
      guard bytes <= limits.attachmentBytes else { throw .tooMuch }
      if name.equals("path") {
        guard let text, text.equals(path) else { throw .malformed }
        isPathTold = true
      } else if name.equals("version") {
        guard Self.version(try key(value)).equals(Self.version(version)) else { throw .malformed }
      } else if name.equals("group") {
        let told = try key(value)
        guard isValue(told) else { throw .malformed }
        group =
          told.isEmpty ? group : group.isEmpty ? told : head.concatenate(told, head.concatenate(ByteView("/"), group))
      } else {
        if name.equals("interface") { interface = try key(value) }
        if let text { attach(name, text, head) }
      }
    }

    /// A text, or null, which is as good as none.
    private func key(_ value: HessianReader.Text) throws(HessianFault) -> ByteView {
      switch value {
      case .text(let text): text
      case .null: .empty
      case .unrepresentable, .none: throw .malformed
      }
    }

    /// 0.0.0 is the name of no version.
    static func version(_ text: ByteView) -> ByteView { text.equals("0.0.0") ? .empty : text }
  }

  private static func attach(_ name: ByteView, _ value: ByteView, _ head: MessageHead) {
    let prefix = attachmentPrefix
    let field = unsafe head.build(prefix.count + name.count) { room in
      for i in 0..<prefix.count { unsafe room[i] = prefix[i] }
      for i in 0..<name.count { unsafe room[prefix.count + i] = ASCII.lowercased(name[i]) }
      return prefix.count + name.count
    }
    if !name.isEmpty, MessageHead.isSound(name: field, value: value) { head.append(named: field, value) }
  }
}
