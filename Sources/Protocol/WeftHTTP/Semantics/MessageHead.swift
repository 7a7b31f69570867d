// The head of a request, a response or a trailer section, whatever protocol it came in or goes out with.

public import WeftBase

/// A handle on a worker's parsed head. Copying it copies one pointer; all copies see the same head.
///
/// Pseudo-fields (method, scheme, authority, path, status) live apart; the fields hold neither them nor HTTP/1's `Host`
/// (that is `authority`). `Content-Length` and the hop-by-hop fields stay visible as received, but encoders never copy
/// them: they write what `framing` and their options say.
///
/// Views handed in (`append`, `set`, `path = …`) are not copied: the bytes must live as long as the head. Use `copy(_:)`
/// for bytes that do not.
///
/// Why sound: `cell` is owned by a `HeadScratch`, which outlives every use by contract; one thread only.
@safe @frozen @usableFromInline
package struct MessageHead {
  @frozen @usableFromInline
  package struct Flags: OptionSet, BitwiseCopyable, Sendable {
    @usableFromInline package let rawValue: UInt16
    @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Spelled out: the standard library's generic one is not specialised across targets.
    @inlinable @inline(__always)
    package func contains(_ member: Flags) -> Bool { rawValue & member.rawValue == member.rawValue }

    @inlinable package static var response: Flags { Flags(rawValue: 1) }
    @inlinable package static var trailers: Flags { Flags(rawValue: 2) }
    /// The sender will not reuse the connection: `Connection: close`, or HTTP/1.0 without keep-alive.
    @inlinable package static var closesConnection: Flags { Flags(rawValue: 4) }
    /// `Expect: 100-continue` on a request with content.
    @inlinable package static var expectsContinue: Flags { Flags(rawValue: 8) }
    /// `Upgrade` with the `upgrade` connection option: the bytes after this message may change protocol.
    @inlinable package static var upgrade: Flags { Flags(rawValue: 16) }
    /// HTTP/2 extended CONNECT (RFC 8441): `protocolText` is set.
    @inlinable package static var extendedConnect: Flags { Flags(rawValue: 32) }
    /// HTTP/1 absolute-form request target.
    @inlinable package static var absoluteForm: Flags { Flags(rawValue: 64) }
    /// The sender accepts trailers (`TE: trailers`).
    @inlinable package static var acceptsTrailers: Flags { Flags(rawValue: 128) }
    /// The response answers HEAD: `Content-Length` tells of content that is not sent.
    @inlinable package static var answersHEAD: Flags { Flags(rawValue: 256) }
  }

  @usableFromInline let cell: UnsafeMutablePointer<HeadState>

  /// Empties head and arena for the next message.
  @inlinable @inline(__always)
  package func reset() { unsafe cell.pointee.reset() }

  // MARK: Pseudo-fields

  @inlinable package var method: HTTPMethod { unsafe cell.pointee.method }
  /// The method's bytes, also for methods without a name here.
  @inlinable package var methodText: ByteView { unsafe cell.pointee.methodText }
  /// `http` or `https`; empty for HTTP/1 origin-form, where the listener knows.
  @inlinable package var scheme: ByteView {
    get { unsafe cell.pointee.scheme }
    nonmutating set { unsafe cell.pointee.scheme = newValue }
  }
  /// Host and optional port as received, from `:authority`, absolute-form or `Host`; may be empty with HTTP/1.0.
  @inlinable package var authority: ByteView {
    get { unsafe cell.pointee.authority }
    nonmutating set {
      unsafe cell.pointee.authority = newValue
      unsafe cell.pointee.authorityIsSound = false
    }
  }
  /// Path with query, never with scheme or authority; `*` for OPTIONS; empty for CONNECT.
  @inlinable package var path: ByteView {
    get { unsafe cell.pointee.path }
    nonmutating set { unsafe cell.pointee.path = newValue }
  }
  /// `:protocol` of an extended CONNECT.
  @inlinable package var protocolText: ByteView {
    get { unsafe cell.pointee.protocolText }
    nonmutating set { unsafe cell.pointee.protocolText = newValue }
  }
  @inlinable package var status: UInt16 {
    get { unsafe cell.pointee.status }
    nonmutating set { unsafe cell.pointee.status = newValue }
  }
  /// HTTP/1 reason phrase as received; the encoder writes the registered one when empty.
  @inlinable package var reason: ByteView {
    get { unsafe cell.pointee.reason }
    nonmutating set { unsafe cell.pointee.reason = newValue }
  }
  @inlinable package var version: HTTPVersion {
    get { unsafe cell.pointee.version }
    nonmutating set { unsafe cell.pointee.version = newValue }
  }
  @inlinable package var framing: BodyFraming {
    get { unsafe cell.pointee.framing }
    nonmutating set { unsafe cell.pointee.framing = newValue }
  }
  @inlinable package var flags: Flags {
    get { unsafe cell.pointee.flags }
    nonmutating set { unsafe cell.pointee.flags = newValue }
  }

  package func setMethod(_ method: HTTPMethod) {
    unsafe cell.pointee.method = method
    unsafe cell.pointee.methodText = ByteView(method.text)
  }

  /// Sets the method by its token; the bytes must outlive the head.
  package func setMethod(_ text: ByteView) {
    unsafe cell.pointee.method = HTTPMethod.find(text)
    unsafe cell.pointee.methodText = text
  }

  @inlinable package var isResponse: Bool { flags.contains(.response) }
  /// A 1xx response other than 101: more heads follow for the same request.
  @inlinable package var isInformational: Bool { isResponse && status >= 100 && status < 200 && status != 101 }
  /// True when content follows the head (a declared length of zero is none).
  @inlinable package var hasContent: Bool {
    switch framing {
    case .none, .length(0): false
    default: true
    }
  }

  /// Starts a request: empties the head, its arena too (what was copied there before is gone), and sets the pseudo-fields.
  package func startRequest(
    _ method: HTTPMethod, scheme: ByteView = .empty, authority: ByteView, path: ByteView, framing: BodyFraming = .none
  ) {
    reset()
    setMethod(method)
    self.scheme = scheme
    self.authority = authority
    self.path = path
    self.framing = framing
  }

  /// Starts a response: empties the head and sets status and framing.
  package func startResponse(_ status: UInt16, framing: BodyFraming = .length(0)) {
    reset()
    flags = .response
    self.status = status
    self.framing = framing
  }

  /// Starts a trailer section.
  package func startTrailers() {
    reset()
    flags = .trailers
  }

  // MARK: Fields

  /// Slots in the field array, removed ones included: the range of `field(at:)`.
  @inlinable package var slotCount: Int { unsafe cell.pointee.count }

  /// The field in slot `index`; check `flags.contains(.removed)`, or iterate `fields`.
  @inlinable @inline(__always)
  package func field(at index: Int) -> HeaderField {
    precondition(index >= 0 && index < slotCount)
    return unsafe cell.pointee.fields[index]
  }

  /// The fields that are not removed, in order. Do not add fields while iterating.
  @inlinable package var fields: HeaderFields { HeaderFields(head: self) }

  /// Slot of the first field `name` at or after slot `from`.
  @inlinable @inline(__always)
  package func firstIndex(of name: HeaderName, from: Int = 0) -> Int? {
    unsafe cell.pointee.present.contains(name) ? search(name, from) : nil
  }

  @usableFromInline
  func search(_ name: HeaderName, _ from: Int) -> Int? {
    var i = from
    let count = slotCount
    let fields = unsafe cell.pointee.fields
    while i < count {
      if unsafe fields[i].id == name, unsafe !fields[i].flags.contains(.removed) { return i }
      i &+= 1
    }
    return nil
  }

  /// Slot of the first field called `name` (any name, compared without case) at or after slot `from`.
  package func firstIndex(named name: ByteView, from: Int = 0) -> Int? {
    let id = unsafe cell.pointee.names.find(name)
    if id != .other { return firstIndex(of: id, from: from) }
    var i = from
    while i < slotCount {
      let field = unsafe cell.pointee.fields[i]
      if field.id == .other, !field.flags.contains(.removed), field.name.equalsIgnoringCase(name) { return i }
      i += 1
    }
    return nil
  }

  /// Value of the first field `name`.
  @inlinable package func first(_ name: HeaderName) -> ByteView? {
    guard let index = firstIndex(of: name) else { return nil }
    return unsafe cell.pointee.fields[index].value
  }

  /// Value of the first field called `name`, compared without case.
  package func first(named name: ByteView) -> ByteView? {
    guard let index = firstIndex(named: name) else { return nil }
    return unsafe cell.pointee.fields[index].value
  }

  @inlinable package func contains(_ name: HeaderName) -> Bool { firstIndex(of: name) != nil }

  /// All values of the field called `name` joined by commas, as a matcher must see them (a repeated field must not
  /// hide a value). *Cost*: copies into the arena only when the field is repeated.
  package func joinedValue(named name: ByteView) -> ByteView? {
    guard let index = firstIndex(named: name) else { return nil }
    let value = field(at: index).value
    guard firstIndex(named: name, from: index + 1) != nil else { return value }
    var total = 0
    var i: Int? = index
    while let k = i {
      total += field(at: k).value.count + 1
      i = firstIndex(named: name, from: k + 1)
    }
    let room = unsafe cell.pointee.allocate(total)
    var used = 0
    i = index
    while let k = i {
      let part = field(at: k).value
      if used > 0 {
        unsafe room.storeBytes(of: UInt8(ascii: ","), toByteOffset: used, as: UInt8.self)
        used += 1
      }
      unsafe (room + used).copyMemory(from: part.base, byteCount: part.count)
      used += part.count
      i = firstIndex(named: name, from: k + 1)
    }
    return unsafe ByteView(UnsafeRawPointer(room), count: used)
  }

  /// Adds `value` to what the field `name` says already, as one field.
  package func appendJoined(_ name: HeaderName, separator: ByteView, _ value: ByteView) {
    guard let old = joinedValue(named: ByteView(name.text)) else { return append(name, value) }
    set(name, concatenate(concatenate(old, separator), value))
  }

  /// Adds a field at the end, after others of the same name.
  @inlinable package func append(_ name: HeaderName, _ value: ByteView, flags: HeaderField.Flags = []) {
    precondition(name != .other)
    let text = unsafe cell.pointee.names.text(of: name)
    unsafe cell.pointee.append(HeaderField(id: name, name: text, value: value, flags: flags))
  }

  /// Adds a field of any name, kept in the case given. Both views must outlive the head.
  package func append(named name: ByteView, _ value: ByteView, flags: HeaderField.Flags = []) {
    unsafe cell.pointee.append(HeaderField(id: cell.pointee.names.find(name), name: name, value: value, flags: flags))
  }

  /// Adds a field whose identifier is known: `HeaderName.find(name)`.
  @inlinable
  package func append(_ id: HeaderName, named name: ByteView, _ value: ByteView, flags: HeaderField.Flags = []) {
    unsafe cell.pointee.append(HeaderField(id: id, name: name, value: value, flags: flags))
  }

  /// Replaces every field of the name by one.
  @inlinable package func set(_ name: HeaderName, _ value: ByteView, flags: HeaderField.Flags = []) {
    remove(name)
    append(name, value, flags: flags)
  }

  /// Replaces every field of the name (compared without case) by one.
  package func set(named name: ByteView, _ value: ByteView) {
    remove(named: name)
    append(named: name, value)
  }

  /// Removes every field of the name; true if there was one.
  @discardableResult
  @inlinable @inline(__always)
  package func remove(_ name: HeaderName) -> Bool {
    contains(name) && removeAll(in: HeaderNameSet().with(name))
  }

  /// Removes every field whose name is in `names`, in one pass; true if there was one.
  @discardableResult
  @usableFromInline package func removeAll(in names: HeaderNameSet) -> Bool {
    guard unsafe cell.pointee.present.intersects(names) else { return false }
    var found = false
    var i = 0
    let count = slotCount
    let fields = unsafe cell.pointee.fields
    while i < count {
      if unsafe names.contains(fields[i].id), unsafe !fields[i].flags.contains(.removed) {
        unsafe fields[i].flags.insert(.removed)
        found = true
      }
      i &+= 1
    }
    unsafe cell.pointee.present.subtract(names)
    return found
  }

  /// The longest name of a field that the codecs take.
  package static let longestName = 1024

  /// Whether `value` can stand in a field line under `name`, as `HeaderField.Flags.sound` says.
  package static func isSound(name: ByteView, value: ByteView) -> Bool {
    name.count <= longestName && CharacterTable.shared.isToken(name) && isFieldValue(value)
  }

  /// Removes every field of the name, compared without case; true if there was one.
  @discardableResult
  package func remove(named name: ByteView) -> Bool {
    let id = unsafe cell.pointee.names.find(name)
    if id != .other { return remove(id) }
    var found = false
    var index = firstIndex(named: name)
    while let i = index {
      remove(at: i)
      found = true
      index = firstIndex(named: name, from: i + 1)
    }
    return found
  }

  /// Removes the field in slot `index`; other slots keep their numbers.
  package func remove(at index: Int) {
    precondition(index >= 0 && index < slotCount)
    unsafe cell.pointee.fields[index].flags.insert(.removed)
  }

  // MARK: Arena

  /// A copy of `bytes` that lives until the next `reset`.
  package func copy(_ bytes: ByteView) -> ByteView {
    if bytes.isEmpty { return .empty }
    let room = unsafe cell.pointee.allocate(bytes.count)
    unsafe room.copyMemory(from: bytes.base, byteCount: bytes.count)
    return unsafe ByteView(UnsafeRawPointer(room), count: bytes.count)
  }

  /// `a` followed by `b`, in the arena.
  package func concatenate(_ a: ByteView, _ b: ByteView) -> ByteView {
    let room = unsafe cell.pointee.allocate(a.count + b.count)
    unsafe room.copyMemory(from: a.base, byteCount: a.count)
    unsafe (room + a.count).copyMemory(from: b.base, byteCount: b.count)
    return unsafe ByteView(UnsafeRawPointer(room), count: a.count + b.count)
  }

  /// `value` in decimal digits, in the arena.
  package func decimal(_ value: UInt64) -> ByteView {
    let room = unsafe cell.pointee.allocate(20)
    let count = unsafe ASCII.writeDecimal(value, to: room)
    unsafe cell.pointee.shrinkLast(by: 20 - count)
    return unsafe ByteView(UnsafeRawPointer(room), count: count)
  }

  /// Room for up to `capacity` bytes in the arena; `body` writes and returns how many it used.
  package func build(_ capacity: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) -> ByteView {
    let room = unsafe cell.pointee.allocate(capacity)
    let used = unsafe body(UnsafeMutableRawBufferPointer(start: room, count: capacity))
    precondition(used >= 0 && used <= capacity)
    unsafe cell.pointee.shrinkLast(by: capacity - used)
    return unsafe ByteView(UnsafeRawPointer(room), count: used)
  }
}

/// The fields of a head that are not removed.
@frozen @usableFromInline
package struct HeaderFields: Sequence, IteratorProtocol {
  @usableFromInline let head: MessageHead
  @usableFromInline var index = 0

  @inlinable init(head: MessageHead) { self.head = head }

  @inlinable
  package mutating func next() -> HeaderField? {
    while index < head.slotCount {
      let field = head.field(at: index)
      index += 1
      if !field.flags.contains(.removed) { return field }
    }
    return nil
  }
}
