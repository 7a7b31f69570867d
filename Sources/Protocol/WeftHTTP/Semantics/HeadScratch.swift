// The memory a worker parses heads into.

internal import Glibc
public import WeftBase

/// Storage for one head: field array and arena. A worker keeps one per direction it holds at the same time
/// (request, response) and reuses it for every message.
///
/// *Shape*: the final class is only the owner; `head` is the trivial handle everybody works with.
/// *Cost*: about 70 KiB after warm-up. Not Sendable. The handle must not outlive the scratch.
@safe
package final class HeadScratch {
  package let head: MessageHead

  package init() {
    let cell = UnsafeMutablePointer<HeadState>.allocate(capacity: 1)
    unsafe cell.initialize(to: HeadState())
    head = unsafe MessageHead(cell: cell)
  }

  deinit {
    unsafe head.cell.pointee.free()
    unsafe head.cell.deallocate()
  }
}

/// What the handle points to. Trivial: freed by `HeadScratch`.
@safe @usableFromInline
struct HeadState {
  static let arenaBlock = 16 * 1024

  @usableFromInline var method = HTTPMethod.other
  @usableFromInline var version = HTTPVersion.http11
  @usableFromInline var flags: MessageHead.Flags = []
  @usableFromInline var status: UInt16 = 0
  @usableFromInline var framing = BodyFraming.none
  @usableFromInline var methodText = ByteView.empty
  @usableFromInline var scheme = ByteView.empty
  @usableFromInline var authority = ByteView.empty
  @usableFromInline var path = ByteView.empty
  @usableFromInline var protocolText = ByteView.empty
  @usableFromInline var reason = ByteView.empty
  @usableFromInline var hostName = ByteView.empty

  /// The HTTP/1 bytes the head was parsed from; most views lie in it.
  @usableFromInline var source = ByteView.empty
  /// The authority is known to be one: the HTTP/1 parser looked at it, and nobody replaced it since.
  @usableFromInline var authorityIsSound = false

  /// Names of which a field was appended since the last reset. A name not in the set is not in the head; one in it may have been removed.
  @usableFromInline var present = HeaderNameSet()
  /// Bytes of the lines appended since the parser: with `source`, enough for all lines.
  @usableFromInline var addedBytes = 0
  @usableFromInline var count = 0
  @usableFromInline var capacity = 0
  @usableFromInline var fields: UnsafeMutablePointer<HeaderField>
  @usableFromInline let names = HeaderNameTable.shared
  @usableFromInline let characters = CharacterTable.shared

  /// Arena: blocks linked by their first word; the newest is filled from `arenaUsed` to `arenaSize`.
  @usableFromInline var arena: UnsafeMutableRawPointer?
  @usableFromInline var arenaUsed = 0
  @usableFromInline var arenaSize = 0
  /// Newest block's size when it is the only one, so that reset keeps it.
  @usableFromInline var arenaBlocks = 0

  init() {
    capacity = 128
    unsafe fields = .allocate(capacity: capacity)
    unsafe arena = nil
  }

  @inlinable @inline(__always)
  mutating func reset() {
    method = .other
    version = .http11
    flags = []
    status = 0
    framing = .none
    methodText = .empty
    scheme = .empty
    authority = .empty
    path = .empty
    protocolText = .empty
    reason = .empty
    hostName = .empty
    source = .empty
    authorityIsSound = false
    present = HeaderNameSet()
    addedBytes = 0
    count = 0
    arenaUsed = 16
    if arenaBlocks > 1 { keepOneBlock() }
  }

  /// Adds a field whose bytes lie in `source`.
  @inlinable @inline(__always)
  mutating func appendParsed(_ field: HeaderField) {
    if count == capacity { growFields() }
    unsafe (fields + count).initialize(to: field)
    count &+= 1
    present.insert(field.id)
  }

  @inlinable @inline(__always)
  mutating func append(_ field: HeaderField) {
    addedBytes &+= Int(field.nameCount) &+ Int(field.valueCount) &+ 4
    appendParsed(field)
  }

  /// `n` writable bytes that stay until the next reset.
  mutating func allocate(_ n: Int) -> UnsafeMutableRawPointer {
    if unsafe arena == nil || arenaSize - arenaUsed < n { addBlock(atLeast: n) }
    let room = unsafe arena.unsafelyUnwrapped + arenaUsed
    arenaUsed += n
    return unsafe room
  }

  /// Gives back the last `n` bytes of the latest allocation.
  mutating func shrinkLast(by n: Int) { arenaUsed -= n }

  /// What the newest block of the arena holds.
  @inline(__always)
  var arenaBytes: ByteView {
    guard let block = unsafe arena else { return .empty }
    return unsafe ByteView(block + 16, count: arenaUsed - 16)
  }

  /// Where the arena stands, to go back to when what was allocated since is not needed.
  var arenaMark: (UnsafeMutableRawPointer?, Int) { unsafe (arena, arenaUsed) }

  mutating func releaseArena(to mark: (UnsafeMutableRawPointer?, Int)) {
    // A block taken since then stays: later allocations continue in it.
    if unsafe arena == mark.0 { arenaUsed = unsafe mark.1 }
  }

  @inline(never) @usableFromInline
  mutating func growFields() {
    let larger = UnsafeMutablePointer<HeaderField>.allocate(capacity: capacity * 2)
    unsafe larger.moveInitialize(from: fields, count: count)
    unsafe fields.deallocate()
    unsafe fields = larger
    capacity *= 2
  }

  @inline(never)
  private mutating func addBlock(atLeast n: Int) {
    let size = max(Self.arenaBlock, n + 16)
    guard let block = unsafe malloc(size) else { fatalError("out of memory") }
    unsafe block.storeBytes(of: arena, as: UnsafeMutableRawPointer?.self)
    unsafe arena = block
    arenaUsed = 16
    arenaSize = size
    arenaBlocks += 1
  }

  /// Keeps the newest block, so that memory of one large head is not held in many pieces.
  @inline(never) @usableFromInline
  mutating func keepOneBlock() {
    guard let newest = unsafe arena else { return }
    var older = unsafe newest.load(as: UnsafeMutableRawPointer?.self)
    while let block = unsafe older {
      unsafe older = block.load(as: UnsafeMutableRawPointer?.self)
      unsafe Glibc.free(block)
    }
    unsafe newest.storeBytes(of: nil, as: UnsafeMutableRawPointer?.self)
    arenaBlocks = 1
  }

  mutating func free() {
    keepOneBlock()
    unsafe Glibc.free(arena)
    unsafe fields.deallocate()
  }
}
