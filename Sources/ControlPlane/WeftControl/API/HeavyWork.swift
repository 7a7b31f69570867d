import Dispatch

/// Where what people send is parsed, validated and analysed: never on the threads that answer calls and serve streams, of which there
/// are as many as processors. Whatever one caller sends, `/healthz` and the proxies are answered meanwhile.
///
/// Two lanes, one thing at a time in each: what is small does not wait for what is big.
package final class HeavyWork: Sendable {
  /// Bytes up to which work is small.
  package static let smallBytes = 64 << 10

  private let small = DispatchQueue(label: "weft.validation.small")
  private let big = DispatchQueue(label: "weft.validation.big")

  package init() {}

  /// Runs `body` on the lane for work of that many bytes of input.
  func run<Result: Sendable>(bytes: Int, _ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      (bytes <= Self.smallBytes ? small : big).async { continuation.resume(returning: body()) }
    }
  }
}
