// GRPCStatusMapping: gRPC's statuses and HTTP's, each in terms of the other.

package import WeftBase

/// What one protocol's status means in the other.
package enum GRPCStatusMapping {
  /// The time that the client or the configuration gave the call is over: asking again would take as long.
  @inlinable package static var deadlineExceeded: UInt16 { 4 }

  /// There was no status.
  @inlinable package static var none: Int64 { -1 }
  /// There was one that is no number.
  @inlinable package static var unreadable: Int64 { -2 }

  /// The number that a `grpc-status` says; an empty one is none.
  package static func status(in text: ByteView) -> Int64 {
    guard let code = ASCII.parseDecimal(text) else { return text.isEmpty ? none : unreadable }
    return Int64(clamping: code)
  }

  /// The gRPC status of a response that is none of gRPC's. *Source*: gRPC, "HTTP to gRPC Status Code Mapping".
  package static func grpcStatus(of httpStatus: UInt16) -> UInt16 {
    switch httpStatus {
    case 400: 13
    case 401: 16
    case 403: 7
    case 404: 12
    case 429, 502, 503, 504: 14
    default: 2
    }
  }

  /// The HTTP status that stands for a gRPC status where only HTTP's are understood. *Source*: google.rpc.Code.
  package static func httpStatus(of grpcStatus: Int64) -> UInt16 {
    switch grpcStatus {
    case 0: 200
    case 1: 499
    case 3, 9, 11: 400
    case 4: 504
    case 5: 404
    case 6, 10: 409
    case 7: 403
    case 8: 429
    case 12: 501
    case 14: 503
    case 16: 401
    default: 500
    }
  }
}
