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

  /// Copies everything `head` refers to.
  package init(_ head: MessageHead, pool: BufferPool) {
    let state = unsafe head.cell.pointee
    var bytes =
      state.methodText.count + state.scheme.count + state.authority.count + state.path.count + state.protocolText.count
      + state.reason.count + state.hostName.count
    var live = 0
    for field in head.fields {
      bytes += field.name.count + field.value.count + 4
      live += 1
    }
    let fieldsAt = Self.prefixSize
    let bytesAt = fieldsAt + live * MemoryLayout<HeaderField>.stride
    block = pool.take(atLeast: bytesAt + bytes)
    fieldCount = live

    var copier = unsafe Copier(at: block.base + bytesAt)
    let prefix = Prefix(
      method: state.method, version: state.version, flags: state.flags, status: state.status, framing: state.framing,
      methodText: copier.copy(state.methodText), scheme: copier.copy(state.scheme),
      authority: copier.copy(state.authority), path: copier.copy(state.path),
      protocolText: copier.copy(state.protocolText), reason: copier.copy(state.reason),
      hostName: copier.copy(state.hostName))
    unsafe block.base.initializeMemory(as: Prefix.self, to: prefix)
    let fields = unsafe (block.base + fieldsAt).bindMemory(to: HeaderField.self, capacity: live)
    var i = 0
    for field in head.fields {
      unsafe (fields + i).initialize(to: copier.copy(field))
      i += 1
    }
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

/// Appends copies to a run of memory known to be large enough.
@safe
private struct Copier {
  var at: UnsafeMutableRawPointer

  init(at: UnsafeMutableRawPointer) { unsafe self.at = at }

  mutating func copy(_ view: ByteView) -> ByteView {
    if view.isEmpty { return .empty }
    unsafe at.copyMemory(from: view.base, byteCount: view.count)
    defer { unsafe at += view.count }
    return unsafe ByteView(UnsafeRawPointer(at), count: view.count)
  }

  mutating func copy(_ field: HeaderField) -> HeaderField {
    if field.flags.contains(.wireLine) {
      // The whole line, so that it can still be written in one piece.
      let line = unsafe copy(ByteView(field.nameBase, count: Int(field.nameCount) + Int(field.valueCount) + 4))
      let valueAt = Int(field.nameCount) + 2
      return HeaderField(
        id: field.id, name: line.prefix(Int(field.nameCount)),
        value: line[valueAt..<valueAt + Int(field.valueCount)], flags: field.flags)
    }
    let name = field.id == .other ? copy(field.name) : ByteView(field.id.text)
    // A well-known name keeps its static spelling unless it was received in another case.
    let kept = field.id == .other || field.name.equals(name) ? name : copy(field.name)
    return HeaderField(id: field.id, name: kept, value: copy(field.value), flags: field.flags)
  }
}
