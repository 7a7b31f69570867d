import CRE2
package import WeftBase
package import WeftHTTP

/// A compiled regular expression as tables hold it. *Shape*: one pointer. Why sound: `CompiledRegex` frees it, and the
/// snapshot keeps that.
@safe
// RE2 objects are immutable and may be shared by threads.
package struct RegexRef: BitwiseCopyable, @unchecked Sendable {
  let handle: OpaquePointer?

  package static var none: RegexRef { unsafe RegexRef(handle: nil) }
  package var isNone: Bool { unsafe handle == nil }

  /// Whether all of `text` matches.
  package func matchesAll(_ text: ByteView) -> Bool {
    guard let handle = unsafe handle else { return false }
    return unsafe weft_re2_full_match(handle, text.base.assumingMemoryBound(to: CChar.self), text.count) == 1
  }

  /// `text` with every match replaced, in the head's arena.
  package func replacing(_ text: ByteView, with substitution: ByteView, in head: MessageHead) -> ByteView {
    guard let handle = unsafe handle else { return text }
    func attempt(_ room: UnsafeMutableRawBufferPointer) -> Int {
      unsafe weft_re2_replace_all(
        handle, text.base.assumingMemoryBound(to: CChar.self), text.count,
        substitution.base.assumingMemoryBound(to: CChar.self), substitution.count,
        room.baseAddress?.assumingMemoryBound(to: CChar.self), room.count)
    }
    var needed = 0
    var capacity = text.count + 256
    while true {
      let result = unsafe head.build(capacity) { room in
        needed = unsafe attempt(room)
        return needed <= room.count ? needed : 0
      }
      if needed <= capacity { return result }
      capacity = needed
    }
  }
}

/// Owns one compiled regular expression.
@safe
package final class CompiledRegex: @unchecked Sendable {  // immutable after init
  /// Larger programs are refused: they cost memory and time on every request.
  package static let maxProgramSize: Int32 = 4096
  package static let maxMemoryBytes: Int64 = 8 << 20

  package let ref: RegexRef

  /// *Errors*: RE2's own message, or the program's size.
  package init(_ pattern: String) throws(ConfigError) {
    var error = [CChar](repeating: 0, count: 256)
    let bytes = Array(pattern.utf8)
    let handle = unsafe bytes.withUnsafeBytes { raw in
      unsafe weft_re2_new(
        raw.baseAddress?.assumingMemoryBound(to: CChar.self) ?? Self.nothing, raw.count, Self.maxMemoryBytes, &error,
        error.count)
    }
    guard let handle = unsafe handle else {
      let reason = String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw ConfigError("regular expression \"\(pattern)\" is not valid RE2: \(reason)")
    }
    let size = unsafe weft_re2_program_size(handle)
    guard size <= Self.maxProgramSize else {
      unsafe weft_re2_free(handle)
      throw ConfigError(
        "regular expression \"\(pattern)\" needs a program of \(size) steps, allowed are \(Self.maxProgramSize)")
    }
    ref = unsafe RegexRef(handle: handle)
  }

  deinit { unsafe weft_re2_free(ref.handle) }

  private static var nothing: UnsafePointer<CChar> {
    unsafe UnsafeRawPointer(("" as StaticString).utf8Start).assumingMemoryBound(to: CChar.self)
  }
}

extension SnapshotStorage {
  /// Compiles a pattern that lives as long as the storage.
  package func regex(_ pattern: String) throws(ConfigError) -> RegexRef {
    let compiled = try CompiledRegex(pattern)
    retain(compiled)
    return compiled.ref
  }
}
