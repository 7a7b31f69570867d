package import WeftControlAPI
package import WeftProtobuf
import WeftXDSMessages

/// The four types of resources, in the order in which they are pushed: nothing names what is not there yet.
package enum ResourceType: Int, CaseIterable, Hashable, Sendable, Comparable {
  case cluster
  case endpoint
  case listener
  case route

  package static func < (a: ResourceType, b: ResourceType) -> Bool { a.rawValue < b.rawValue }

  package var typeURL: String {
    switch self {
    case .cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    case .endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    case .listener: "type.googleapis.com/envoy.config.listener.v3.Listener"
    case .route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
    }
  }

  package init?(typeURL: String) {
    guard let type = Self.allCases.first(where: { $0.typeURL == typeURL }) else { return nil }
    self = type
  }

  /// What people call it.
  package var shortName: String {
    switch self {
    case .cluster: "CDS"
    case .endpoint: "EDS"
    case .listener: "LDS"
    case .route: "RDS"
    }
  }

  /// An empty list of names asks for all; what is absent from a state-of-the-world answer is deleted.
  package var isWildcardCapable: Bool { self == .cluster || self == .listener }
}

/// One resource, ready to be sent.
///
/// *Shape*: immutable and shared by reference: many proxies are given the same ones.
package final class Resource: Sendable, Equatable {
  package let type: ResourceType
  package let name: String
  /// The encoded message.
  package let body: [UInt8]
  /// Hash of `body`: two resources are the same when type, name and hash are.
  package let hash: ContentHash
  /// The objects it was made from, sorted, each once.
  package let origins: [Origin]

  package init(_ type: ResourceType, _ name: String, _ message: some Message, origins: [Origin]) {
    self.type = type
    self.name = name
    body = message.serialized()
    hash = ContentHash(body)
    self.origins = Array(Set(origins)).sorted()
  }

  /// The version of the resource on the wire.
  package var version: String { hash.description }
  package var any: Google_Protobuf_Any { Google_Protobuf_Any(typeUrl: type.typeURL, value: body) }

  package static func == (a: Resource, b: Resource) -> Bool {
    a === b || a.type == b.type && a.name == b.name && a.hash == b.hash && a.origins == b.origins
  }
}

/// 64 bits of FNV-1a over the bytes, finished by a mixer. Only equality of versions of one resource rests on it.
package struct ContentHash: Hashable, Sendable, CustomStringConvertible {
  package let value: UInt64

  package init(_ bytes: [UInt8]) {
    var h: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { h = (h ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    h ^= h >> 33
    h = h &* 0xff51_afd7_ed55_8ccd
    h ^= h >> 33
    value = h
  }

  package var description: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
