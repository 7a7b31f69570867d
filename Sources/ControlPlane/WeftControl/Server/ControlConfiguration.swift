package import WeftConfig
package import WeftControlAPI
package import WeftService
package import WeftTelemetry

/// How a control plane is set up.
package struct ControlConfiguration: Sendable {
  /// Where the API listens. Loopback by default: it has no authentication yet.
  package var apiAddress: ServiceAddress = .loopback(port: 15080)
  /// Names that clients call the API by. With any, all others are refused; addresses and `localhost` are always answered.
  package var apiHosts: [String] = []
  /// Where xDS is served in plaintext. Loopback by default.
  package var xdsAddress: ServiceAddress = .loopback(port: 15010)
  /// Where the store lies; nil keeps it in memory.
  package var dataDirectory: String?
  /// Directories of YAML that are mirrored into the store.
  package var configDirectories: [String] = []
  package var directoryTimes = DirectoryTimes()
  /// Where objects go that name no namespace.
  package var namespace = "default"
  package var mesh = MeshSettings()
  package var version = "dev"
  /// How often leases are looked at.
  package var leaseInterval: Duration = .seconds(1)
  /// How often the store is tried while it works, and while it does not.
  package var storeProbeInterval: Duration = .seconds(30)
  package var storeRetryInterval: Duration = .seconds(1)
  /// How long calls and streams may take to end on the way out.
  package var grace: Duration = .seconds(5)
  package var log = Logger(LogOutput(level: .off), .control)

  package init() {}
}
