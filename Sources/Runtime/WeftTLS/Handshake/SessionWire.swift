// SessionWire: the BIO through which OpenSSL reads the loop's input and writes the loop's output, without a buffer between.

import COpenSSL
import Glibc
import WeftBase

/// What OpenSSL may read and where it may write during one call into a session.
///
/// Why sound: both pointers are set only for the duration of a call whose caller lends the memory, and cleared before it returns.
@safe
struct SessionWire {
  var input: UnsafeRawPointer?
  var inputCount = 0
  var output: UnsafeMutablePointer<ByteBuffer>?

  init() {
    unsafe input = nil
    unsafe output = nil
  }

  /// A BIO over `wire`, which must outlive it.
  @unsafe static func makeBIO(_ wire: UnsafeMutablePointer<SessionWire>) -> OpaquePointer? {
    guard let method = unsafe method.handle, let bio = unsafe BIO_new(method) else { return nil }
    unsafe BIO_set_data(bio, wire)
    unsafe BIO_set_init(bio, 1)
    return unsafe bio
  }

  /// Made once and only read afterwards, from any thread: OpenSSL's method tables are constant, hence safe to send.
  @safe
  private struct Method: @unchecked Sendable {
    let handle: OpaquePointer?
  }

  private static let method: Method = {
    guard let handle = unsafe BIO_meth_new(weft_bio_unique_type(), "weft") else { return unsafe Method(handle: nil) }
    unsafe BIO_meth_set_read(handle) { bio, target, count in
      guard let bio = unsafe bio, let raw = unsafe BIO_get_data(bio) else { return -1 }
      let wire = unsafe raw.assumingMemoryBound(to: SessionWire.self)
      unsafe weft_bio_clear_retry(bio)
      guard let input = unsafe wire.pointee.input, unsafe wire.pointee.inputCount > 0, let target = unsafe target else {
        unsafe weft_bio_retry_read(bio)
        return -1
      }
      let n = unsafe min(Int(count), wire.pointee.inputCount)
      unsafe memcpy(target, input, n)
      unsafe wire.pointee.input = input + n
      unsafe wire.pointee.inputCount -= n
      return Int32(n)
    }
    unsafe BIO_meth_set_write(handle) { bio, source, count in
      guard let bio = unsafe bio, let raw = unsafe BIO_get_data(bio), let source = unsafe source, count >= 0 else {
        return -1
      }
      let wire = unsafe raw.assumingMemoryBound(to: SessionWire.self)
      unsafe weft_bio_clear_retry(bio)
      // Nobody lends an output buffer while a session is being freed: what it would still say is dropped.
      if let output = unsafe wire.pointee.output {
        unsafe output.pointee.append(ByteView(UnsafeRawPointer(source), count: Int(count)))
      }
      return count
    }
    unsafe BIO_meth_set_ctrl(handle) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return unsafe Method(handle: handle)
  }()
}
