import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftUpstream

/// The retry rules of one request that asked for more than its route has, with the response headers it calls retriable.
///
/// *Shape*: a handle on a pooled block; exactly one `release` per `init`.
/// Why sound: the block is written by `init` only, which takes room for both parts.
@safe
struct OwnRetryRules: BitwiseCopyable {
  private let block: PooledBlock
  private let headersLength: Int

  init(_ rules: RetryRules, headers: ByteView, pool: BufferPool) {
    let size = MemoryLayout<RetryRules>.stride
    block = pool.take(atLeast: size + headers.count)
    headersLength = headers.count
    unsafe block.base.initializeMemory(as: RetryRules.self, to: rules)
    if !headers.isEmpty { unsafe (block.base + size).copyMemory(from: headers.base, byteCount: headers.count) }
  }

  var rules: RetryRules { unsafe block.base.load(as: RetryRules.self) }

  /// Whether the response has one of the headers.
  func matches(_ response: MessageHead) -> Bool {
    var rest = unsafe ByteView(block.base + MemoryLayout<RetryRules>.stride, count: headersLength)
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.count
      let name = ASCII.trimmed(rest.prefix(end))
      if !name.isEmpty, response.first(named: name) != nil { return true }
      rest = rest.dropFirst(end + 1)
    }
    return false
  }

  func release(to pool: BufferPool) { pool.give(block) }
}
