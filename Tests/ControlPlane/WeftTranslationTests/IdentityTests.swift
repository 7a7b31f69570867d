import Testing
import WeftBase
import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

@testable import WeftTranslation

@Suite("proxy identity")
struct IdentityTests {
  func identity(_ json: String) throws -> ProxyIdentity {
    ProxyIdentity(node: try Envoy_Config_Core_V3_Node(json: try JSONValue(parsing: json)))
  }

  @Test("reads the four parts of a node id")
  func parts() throws {
    let proxy = try identity(
      #"{"id":"sidecar~10.0.0.1~reviews-v1-abc.shop~shop.svc.cluster.local","cluster":"reviews.shop"}"#)
    #expect(proxy.role == .sidecar)
    #expect(proxy.addresses == ["10.0.0.1"])
    #expect(proxy.workload == "reviews-v1-abc")
    #expect(proxy.namespace == "shop")
    #expect(proxy.dnsDomain == "shop.svc.cluster.local")
    #expect(proxy.problems.isEmpty)
  }

  @Test("a workload's name may have dots; the namespace is the last part")
  func dottedWorkload() throws {
    let proxy = try identity(#"{"id":"router~::1~gw.eu.1.edge~edge.svc.cluster.local"}"#)
    #expect(proxy.role == .router)
    #expect(proxy.workload == "gw.eu.1")
    #expect(proxy.namespace == "edge")
  }

  @Test("metadata wins over the id, and tells labels, addresses, locality and generator")
  func metadata() throws {
    let proxy = try identity(
      #"""
      {"id":"sidecar~10.0.0.1~a.b~b.svc.cluster.local","locality":{"region":"eu","zone":"eu-1","sub_zone":"a"},
       "metadata":{"NAMESPACE":"c","LABELS":{"app":"a","version":"v1"},"INSTANCE_IPS":"10.0.0.1,fd00::1","GENERATOR":"grpc","INTERCEPTION_MODE":"NONE"}}
      """#)
    #expect(proxy.namespace == "c")
    #expect(proxy.labels == ["app": "a", "version": "v1"])
    #expect(proxy.addresses == ["10.0.0.1", "fd00::1"])
    #expect(proxy.isGRPC)
    #expect(proxy.interception == .none)
    #expect(proxy.locality.description == "eu/eu-1/a")
  }

  @Test("a foreign id is a sidecar of the default namespace")
  func foreign() throws {
    let proxy = try identity(#"{"id":"my-envoy"}"#)
    #expect(proxy.namespace == "default")
    #expect(proxy.workload == "my-envoy")
    #expect(proxy.problems.isEmpty)
    #expect(try identity(#"{"id":"ztunnel~1.2.3.4~a.b~c"}"#).problems.count == 1)
  }

  @Test("reads the listeners an agent asks for")
  func universal() throws {
    let proxy = try identity(
      #"""
      {"id":"sidecar~127.0.0.1~p-1.default~default.svc.cluster.local","metadata":{
        "WEFT_INBOUND":[{"port":9080,"protocol":"HTTP","app":"127.0.0.1:9081","listen":"127.0.0.1:31080"}],
        "WEFT_UPSTREAMS":[{"host":"reviews","port":9080,"listen":"[::1]:19080"}],"WEFT_HTTP_PROXY":"127.0.0.1:15001"}}
      """#)
    #expect(proxy.problems.isEmpty)
    #expect(
      proxy.universal.inbound == [
        .init(
          port: 9080, listen: .init(address: "127.0.0.1", port: 31080),
          application: .init(address: "127.0.0.1", port: 9081),
          protocol: .http)
      ])
    #expect(
      proxy.universal.upstreams == [.init(host: "reviews", port: 9080, listen: .init(address: "::1", port: 19080))])
    #expect(proxy.universal.httpProxy == .init(address: "127.0.0.1", port: 15001))
  }

  @Test(
    "names what it cannot read and keeps the rest",
    arguments: [
      (#""WEFT_INBOUND":7"#, "node.metadata.WEFT_INBOUND: expected a list"),
      (#""WEFT_INBOUND":["x"]"#, "node.metadata.WEFT_INBOUND[0]: expected an object"),
      (
        #""WEFT_INBOUND":[{"port":70000,"listen":"127.0.0.1:1"}]"#,
        "node.metadata.WEFT_INBOUND[0].port: expected a port number"
      ),
      (
        #""WEFT_INBOUND":[{"port":1.5,"listen":"127.0.0.1:1"}]"#,
        "node.metadata.WEFT_INBOUND[0].port: expected a port number"
      ),
      (#""WEFT_INBOUND":[{"port":80}]"#, "node.metadata.WEFT_INBOUND[0].listen: expected address:port"),
      (
        #""WEFT_INBOUND":[{"port":80,"listen":"127.0.0.1:1","app":"x"}]"#,
        "node.metadata.WEFT_INBOUND[0].app: expected address:port"
      ),
      (
        #""WEFT_UPSTREAMS":[{"port":80,"listen":"127.0.0.1:1"}]"#,
        "node.metadata.WEFT_UPSTREAMS[0].host: expected the name of a service"
      ),
      (
        #""WEFT_UPSTREAMS":[{"host":"a","port":80,"listen":"::1:80"}]"#,
        "node.metadata.WEFT_UPSTREAMS[0].listen: expected address:port"
      ),
      (#""WEFT_HTTP_PROXY":"15001""#, "node.metadata.WEFT_HTTP_PROXY: expected address:port"),
      (
        #""WEFT_UPSTREAMS":[{"host":"a","port":80,"listen":"127.0.0.1:90"},{"host":"b","port":80,"listen":"127.0.0.1:90"}]"#,
        "node.metadata: 127.0.0.1:90 is asked for twice"
      ),
      (#""INTERCEPTION_MODE":"MAGIC""#, "node.metadata.INTERCEPTION_MODE: expected REDIRECT, TPROXY or NONE"),
    ])
  func problems(_ metadata: String, _ problem: String) throws {
    let proxy = try identity(
      #"{"id":"sidecar~127.0.0.1~p-1.default~default.svc.cluster.local","metadata":{\#(metadata),"NAMESPACE":"default"}}"#
    )
    #expect(proxy.problems == [problem])
    #expect(proxy.namespace == "default")
  }
}
