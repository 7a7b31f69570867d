/// The type URLs of discovery.
package enum TypeURL {
  package static let listener = "type.googleapis.com/envoy.config.listener.v3.Listener"
  package static let routeConfiguration = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
  package static let cluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
  package static let loadAssignment = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
  package static let secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

  /// The order in which new resources take effect without a gap: what is pointed to comes before what points to it.
  package static let makeBeforeBreak = [cluster, loadAssignment, listener, routeConfiguration]
}
