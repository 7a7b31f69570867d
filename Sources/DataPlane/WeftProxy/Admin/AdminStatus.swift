package import WeftBase
package import WeftModel
package import WeftRuntime

/// What the admin pages show: a plain copy, taken by whoever owns the state.
package struct AdminStatus: Sendable {
  package enum State: String, Sendable {
    case live = "LIVE"
    case draining = "DRAINING"
    case preInitializing = "PRE_INITIALIZING"
    case initializing = "INITIALIZING"
  }

  package struct Host: Sendable {
    package var address: String
    package var hostname = ""
    package var weight: UInt32 = 1
    package var priority: UInt32 = 0
    package var locality = Locality()
    package var health = HealthStatus.unknown
    package var isEjected = false
    package var isCanary = false
    package var connectionsActive: UInt64 = 0
    package var connectionsTotal: UInt64 = 0
    package var connectionsFailed: UInt64 = 0
    package var requestsActive: UInt64 = 0
    package var requestsTotal: UInt64 = 0
    package var requestsSucceeded: UInt64 = 0
    package var requestsFailed: UInt64 = 0
    package var requestsTimedOut: UInt64 = 0
    package init(address: String) { self.address = address }
  }

  package struct ClusterStatus: Sendable {
    package var name: String
    package var isFromAPI = false
    package var breakers = CircuitBreakers()
    package var hosts: [Host] = []
    package init(name: String) { self.name = name }
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
  package var clusters: [ClusterStatus] = []
  package var listeners: [ListenerStatus] = []
  /// Messages of `envoy.admin.v3.ConfigDump`, each with its `@type`.
  package var configDump: [JSONValue] = []

  package init() {}
}

/// What a page asks the proxy to do.
package enum AdminAction: Sendable, Equatable {
  case drainListeners(inboundOnly: Bool, graceful: Bool)
  case quit
  case reopenLogs
  case setLogLevel(component: String?, level: String)
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
