// What goes over an aggregated stream, in the words both wire forms share.
import WeftProtobuf
package import WeftXDSMessages

/// The types a proxy subscribes to, in the order it wants them.
package enum XDSType: String, Sendable, CaseIterable {
  case clusters = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
  case endpoints = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
  case listeners = "type.googleapis.com/envoy.config.listener.v3.Listener"
  case routes = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
  case secrets = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

  /// Subscribed to as a whole; in the state of the world what an answer leaves out is gone.
  package var isWildcard: Bool { self == .clusters || self == .listeners }

  /// The message's name, for errors.
  package var messageName: String { String(rawValue.dropFirst("type.googleapis.com/".count)) }
}

/// The two forms of the protocol.
package enum XDSForm: Sendable, Hashable {
  case stateOfTheWorld
  case delta
}

/// One packed resource as the server sent it.
package struct XDSResource: Sendable, Hashable {
  /// Empty in the state of the world, where the name is inside.
  package var name: String
  /// Per resource in delta; the answer's version otherwise.
  package var version: String
  package var value: [UInt8]
  package var typeURL: String

  package init(name: String = "", version: String = "", typeURL: String, value: [UInt8]) {
    self.name = name
    self.version = version
    self.typeURL = typeURL
    self.value = value
  }
}

/// An answer of the server.
package struct XDSResponse: Sendable, Hashable {
  package var typeURL: String
  package var version: String
  package var nonce: String
  package var resources: [XDSResource]
  package var removed: [String]
  /// What the control plane calls itself; may be empty.
  package var controlPlane = ""

  package init(typeURL: String, version: String, nonce: String, resources: [XDSResource], removed: [String] = []) {
    self.typeURL = typeURL
    self.version = version
    self.nonce = nonce
    self.resources = resources
    self.removed = removed
  }
}

/// A request of the proxy: a subscription, an ACK, or a NACK.
package struct XDSRequest: Sendable, Hashable {
  package var type: XDSType
  /// State of the world: every name wanted; empty means all of a wildcard type. Delta: names to add.
  package var names: [String] = []
  /// Delta only.
  package var unsubscribe: [String] = []
  /// State of the world: the last accepted version.
  package var version = ""
  /// The nonce answered; empty for a request on its own.
  package var nonce = ""
  /// Why the answer was refused; empty for an ACK.
  package var error = ""
  /// Delta, first request of a stream: what is known already.
  package var initialVersions: [String: String] = [:]

  package init(_ type: XDSType) { self.type = type }
}

// MARK: - Wire

extension XDSRequest {
  /// As the state of the world has it.
  func stateOfTheWorld(node: Envoy_Config_Core_V3_Node?) -> Envoy_Service_Discovery_V3_DiscoveryRequest {
    var message = Envoy_Service_Discovery_V3_DiscoveryRequest()
    message.node = node
    message.typeUrl = type.rawValue
    message.resourceNames = names
    message.versionInfo = version
    message.responseNonce = nonce
    message.errorDetail = errorDetail
    return message
  }

  /// As delta has it.
  func delta(node: Envoy_Config_Core_V3_Node?) -> Envoy_Service_Discovery_V3_DeltaDiscoveryRequest {
    var message = Envoy_Service_Discovery_V3_DeltaDiscoveryRequest()
    message.node = node
    message.typeUrl = type.rawValue
    message.resourceNamesSubscribe = names
    message.resourceNamesUnsubscribe = unsubscribe
    message.initialResourceVersions = initialVersions
    message.responseNonce = nonce
    message.errorDetail = errorDetail
    return message
  }

  /// Code 13 (INTERNAL), as Envoy answers.
  private var errorDetail: Google_Rpc_Status? {
    guard !error.isEmpty else { return nil }
    var status = Google_Rpc_Status()
    status.code = 13
    status.message = error
    return status
  }
}

extension XDSResponse {
  package init(_ message: Envoy_Service_Discovery_V3_DiscoveryResponse) {
    self.init(
      typeURL: message.typeUrl, version: message.versionInfo, nonce: message.nonce,
      resources: message.resources.map { any in
        // A wrapper carries the name, and lets a server send resources with a time to live.
        if let wrapped = try? any.unpack(as: Envoy_Service_Discovery_V3_Resource.self) {
          return XDSResource(wrapped, version: message.versionInfo)
        }
        return XDSResource(version: message.versionInfo, typeURL: any.typeUrl, value: any.value)
      })
    controlPlane = message.controlPlane?.identifier ?? ""
  }

  init(_ message: Envoy_Service_Discovery_V3_DeltaDiscoveryResponse) {
    self.init(
      typeURL: message.typeUrl, version: message.systemVersionInfo, nonce: message.nonce,
      resources: message.resources.map { XDSResource($0, version: $0.version) }, removed: message.removedResources)
    controlPlane = message.controlPlane?.identifier ?? ""
  }
}

extension XDSResource {
  init(_ wrapped: Envoy_Service_Discovery_V3_Resource, version: String) {
    self.init(
      name: wrapped.name, version: version, typeURL: wrapped.resource?.typeUrl ?? "",
      value: wrapped.resource?.value ?? [])
  }
}
