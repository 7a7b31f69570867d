import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Changes of request and response headers, sorted by name. `Host` is no header here: it is the authority.
struct HeaderOperations {
  let requestAdditions: [HeaderValueOption]
  let requestRemovals: [String]
  let responseAdditions: [HeaderValueOption]
  let responseRemovals: [String]
  /// What the request's `set` wants as authority.
  let authority: String?

  init(_ headers: Istio_Networking_V1alpha3_Headers) {
    requestAdditions = Self.additions(headers.request)
    requestRemovals = headers.request?.remove.filter { !Self.isAuthority($0) } ?? []
    responseAdditions = Self.additions(headers.response)
    responseRemovals = headers.response?.remove.filter { !Self.isAuthority($0) } ?? []
    authority = headers.request?.set.first { Self.isAuthority($0.key) }?.value
  }

  func write(to route: inout Route) {
    route.requestHeadersToAdd += requestAdditions
    route.requestHeadersToRemove += requestRemovals
    route.responseHeadersToAdd += responseAdditions
    route.responseHeadersToRemove += responseRemovals
  }

  func write(to share: inout Envoy_Config_Route_V3_WeightedCluster.ClusterWeight) {
    share.requestHeadersToAdd += requestAdditions
    share.requestHeadersToRemove += requestRemovals
    share.responseHeadersToAdd += responseAdditions
    share.responseHeadersToRemove += responseRemovals
  }

  private static func additions(
    _ operations: Istio_Networking_V1alpha3_Headers.HeaderOperations?
  ) -> [HeaderValueOption] {
    guard let operations else { return [] }
    return options(operations.set, .overwriteIfExistsOrAdd) + options(operations.add, .appendIfExistsOrAdd)
  }

  private static func options(
    _ values: [String: String], _ action: HeaderValueOption.HeaderAppendAction
  ) -> [HeaderValueOption] {
    values.sorted { $0.key < $1.key }.filter { !isAuthority($0.key) }.map { name, value in
      var header = Envoy_Config_Core_V3_HeaderValue()
      header.key = name
      header.value = value
      var option = HeaderValueOption()
      option.header = header
      option.appendAction = action
      return option
    }
  }

  private static func isAuthority(_ name: String) -> Bool {
    let lower = name.lowercased()
    return lower == "host" || lower == ":authority"
  }
}
