// A head that outlives its read buffer: waiting for a connection, or kept for a retry.

package import WeftBase

/// A copy of a head in one pooled block.
///
/// *Shape*: trivially copyable handle; exactly one `release` per `init`. *Cost*: one block, one pass over the bytes.
///
/// Why sound: `init` sums what it will copy before it takes the block; the block is only read afterwards.
@safe
package struct StoredHead: BitwiseCopyable {
  let block: PooledBlock
  let fieldCount: Int

  /// Pseudo-fields and properties, at the start of the block; the fields follow, then the bytes.
  @safe
  private struct Prefix {
    var method: HTTPMethod
    var version: HTTPVersion
    var flags: MessageHead.Flags
    var status: UInt16
    var framing: BodyFraming
    var methodText, scheme, authority, path, protocolText, reason, hostName: ByteView
  }

  private static var prefixSize: Int { (MemoryLayout<Prefix>.size + 15) & ~15 }

  /// Copies everything `head` refers to: what was parsed and what lies in the arena in one piece each, the rest view by view.
  package init(_ head: MessageHead, pool: borrowing BufferPool) {
    let state = unsafe head.cell
    let source = unsafe state.pointee.source
    let arena = unsafe state.pointee.arenaBytes
    let slots = head.slotCount
    let bytesAt = Self.prefixSize &+ slots &* MemoryLayout<HeaderField>.stride
    block = pool.take(atLeast: bytesAt &+ source.count &+ arena.count &+ Self.strayBytes(head, source, arena))

    var mover = unsafe Mover(to: block.base + bytesAt, source: source, arena: arena, names: state.pointee.names)
    let prefix = unsafe Prefix(
      method: state.pointee.method, version: state.pointee.version, flags: state.pointee.flags,
      status: state.pointee.status, framing: state.pointee.framing,
      methodText: mover.move(state.pointee.methodText), scheme: mover.move(state.pointee.scheme),
      authority: mover.move(state.pointee.authority), path: mover.move(state.pointee.path),
      protocolText: mover.move(state.pointee.protocolText), reason: mover.move(state.pointee.reason),
      hostName: mover.move(state.pointee.hostName))
    unsafe block.base.initializeMemory(as: Prefix.self, to: prefix)
    let fields = unsafe (block.base + Self.prefixSize).bindMemory(to: HeaderField.self, capacity: slots)
    var live = 0
    var i = 0
    while i < slots {
      let field = unsafe state.pointee.fields[i]
      i &+= 1
      if field.flags.contains(.removed) { continue }
      unsafe (fields + live).initialize(to: mover.move(field))
      live &+= 1
    }
    fieldCount = live
  }

  /// Room for the views that lie neither in `source` nor in `arena`: an upper bound while that fits a smallest block, else exact.
  @inline(__always)
  private static func strayBytes(_ head: MessageHead, _ source: ByteView, _ arena: ByteView) -> Int {
    let state = unsafe head.cell
    let bound =
      unsafe state.pointee.addedBytes &+ state.pointee.methodText.count &+ state.pointee.scheme.count
      &+ state.pointee.authority.count &+ state.pointee.path.count &+ state.pointee.protocolText.count
      &+ state.pointee.reason.count &+ state.pointee.hostName.count
    return bound <= 1024 ? bound : exactStrayBytes(head, source, arena)
  }

  @inline(never)
  private static func exactStrayBytes(_ head: MessageHead, _ source: ByteView, _ arena: ByteView) -> Int {
    func stray(_ view: ByteView) -> Int {
      unsafe source.encloses(view.base) || arena.encloses(view.base) ? 0 : view.count
    }
    var total = stray(head.methodText) + stray(head.scheme) + stray(head.authority) + stray(head.path)
    total += unsafe stray(head.protocolText) + stray(head.reason) + stray(head.cell.pointee.hostName)
    for field in head.fields { total += stray(field.name) + stray(field.value) }
    return total
  }

  /// Shows the stored head in `head` (which is emptied first). The views point into the block: release it after use.
  package func view(in head: MessageHead) {
    head.reset()
    let prefix = unsafe block.base.load(as: Prefix.self)
    unsafe head.cell.pointee.method = prefix.method
    unsafe head.cell.pointee.version = prefix.version
    unsafe head.cell.pointee.flags = prefix.flags
    unsafe head.cell.pointee.status = prefix.status
    unsafe head.cell.pointee.framing = prefix.framing
    unsafe head.cell.pointee.methodText = prefix.methodText
    unsafe head.cell.pointee.scheme = prefix.scheme
    unsafe head.cell.pointee.authority = prefix.authority
    unsafe head.cell.pointee.path = prefix.path
    unsafe head.cell.pointee.protocolText = prefix.protocolText
    unsafe head.cell.pointee.reason = prefix.reason
    unsafe head.cell.pointee.hostName = prefix.hostName
    let fields = unsafe (block.base + Self.prefixSize).assumingMemoryBound(to: HeaderField.self)
    for i in 0..<fieldCount { unsafe head.cell.pointee.append(fields[i]) }
  }

  /// Gives the block back. The handle is dead.
  package func release(to pool: BufferPool) { pool.give(block) }

  /// Bytes held, for accounting against buffer limits.
  package var footprint: Int { block.capacity }
}

extension ByteView {
  /// Whether a view that begins at `pointer` is a part of this one: views of other memory never begin inside it.
  @inline(__always)
  fileprivate func encloses(_ pointer: UnsafeRawPointer) -> Bool {
    unsafe UInt(bitPattern: pointer) &- UInt(bitPattern: base) < UInt(bitPattern: count)
  }
}

/// Copies source and arena in one piece each, and moves views into the copies. What lies elsewhere is copied behind them.
///
/// Why sound: the room was summed before it was taken; a view that begins in source or arena ends there, too.
@safe
private struct Mover {
  private let source: ByteView
  private let arena: ByteView
  private let movedSource: UnsafeMutableRawPointer
  private let movedArena: UnsafeMutableRawPointer
  private let names: HeaderNameTable
  private var at: UnsafeMutableRawPointer

  @inline(__always)
  init(to room: UnsafeMutableRawPointer, source: ByteView, arena: ByteView, names: HeaderNameTable) {
    self.source = source
    self.arena = arena
    self.names = names
    unsafe movedSource = room
    unsafe movedArena = room + source.count
    unsafe at = room + (source.count &+ arena.count)
    unsafe movedSource.copyMemory(from: source.base, byteCount: source.count)
    unsafe movedArena.copyMemory(from: arena.base, byteCount: arena.count)
  }

  @inline(__always)
  mutating func move(_ view: ByteView) -> ByteView {
    if view.isEmpty { return .empty }
    if unsafe source.encloses(view.base) {
      return unsafe ByteView(movedSource + (view.base - source.base), count: view.count)
    }
    if unsafe arena.encloses(view.base) {
      return unsafe ByteView(movedArena + (view.base - arena.base), count: view.count)
    }
    return copy(view)
  }

  @inline(__always)
  mutating func move(_ field: HeaderField) -> HeaderField {
    if unsafe source.encloses(field.nameBase) {
      // A line of the source moves as it is: its value lies there, too, unless it was replaced.
      let distance = unsafe movedSource - UnsafeMutableRawPointer(mutating: source.base)
      if unsafe source.encloses(field.valueBase) {
        return unsafe HeaderField(field, nameBase: field.nameBase + distance, valueBase: field.valueBase + distance)
      }
    }
    return moveStray(field)
  }

  private mutating func moveStray(_ field: HeaderField) -> HeaderField {
    let canonical = field.id == .other ? field.name : names.text(of: field.id)
    // A well-known name keeps its static spelling unless it was received in another case.
    let keeps = unsafe field.id != .other && (field.nameBase == canonical.base || field.name.equals(canonical))
    let name = keeps ? canonical : move(field.name)
    // Name and value part company: they are no line in memory any more.
    let flags = HeaderField.Flags(rawValue: field.flags.rawValue & ~HeaderField.Flags.wireLine.rawValue)
    return HeaderField(id: field.id, name: name, value: move(field.value), flags: flags)
  }

  private mutating func copy(_ view: ByteView) -> ByteView {
    unsafe at.copyMemory(from: view.base, byteCount: view.count)
    defer { unsafe at += view.count }
    return unsafe ByteView(UnsafeRawPointer(at), count: view.count)
  }
}
