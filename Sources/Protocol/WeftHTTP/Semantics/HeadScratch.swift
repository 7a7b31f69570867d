// The memory a worker parses heads into.

internal import Glibc
import WeftBase

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
@safe
struct HeadState {
  static let arenaBlock = 16 * 1024

  var method = HTTPMethod.other
  var version = HTTPVersion.http11
  var flags: MessageHead.Flags = []
  var status: UInt16 = 0
  var framing = BodyFraming.none
  var methodText = ByteView.empty
  var scheme = ByteView.empty
  var authority = ByteView.empty
  var path = ByteView.empty
  var protocolText = ByteView.empty
  var reason = ByteView.empty
  var hostName = ByteView.empty

  /// Bit `id & 127` set: a field of such an id was appended since the last reset (it may be removed by now).
  var present: (UInt64, UInt64) = (0, 0)
  var count = 0
  var capacity = 0
  var fields: UnsafeMutablePointer<HeaderField>
  let names = HeaderNameTable.shared
  let characters = CharacterTable.shared

  /// Arena: blocks linked by their first word; the newest is filled from `arenaUsed` to `arenaSize`.
  var arena: UnsafeMutableRawPointer?
  var arenaUsed = 0
  var arenaSize = 0
  /// Newest block's size when it is the only one, so that reset keeps it.
  var arenaBlocks = 0

  init() {
    capacity = 128
    unsafe fields = .allocate(capacity: capacity)
    unsafe arena = nil
  }

  @inline(__always)
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
    present = (0, 0)
    count = 0
    arenaUsed = 16
    if arenaBlocks > 1 { keepOneBlock() }
  }

  @inline(__always)
  mutating func append(_ field: HeaderField) {
    if count == capacity { growFields() }
    unsafe (fields + count).initialize(to: field)
    count &+= 1
    let bit: UInt64 = 1 &<< UInt64(field.id.rawValue & 63)
    if field.id.rawValue < 64 { present.0 |= bit } else { present.1 |= bit }
  }

  @inline(__always)
  func mayContain(_ id: HeaderName) -> Bool {
    let bit: UInt64 = 1 &<< UInt64(id.rawValue & 63)
    return (id.rawValue < 64 ? present.0 : present.1) & bit != 0
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

  /// Where the arena stands, to go back to when what was allocated since is not needed.
  var arenaMark: (UnsafeMutableRawPointer?, Int) { unsafe (arena, arenaUsed) }

  mutating func releaseArena(to mark: (UnsafeMutableRawPointer?, Int)) {
    // A block taken since then stays: later allocations continue in it.
    if unsafe arena == mark.0 { arenaUsed = unsafe mark.1 }
  }

  @inline(never)
  private mutating func growFields() {
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
  @inline(never)
  private mutating func keepOneBlock() {
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
