import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

/// One certificate file that is not there made Envoy refuse the listener of all servers of a port.
@Suite("files that a gateway cannot read")
struct UnreadableFileTests {
  private static func snapshot() throws -> WeftSnapshot {
    func server(_ name: String) -> JSONValue {
      [
        "port": ["number": 443, "name": .string(name), "protocol": "HTTPS"],
        "hosts": [.string("\(name).example.com")],
        "tls": [
          "mode": "SIMPLE", "serverCertificate": .string("/etc/\(name)/cert.pem"),
          "privateKey": .string("/etc/\(name)/key.pem"),
        ],
      ]
    }
    let spec = try GatewaySpec(
      json: ["selector": ["istio": "edge"], "servers": [server("one"), server("two")]] as JSONValue)
    let gateway = ConfigObject(
      kind: .gateway, metadata: ObjectMetadata(name: "edge", namespace: "default"), spec: spec)
    return WeftSnapshot(version: 1, mesh: MeshSettings(), gateways: ConfigIndex([gateway]))
  }

  private static func proxy(_ role: String) -> ProxyIdentity {
    var proxy = ProxyIdentity(nodeID: "\(role)~10.0.0.1~edge.default~default.svc.cluster.local")
    proxy.role = role == "router" ? .router : .sidecar
    proxy.labels = ["istio": "edge"]
    return proxy
  }

  private static func serverNames(_ resources: ProxyResources) throws -> [[String]] {
    let body = try #require(resources[.listener, "0.0.0.0_443"]).body
    return try Envoy_Config_Listener_V3_Listener(serialized: body).filterChains.map {
      $0.filterChainMatch?.serverNames ?? []
    }
  }

  @Test(
    "the server of the file that a refusal speaks of is left out and named, the others stay",
    arguments: [
      "Error adding/updating listener(s) 0.0.0.0_443: Invalid path: /etc/two/cert.pem",
      "filter_chains[1].transport_socket: cannot read /etc/two/key.pem: No such file or directory",
    ])
  func leftOut(_ refusal: String) throws {
    let snapshot = try Self.snapshot()
    let proxy = Self.proxy("router")
    var session = Session(form: .delta, proxy: proxy, resources: Translator.translate(snapshot, for: proxy))
    #expect(try Self.serverNames(session.resources) == [["one.example.com"], ["two.example.com"]])
    let isNew = session.noteUnreadableFiles(refusal)
    #expect(isNew)
    let again = Translator.translate(snapshot, for: session.proxy)
    #expect(try Self.serverNames(again) == [["one.example.com"]])
    let issue = try #require(again.issues.first)
    #expect(issue.path == "spec.servers[1].tls" && issue.leftOut?.name == "0.0.0.0_443")
    #expect(issue.message.contains("/etc/two/"))
    _ = session.update(again, now: MonotonicInstant(nanoseconds: 1))
    let isNewAgain = session.noteUnreadableFiles(refusal)
    #expect(!isNewAgain)
    let forgotten = [session.forgetUnreadableFiles(), session.forgetUnreadableFiles()]
    #expect(forgotten == [true, false])
    #expect(try Self.serverNames(Translator.translate(snapshot, for: session.proxy)).count == 2)
  }

  @Test("a refusal for another reason, or a path that no listener has, changes nothing")
  func others() throws {
    let snapshot = try Self.snapshot()
    for (role, text) in [
      ("router", "duplicate filter chain"), ("router", "Invalid path: /etc/three/cert.pem"), ("router", "/"),
      ("sidecar", "Invalid path: /etc/two/cert.pem"),
    ] {
      let proxy = Self.proxy(role)
      var session = Session(form: .delta, proxy: proxy, resources: Translator.translate(snapshot, for: proxy))
      let isNew = session.noteUnreadableFiles(text)
      #expect(!isNew, "\(text)")
    }
  }
}
