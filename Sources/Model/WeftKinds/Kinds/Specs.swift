// The spec types of the kinds, by one internal name each. They stand for the generated messages of
// istio.networking.v1alpha3 (Generated/); this file is the only place that changes when those arrive.

package struct DestinationRuleSpec: Sendable, Equatable { package init() {} }
package struct GatewaySpec: Sendable, Equatable { package init() {} }
package struct ServiceEntrySpec: Sendable, Equatable { package init() {} }
package struct SidecarSpec: Sendable, Equatable { package init() {} }
package struct VirtualServiceSpec: Sendable, Equatable { package init() {} }
package struct WorkloadEntrySpec: Sendable, Equatable { package init() {} }
