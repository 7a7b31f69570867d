package import WeftBase
package import WeftCompile
package import WeftModel
package import WeftRuntime
package import WeftUpstream

/// What the admin pages show: a plain copy, taken by whoever owns the state.
package struct AdminStatus: Sendable {
  package enum State: String, Sendable {
    case live = "LIVE"
    case draining = "DRAINING"
    case preInitializing = "PRE_INITIALIZING"
    case initializing = "INITIALIZING"
  }

  /// What of the status a page shows; taking more than that would cost the workers' time.
  package struct Parts: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }
    package static let clusters = Parts(rawValue: 1 << 0)
    package static let listeners = Parts(rawValue: 1 << 1)
    package static let configDump = Parts(rawValue: 1 << 2)
    package static let runtime = Parts(rawValue: 1 << 3)
  }

  package struct Host: Sendable {
    package var address: SocketAddress
    package var hostname = ""
    package var weight: UInt32 = 1
    package var priority: UInt32 = 0
    package var locality = Locality()
    package var health = HealthStatus.unknown
    package var isEjected = false
    package var isCanary = false
    /// In percent over the last interval; nil when too few requests came.
    package var successRate: Double?
    package var localOriginSuccessRate: Double?
    package var numbers = HostNumbers()
    package init(address: SocketAddress) { self.address = address }
  }

  /// What the comparison of hosts by their success rates came to in the last interval; nil when too few could be compared.
  package struct SuccessRates: Sendable {
    package var average: Double?
    package var threshold: Double?
    package var localOriginAverage: Double?
    package var localOriginThreshold: Double?
    package init() {}
  }

  package struct ClusterStatus: Sendable {
    package var name: String
    package var observabilityName: String
    /// The name under which its endpoints are asked for, when it is not the cluster's own.
    package var endpointsName = ""
    package var isFromAPI = false
    package var breakers = CircuitBreakers()
    /// Nil without outlier detection.
    package var successRates: SuccessRates?
    package var hosts: [Host] = []
    package init(name: String) {
      self.name = name
      observabilityName = name
    }
  }

  package struct ListenerStatus: Sendable {
    package var name: String
    package var address: SocketAddress
    package init(name: String, address: SocketAddress) {
      self.name = name
      self.address = address
    }
  }

  package var version = ""
  package var state = State.live
  package var node = Bootstrap.Node()
  package var concurrency = 1
  package var uptimeSeconds: Int64 = 0
  package var restartEpoch = 0
  package var clusterCount = 0
  package var clusters: [ClusterStatus] = []
  package var listeners: [ListenerStatus] = []
  /// Messages of `envoy.admin.v3.ConfigDump`, each with its `@type`.
  package var configDump: [JSONValue] = []
  package var runtime = RuntimeStore.Report()

  package init() {}
}

/// What a page asks the proxy to do.
package enum AdminAction: Sendable, Equatable {
  case drainListeners(inboundOnly: Bool, graceful: Bool)
  case quit
  case reopenLogs
  /// Nil takes a key away.
  case modifyRuntime([RuntimeChange])
  case setLogLevel(component: String?, level: String)
}

/// A key of the admin layer, and what it shall be.
package struct RuntimeChange: Sendable, Equatable {
  package var key: String
  package var value: RuntimeValue?
  package init(key: String, value: RuntimeValue?) { (self.key, self.value) = (key, value) }
}

package struct AdminResponse: Sendable, Equatable {
  package var status: Int
  package var contentType: String
  package var body: String
  package var action: AdminAction?

  package init(
    status: Int = 200, contentType: String = "text/plain; charset=UTF-8", body: String, action: AdminAction? = nil
  ) {
    self.status = status
    self.contentType = contentType
    self.body = body
    self.action = action
  }
}
