package import WeftGRPC

/// What a handler knows about its call, and what it may send besides messages.
package final class GRPCServerContext: Sendable {
  /// `/package.Service/Method`.
  package let path: String
  package let metadata: GRPCMetadata
  package let peer: HTTPPeer
  /// What was left until the caller's deadline when the call arrived; nil without one. Past it the handler's task is
  /// cancelled and the caller has its DEADLINE_EXCEEDED.
  package let timeout: Duration?

  init(path: String, metadata: GRPCMetadata, peer: HTTPPeer, timeout: Duration?) {
    self.path = path
    self.metadata = metadata
    self.peer = peer
    self.timeout = timeout
  }

  /// Sends initial metadata now; otherwise it goes, empty, with the first message. Later calls are ignored.
  package func sendInitialMetadata(_ metadata: GRPCMetadata) {}

  /// Metadata for the trailers.
  package func setTrailingMetadata(_ metadata: GRPCMetadata) {}
}
