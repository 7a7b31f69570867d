import WeftKinds
import WeftProtobuf
import WeftXDSMessages

extension RouteAction.HashPolicy {
  /// The key of a consistent hash; it sits on routes while the table sits on the cluster.
  init?(_ hash: Istio_Networking_V1alpha3_LoadBalancerSettings.ConsistentHashLB) {
    self.init()
    switch hash.hashKey {
    case .httpHeaderName(let name):
      var header = RouteAction.HashPolicy.Header()
      header.headerName = name
      policySpecifier = .header(header)
    case .httpCookie(let settings):
      var cookie = RouteAction.HashPolicy.Cookie()
      cookie.name = settings.name
      cookie.path = settings.path
      cookie.ttl = settings.ttl
      cookie.attributes = settings.attributes.map {
        var attribute = RouteAction.HashPolicy.CookieAttribute()
        attribute.name = $0.name
        attribute.value = $0.value
        return attribute
      }
      policySpecifier = .cookie(cookie)
    case .useSourceIp(let isUsed):
      guard isUsed else { return nil }
      var connection = RouteAction.HashPolicy.ConnectionProperties()
      connection.sourceIp = true
      policySpecifier = .connectionProperties(connection)
    case .httpQueryParameterName(let name):
      var parameter = RouteAction.HashPolicy.QueryParameter()
      parameter.name = name
      policySpecifier = .queryParameter(parameter)
    case nil: return nil
    }
  }
}
