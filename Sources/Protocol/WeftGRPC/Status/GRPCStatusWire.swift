import WeftBase

extension GRPCStatus {
  /// The trailer fields of this outcome: status, message, details, then the trailing metadata.
  package var wireFields: [(String, String)] {
    var fields = [("grpc-status", String(code.rawValue))]
    if !message.isEmpty { fields.append(("grpc-message", GRPCPercentEncoding.encode(message))) }
    if !details.isEmpty { fields.append(("grpc-status-details-bin", Base64.encode(details, padded: false))) }
    return fields + trailers.wireFields
  }

  /// Reads the outcome from trailers (or from the head of a trailers-only response); nil without a `grpc-status`.
  ///
  /// A malformed code is UNKNOWN, as the C-core has it.
  package init?(received fields: [(String, String)]) {
    guard let status = fields.first(where: { $0.0.lowercased() == "grpc-status" }) else { return nil }
    self.init(
      GRPCStatusCode(header: status.1) ?? .unknown,
      fields.first { $0.0.lowercased() == "grpc-message" }.map { GRPCPercentEncoding.decode($0.1) } ?? "",
      details: fields.first { $0.0.lowercased() == "grpc-status-details-bin" }
        .flatMap { Base64.decode($0.1.utf8, .standard) } ?? [],
      trailers: GRPCMetadata(received: fields))
  }

  /// What a response without a `grpc-status` means, by its HTTP status.
  package init(httpStatus: Int) {
    let code: GRPCStatusCode =
      switch httpStatus {
      case 400: .internalError
      case 401: .unauthenticated
      case 403: .permissionDenied
      case 404: .unimplemented
      case 429, 502, 503, 504: .unavailable
      default: .unknown
      }
    self.init(code, "the response has HTTP status \(httpStatus) and no grpc-status")
  }

  /// What a stream reset by the peer means, by its HTTP/2 error code.
  package init(resetCode: UInt32) {
    let code: GRPCStatusCode =
      switch resetCode {
      case 7: .unavailable  // REFUSED_STREAM
      case 8: .cancelled  // CANCEL
      case 11: .resourceExhausted  // ENHANCE_YOUR_CALM
      case 12: .permissionDenied  // INADEQUATE_SECURITY
      case 0...6, 9, 10: .internalError
      default: .unknown
      }
    self.init(code, "stream reset by the peer, HTTP/2 error code \(resetCode)")
  }
}

extension GRPCStatusCode {
  /// The HTTP/2 error code a server or client resets a stream with when it cannot send trailers.
  package var resetCode: UInt32 {
    switch self {
    case .cancelled, .deadlineExceeded: 8
    case .unavailable: 7
    case .resourceExhausted: 11
    default: 2
    }
  }
}

/// The `content-type` of gRPC.
package enum GRPCContentType {
  package static let value = "application/grpc"

  /// Whether a content type names gRPC: `application/grpc`, alone or followed by `+subtype` or `;parameters`.
  package static func isGRPC(_ contentType: String) -> Bool {
    let lowered = contentType.lowercased()
    guard lowered.hasPrefix(value) else { return false }
    guard let next = lowered.utf8.dropFirst(value.utf8.count).first else { return true }
    return next == UInt8(ascii: "+") || next == UInt8(ascii: ";")
  }
}
