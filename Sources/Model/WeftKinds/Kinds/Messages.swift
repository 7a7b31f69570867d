// The messages of the Istio API by short names: `Istio.HTTPRoute` for `Istio_Networking_V1alpha3_HTTPRoute`.

package typealias DestinationRuleSpec = Istio_Networking_V1alpha3_DestinationRule
package typealias GatewaySpec = Istio_Networking_V1alpha3_Gateway
package typealias ServiceEntrySpec = Istio_Networking_V1alpha3_ServiceEntry
package typealias SidecarSpec = Istio_Networking_V1alpha3_Sidecar
package typealias VirtualServiceSpec = Istio_Networking_V1alpha3_VirtualService
package typealias WorkloadEntrySpec = Istio_Networking_V1alpha3_WorkloadEntry

/// Short names of the generated messages.
package enum Istio {
  // VirtualService
  package typealias CorsPolicy = Istio_Networking_V1alpha3_CorsPolicy
  package typealias Delegate = Istio_Networking_V1alpha3_Delegate
  package typealias Destination = Istio_Networking_V1alpha3_Destination
  package typealias HTTPDirectResponse = Istio_Networking_V1alpha3_HTTPDirectResponse
  package typealias HTTPFaultInjection = Istio_Networking_V1alpha3_HTTPFaultInjection
  package typealias HTTPMatchRequest = Istio_Networking_V1alpha3_HTTPMatchRequest
  package typealias HTTPRedirect = Istio_Networking_V1alpha3_HTTPRedirect
  package typealias HTTPRetry = Istio_Networking_V1alpha3_HTTPRetry
  package typealias HTTPRewrite = Istio_Networking_V1alpha3_HTTPRewrite
  package typealias HTTPRoute = Istio_Networking_V1alpha3_HTTPRoute
  package typealias HTTPRouteDestination = Istio_Networking_V1alpha3_HTTPRouteDestination
  package typealias HeaderOperations = Istio_Networking_V1alpha3_Headers.HeaderOperations
  package typealias Headers = Istio_Networking_V1alpha3_Headers
  package typealias L4MatchAttributes = Istio_Networking_V1alpha3_L4MatchAttributes
  package typealias Percent = Istio_Networking_V1alpha3_Percent
  package typealias RouteDestination = Istio_Networking_V1alpha3_RouteDestination
  package typealias StringMatch = Istio_Networking_V1alpha3_StringMatch
  package typealias TCPRoute = Istio_Networking_V1alpha3_TCPRoute
  package typealias TLSMatchAttributes = Istio_Networking_V1alpha3_TLSMatchAttributes
  package typealias TLSRoute = Istio_Networking_V1alpha3_TLSRoute

  // DestinationRule
  package typealias ClientTLSSettings = Istio_Networking_V1alpha3_ClientTLSSettings
  package typealias ConnectionPoolSettings = Istio_Networking_V1alpha3_ConnectionPoolSettings
  package typealias ConsistentHashLB = Istio_Networking_V1alpha3_LoadBalancerSettings.ConsistentHashLB
  package typealias LoadBalancerSettings = Istio_Networking_V1alpha3_LoadBalancerSettings
  package typealias LocalityLoadBalancerSetting = Istio_Networking_V1alpha3_LocalityLoadBalancerSetting
  package typealias OutlierDetection = Istio_Networking_V1alpha3_OutlierDetection
  package typealias SimpleLB = Istio_Networking_V1alpha3_LoadBalancerSettings.SimpleLB
  package typealias Subset = Istio_Networking_V1alpha3_Subset
  package typealias TrafficPolicy = Istio_Networking_V1alpha3_TrafficPolicy

  // Gateway
  package typealias Server = Istio_Networking_V1alpha3_Server
  package typealias ServerTLSSettings = Istio_Networking_V1alpha3_ServerTLSSettings

  // ServiceEntry, WorkloadEntry
  package typealias ServicePort = Istio_Networking_V1alpha3_ServicePort
  package typealias WorkloadEntry = Istio_Networking_V1alpha3_WorkloadEntry

  // Sidecar
  package typealias IstioEgressListener = Istio_Networking_V1alpha3_IstioEgressListener
  package typealias IstioIngressListener = Istio_Networking_V1alpha3_IstioIngressListener
}
