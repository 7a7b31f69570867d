/// A gRPC status code. Numbers outside 0…16 are kept by their number and behave as `unknown`.
package struct GRPCStatusCode: RawRepresentable, Hashable, Sendable {
  package let rawValue: Int

  package init(rawValue: Int) { self.rawValue = rawValue }

  package static let ok = Self(rawValue: 0)
  package static let cancelled = Self(rawValue: 1)
  package static let unknown = Self(rawValue: 2)
  package static let invalidArgument = Self(rawValue: 3)
  package static let deadlineExceeded = Self(rawValue: 4)
  package static let notFound = Self(rawValue: 5)
  package static let alreadyExists = Self(rawValue: 6)
  package static let permissionDenied = Self(rawValue: 7)
  package static let resourceExhausted = Self(rawValue: 8)
  package static let failedPrecondition = Self(rawValue: 9)
  package static let aborted = Self(rawValue: 10)
  package static let outOfRange = Self(rawValue: 11)
  package static let unimplemented = Self(rawValue: 12)
  package static let internalError = Self(rawValue: 13)
  package static let unavailable = Self(rawValue: 14)
  package static let dataLoss = Self(rawValue: 15)
  package static let unauthenticated = Self(rawValue: 16)

  private static let names = [
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
  ]

  /// The code's name as gRPC spells it; `CODE(n)` for a number gRPC does not know.
  package var name: String {
    Self.names.indices.contains(rawValue) ? Self.names[rawValue] : "CODE(\(rawValue))"
  }

  /// Reads the value of a `grpc-status` trailer: decimal digits only, at most three; nil when malformed.
  package init?(header value: String) {
    let digits = Array(value.utf8)
    guard (1...3).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    self.init(rawValue: digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
  }
}

extension GRPCStatusCode: CustomStringConvertible {
  package var description: String { name }
}
