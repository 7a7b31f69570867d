import WeftModel

extension Cluster {
  /// Servers of a simulated world at one place, as both kinds of meshes begin with; each has its own idea of how long a connect may take.
  init(simulated name: String, _ ports: [UInt16], _ speaks: UpstreamProtocol) {
    self.init(name: name)
    var endpoints = LocalityEndpoints()
    for port in ports { endpoints.endpoints.append(Endpoint(address: .socket(host: "127.0.0.1", port: port))) }
    loadAssignment.localities = [endpoints]
    upstreamProtocol = speaks
    idleTimeout = .seconds(30)
  }
}
