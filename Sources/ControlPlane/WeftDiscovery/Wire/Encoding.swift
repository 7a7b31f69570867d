package import WeftGRPC
import WeftProtobuf
import WeftService
import WeftTranslation
package import WeftXDSMessages

// Between the wire's messages and a session's events.

package typealias DiscoveryRequest = Envoy_Service_Discovery_V3_DiscoveryRequest
package typealias DiscoveryResponse = Envoy_Service_Discovery_V3_DiscoveryResponse
package typealias DeltaDiscoveryRequest = Envoy_Service_Discovery_V3_DeltaDiscoveryRequest
package typealias DeltaDiscoveryResponse = Envoy_Service_Discovery_V3_DeltaDiscoveryResponse

extension DiscoveryRequestEvent {
  /// Nil for a type that is not served.
  package init?(_ request: DiscoveryRequest) {
    guard let type = ResourceType(typeURL: request.typeUrl) else { return nil }
    self.init(
      type: type, names: request.resourceNames + request.resourceLocators.map(\.name), nonce: request.responseNonce,
      version: request.versionInfo, refusal: request.errorDetail.map(\.message))
  }

  package init?(_ request: DeltaDiscoveryRequest) {
    guard let type = ResourceType(typeURL: request.typeUrl) else { return nil }
    self.init(
      type: type, names: request.resourceNamesSubscribe + request.resourceLocatorsSubscribe.map(\.name),
      unsubscribed: request.resourceNamesUnsubscribe + request.resourceLocatorsUnsubscribe.map(\.name),
      held: request.initialResourceVersions, nonce: request.responseNonce,
      refusal: request.errorDetail.map(\.message))
  }
}

extension DiscoveryResponseEvent {
  package var stateOfTheWorld: DiscoveryResponse {
    var response = DiscoveryResponse()
    response.versionInfo = String(version)
    response.typeUrl = type.typeURL
    response.nonce = nonce
    response.resources = resources.map(\.any)
    response.controlPlane = Self.controlPlane
    return response
  }

  package var delta: DeltaDiscoveryResponse {
    var response = DeltaDiscoveryResponse()
    response.systemVersionInfo = String(version)
    response.typeUrl = type.typeURL
    response.nonce = nonce
    response.removedResources = removed
    response.resources = resources.map { resource in
      var entry = Envoy_Service_Discovery_V3_Resource()
      entry.name = resource.name
      entry.version = resource.version
      entry.resource = resource.any
      return entry
    }
    response.controlPlane = Self.controlPlane
    return response
  }

  private static var controlPlane: Envoy_Config_Core_V3_ControlPlane {
    var controlPlane = Envoy_Config_Core_V3_ControlPlane()
    controlPlane.identifier = "weft-control"
    return controlPlane
  }
}

/// The two methods of the aggregated discovery service.
package enum AggregatedDiscovery {
  private static let service = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
  package static let stateOfTheWorld = GRPCMethod<DiscoveryRequest, DiscoveryResponse>(
    service + "StreamAggregatedResources")
  package static let delta = GRPCMethod<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
    service + "DeltaAggregatedResources")
}
