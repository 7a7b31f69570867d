/// What was configured for an extension: the name of its message and the message, as it came. Only the extension knows how to read it.
@usableFromInline
package struct ExtensionConfig: Hashable, Sendable {
  /// Full name of the message: `envoy.extensions.filters.http.fault.v3.HTTPFault`.
  package var typeName: String
  /// The message in protobuf's binary form. Empty: every field has its default.
  package var message: [UInt8]

  package init(typeName: String, message: [UInt8]) {
    self.typeName = typeName
    self.message = message
  }
}

/// What a route, virtual host, route table or weighted cluster says about one filter (`typed_per_filter_config`).
package struct FilterOverride: Hashable, Sendable {
  /// Nil leaves the filter its own configuration.
  package var config: ExtensionConfig?
  package var isDisabled: Bool

  package init(config: ExtensionConfig?, isDisabled: Bool = false) {
    self.config = config
    self.isDisabled = isDisabled
  }
}

/// The messages by which a program's extensions are configured. Whoever converts configuration refuses those that nobody reads, and says which
/// there are.
package struct KnownExtensions: Hashable, Sendable {
  /// Messages of HTTP filters, each with the filter's canonical name.
  package var httpFilters: [String: String] = [:]
  /// Those of them that can stand in front of a cluster's endpoints.
  package var upstreamFilters: [String: String] = [:]
  /// Messages that routes may hold for them.
  package var routeFilters: Set<String> = []
  /// Messages of protocols, each with the protocol's name.
  package var protocols: [String: String] = [:]
  /// Messages of listener filters, each with the filter's canonical name.
  package var listenerFilters: [String: String] = [:]
  /// Messages of network filters, each with the filter's canonical name; those that end a chain among them.
  package var networkFilters: [String: String] = TerminalNetworkFilter.known
  /// Those of them that end a chain.
  package var terminalFilters = Set(TerminalNetworkFilter.known.keys)
  /// Messages of balancing policies, each with the policy's canonical name.
  package var loadBalancers: [String: String] = [:]
  /// Messages of choices of priorities for retries, each with its canonical name.
  package var retryPriorities: [String: String] = [:]
  /// Messages of access-log sinks, each with the sink's canonical name.
  package var accessLogs: [String: String] = [:]
  /// Whether others pass as they are: which there are, only the program they are meant for knows.
  package var takesOthers = false

  package init() {}

  package func hasHTTPFilter(_ typeName: String) -> Bool { takesOthers || httpFilters[typeName] != nil }
  package func hasProtocol(_ typeName: String) -> Bool { protocols[typeName] != nil }
  package func hasListenerFilter(_ typeName: String) -> Bool { takesOthers || listenerFilters[typeName] != nil }
  package func hasAccessLog(_ typeName: String) -> Bool { takesOthers || accessLogs[typeName] != nil }
  package func hasNetworkFilter(_ typeName: String) -> Bool { takesOthers || networkFilters[typeName] != nil }
  package func hasRouteFilter(_ typeName: String) -> Bool { takesOthers || routeFilters.contains(typeName) }

  package func hasLoadBalancer(_ typeName: String) -> Bool { takesOthers || loadBalancers[typeName] != nil }

  package func hasRetryPriority(_ typeName: String) -> Bool { takesOthers || retryPriorities[typeName] != nil }

  /// No extension at all.
  package static var none: KnownExtensions { KnownExtensions() }

  /// Those of a program that is not ours to know: a stock Envoy.
  package static let any: KnownExtensions = {
    var known = KnownExtensions()
    known.takesOthers = true
    return known
  }()
}
