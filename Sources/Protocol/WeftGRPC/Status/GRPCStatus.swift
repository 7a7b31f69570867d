/// The outcome of a call: code, human message and optional machine-readable details.
///
/// Thrown by clients for every outcome but `ok`, and by server handlers to choose the outcome. `details` is a serialised
/// `google.rpc.Status`, carried in `grpc-status-details-bin`.
package struct GRPCStatus: Error, Hashable, Sendable {
  package var code: GRPCStatusCode
  package var message: String
  /// A serialised `google.rpc.Status`; empty when the peer gave none.
  package var details: [UInt8]
  /// What the peer sent in its trailers besides the status.
  package var trailers: GRPCMetadata

  package init(
    _ code: GRPCStatusCode, _ message: String = "", details: [UInt8] = [], trailers: GRPCMetadata = GRPCMetadata()
  ) {
    self.code = code
    self.message = message
    self.details = details
    self.trailers = trailers
  }

  package static let ok = GRPCStatus(.ok)

  package var isOK: Bool { code == .ok }
}

extension GRPCStatus: CustomStringConvertible {
  package var description: String { message.isEmpty ? code.name : "\(code.name): \(message)" }
}
