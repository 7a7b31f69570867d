import WeftBase
package import WeftControlAPI
import WeftProtobuf

/// The listeners that an agent asks for through node metadata (docs/design/0002-universal-contract.md).
package struct UniversalBindings: Hashable, Sendable {
  /// An address to listen on.
  package struct Binding: Hashable, Sendable {
    package var address: String
    package var port: UInt16

    package init(address: String, port: UInt16) {
      self.address = address
      self.port = port
    }

    package var listenerName: String { ResourceName.listener(address, port) }
  }

  /// A port of the application, and where its proxy listens for it.
  package struct Inbound: Hashable, Sendable {
    /// The service's port number.
    package var port: UInt16
    package var listen: Binding
    /// Where the application listens.
    package var application: Binding
    /// What the agent knows is spoken; `unknown` leaves it to the registered workload.
    package var `protocol`: PortProtocol

    package init(port: UInt16, listen: Binding, application: Binding, protocol: PortProtocol = .unknown) {
      self.port = port
      self.listen = listen
      self.application = application
      self.protocol = `protocol`
    }
  }

  /// A service, and where the application reaches it.
  package struct Upstream: Hashable, Sendable {
    /// As the user wrote it; short names are of the proxy's namespace.
    package var host: String
    package var port: UInt16
    package var listen: Binding

    package init(host: String, port: UInt16, listen: Binding) {
      self.host = host
      self.port = port
      self.listen = listen
    }
  }

  package var inbound: [Inbound] = []
  package var upstreams: [Upstream] = []
  package var httpProxy: Binding?
  /// Where listeners write their access log; empty: nowhere.
  package var accessLogPath = ""

  package init() {}

  /// Explicit listeners replace those that captured traffic would need.
  package var isEmpty: Bool { inbound.isEmpty && upstreams.isEmpty && httpProxy == nil }

  init(metadata: [String: Google_Protobuf_Value], problems: inout [String]) {
    for (path, entry) in Self.entries("WEFT_INBOUND", metadata, &problems) {
      guard let port = entry["port"]?.portNumber, port > 0 else {
        problems.append("\(path).port: expected a port number")
        continue
      }
      guard let listen = Self.binding(entry["listen"]) else {
        problems.append("\(path).listen: expected address:port")
        continue
      }
      var application = Binding(address: "127.0.0.1", port: port)
      if let value = entry["app"] {
        guard let given = Self.binding(value) else {
          problems.append("\(path).app: expected address:port")
          continue
        }
        application = given
      }
      let spoken = entry["protocol"]?.string.flatMap(PortProtocol.init(field:)) ?? .unknown
      inbound.append(Inbound(port: port, listen: listen, application: application, protocol: spoken))
    }
    for (path, entry) in Self.entries("WEFT_UPSTREAMS", metadata, &problems) {
      guard let host = entry["host"]?.string, !host.isEmpty else {
        problems.append("\(path).host: expected the name of a service")
        continue
      }
      guard let port = entry["port"]?.portNumber, port > 0 else {
        problems.append("\(path).port: expected a port number")
        continue
      }
      guard let listen = Self.binding(entry["listen"]) else {
        problems.append("\(path).listen: expected address:port")
        continue
      }
      upstreams.append(Upstream(host: host, port: port, listen: listen))
    }
    if let value = metadata["WEFT_HTTP_PROXY"] {
      httpProxy = Self.binding(value)
      if httpProxy == nil { problems.append("node.metadata.WEFT_HTTP_PROXY: expected address:port") }
    }
    accessLogPath = metadata["WEFT_ACCESS_LOG"]?.string ?? ""
    dropDuplicates(&problems)
  }

  /// Two listeners cannot share an address: the first keeps it.
  private mutating func dropDuplicates(_ problems: inout [String]) {
    var taken: Set<Binding> = []
    func keep(_ binding: Binding, _ problems: inout [String]) -> Bool {
      if taken.insert(binding).inserted { return true }
      problems.append("node.metadata: \(binding.address):\(binding.port) is asked for twice")
      return false
    }
    inbound = inbound.filter { keep($0.listen, &problems) }
    upstreams = upstreams.filter { keep($0.listen, &problems) }
    if let proxy = httpProxy, !keep(proxy, &problems) { httpProxy = nil }
  }

  private static func entries(
    _ key: String, _ metadata: [String: Google_Protobuf_Value], _ problems: inout [String]
  ) -> [(path: String, fields: [String: Google_Protobuf_Value])] {
    guard let value = metadata[key] else { return [] }
    guard case .listValue(let list) = value.kind else {
      problems.append("node.metadata.\(key): expected a list")
      return []
    }
    var result: [(String, [String: Google_Protobuf_Value])] = []
    for (index, item) in list.values.enumerated() {
      if case .structValue(let object) = item.kind {
        result.append(("node.metadata.\(key)[\(index)]", object.fields))
      } else {
        problems.append("node.metadata.\(key)[\(index)]: expected an object")
      }
    }
    return result
  }

  private static func binding(_ value: Google_Protobuf_Value?) -> Binding? {
    guard let text = value?.string, let place = HostPort(text), place.port > 0 else { return nil }
    return Binding(address: place.host, port: place.port)
  }
}
