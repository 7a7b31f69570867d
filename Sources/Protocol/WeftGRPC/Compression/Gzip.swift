import CZlib

/// Whole-buffer gzip with a bound on what may come out.
package enum Gzip {
  private static let windowBits: Int32 = 15 + 16  // 16 selects the gzip wrapper
  private static let chunkBytes = 64 * 1024
  /// Output past `ratioFloorBytes` must not exceed this many times the input: a bomb is refused before it is inflated.
  package static let maximumRatio = 250
  package static let ratioFloorBytes = 16 * 1024 * 1024

  /// *Errors*: RESOURCE_EXHAUSTED when zlib cannot get memory; INTERNAL for what cannot happen.
  package static func compress(_ input: [UInt8], level: Int32 = 1) throws(GRPCStatus) -> [UInt8] {
    var stream = unsafe z_stream()
    let started = unsafe deflateInit2_(
      &stream, level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard started == Z_OK else { throw GRPCStatus(.resourceExhausted, "zlib cannot start: \(started)") }
    defer { _ = unsafe deflateEnd(&stream) }
    guard let available = UInt32(exactly: input.count) else {
      throw GRPCStatus(.resourceExhausted, "message too large to compress")
    }
    let bound = unsafe Int(deflateBound(&stream, UInt(input.count)))
    var output = [UInt8](repeating: 0, count: bound)
    var result = Z_STREAM_ERROR
    // Sound: zlib reads `avail_in` bytes of `source` and writes `avail_out` of `target`, both alive for the call.
    unsafe input.withUnsafeBufferPointer { source in
      unsafe output.withUnsafeMutableBufferPointer { target in
        unsafe stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
        unsafe stream.avail_in = available
        unsafe stream.next_out = target.baseAddress
        unsafe stream.avail_out = UInt32(target.count)
        result = unsafe deflate(&stream, Z_FINISH)
      }
    }
    guard result == Z_STREAM_END else { throw GRPCStatus(.internalError, "zlib deflate: \(result)") }
    output.removeLast(output.count - (unsafe Int(stream.total_out)))
    return output
  }

  /// Inflates exactly one gzip member. *Errors*: RESOURCE_EXHAUSTED past `maximumBytes` or the ratio, INTERNAL for corrupt,
  /// truncated or trailing data.
  package static func decompress(_ input: [UInt8], maximumBytes: Int) throws(GRPCStatus) -> [UInt8] {
    var stream = unsafe z_stream()
    let started = unsafe inflateInit2_(&stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard started == Z_OK else { throw GRPCStatus(.resourceExhausted, "zlib cannot start: \(started)") }
    defer { _ = unsafe inflateEnd(&stream) }
    guard let available = UInt32(exactly: input.count) else {
      throw GRPCStatus(.resourceExhausted, "compressed message too large")
    }
    let allowed = min(maximumBytes, max(ratioFloorBytes, input.count.multipliedReportingOverflow(by: maximumRatio).0))
    var output: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: chunkBytes)
    var result = Z_OK
    var consumed = 0
    while result == Z_OK {
      var produced = 0
      // Sound: as in `compress`; the positions are kept as counts, so no pointer outlives its closure.
      unsafe input.withUnsafeBufferPointer { source in
        unsafe piece.withUnsafeMutableBufferPointer { target in
          unsafe stream.next_in = source.baseAddress.map { unsafe UnsafeMutablePointer(mutating: $0 + consumed) }
          unsafe stream.avail_in = available - UInt32(consumed)
          unsafe stream.next_out = target.baseAddress
          unsafe stream.avail_out = UInt32(target.count)
          result = unsafe inflate(&stream, Z_NO_FLUSH)
          consumed = input.count - Int(unsafe stream.avail_in)
          produced = target.count - Int(unsafe stream.avail_out)
        }
      }
      guard output.count + produced <= allowed else {
        throw GRPCStatus(.resourceExhausted, "message inflates past the limit of \(allowed) bytes")
      }
      output += piece[..<produced]
      if result == Z_OK, produced == 0, consumed == input.count { break }
    }
    guard result == Z_STREAM_END, consumed == input.count else {
      throw GRPCStatus(.internalError, "compressed message is corrupt")
    }
    return output
  }
}
