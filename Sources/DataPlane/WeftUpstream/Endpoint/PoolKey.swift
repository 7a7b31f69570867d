// PoolKey: what the connections of a part of a host have in common, named by a trivially copyable handle.

package import WeftBase
package import WeftProxyAPI

/// What connections of one pool carry that those of another do not: the name that TLS sends, the header they begin with, where they come from.
///
/// Why sound: made by `make`, ended once by `free` when its slot ends; the slot holds the only handle that is kept.
@safe
package struct PoolKey: BitwiseCopyable {
  private struct Fixed: BitwiseCopyable {
    var hash: Int
    var source: SourceBinding?
    var hasName: Bool
    var nameCount: UInt32
    var prefaceCount: UInt32
  }

  private let pointer: UnsafeMutableRawPointer?

  package static var none: PoolKey { unsafe PoolKey(pointer: nil) }

  private init(pointer: UnsafeMutableRawPointer?) { unsafe self.pointer = pointer }

  /// `name`: the server's name, where requests decide it. `preface`: sent before everything else. *Cost*: one allocation.
  package static func make(name: ByteView?, preface: ByteView, source: SourceBinding?, hash: Int) -> PoolKey {
    let nameCount = name?.count ?? 0
    let size = MemoryLayout<Fixed>.size
    let place = UnsafeMutableRawPointer.allocate(
      byteCount: size + nameCount + preface.count, alignment: MemoryLayout<Fixed>.alignment)
    let fixed = Fixed(
      hash: hash, source: source, hasName: name != nil, nameCount: UInt32(clamping: nameCount),
      prefaceCount: UInt32(clamping: preface.count))
    unsafe place.storeBytes(of: fixed, as: Fixed.self)
    if let name, nameCount > 0 { unsafe (place + size).copyMemory(from: name.base, byteCount: nameCount) }
    if !preface.isEmpty {
      unsafe (place + size + nameCount).copyMemory(from: preface.base, byteCount: preface.count)
    }
    return unsafe PoolKey(pointer: place)
  }

  private var fixed: Fixed? { unsafe pointer?.load(as: Fixed.self) }

  /// The number it is found by; 0 without.
  package var hash: Int { fixed?.hash ?? 0 }
  package var source: SourceBinding? { fixed?.source ?? nil }

  /// Nil where requests do not decide the server's name.
  package var name: ByteView? {
    guard let pointer = unsafe pointer, let fixed, fixed.hasName else { return nil }
    return unsafe ByteView(UnsafeRawPointer(pointer + MemoryLayout<Fixed>.size), count: Int(fixed.nameCount))
  }

  package var preface: ByteView {
    guard let pointer = unsafe pointer, let fixed else { return .empty }
    return unsafe ByteView(
      UnsafeRawPointer(pointer + MemoryLayout<Fixed>.size + Int(fixed.nameCount)), count: Int(fixed.prefaceCount))
  }

  /// Names are the same in any case.
  package func matches(name: ByteView?, preface: ByteView, source: SourceBinding?) -> Bool {
    let own = self.name
    guard (own == nil) == (name == nil), self.source == source, self.preface.equals(preface) else { return false }
    guard let own, let name else { return true }
    return own.equalsIgnoringCase(name)
  }

  package func free() { unsafe pointer?.deallocate() }
}
