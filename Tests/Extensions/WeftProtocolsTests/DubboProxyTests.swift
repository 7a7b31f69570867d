import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTestKit
import WeftXDS
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("Envoy's Dubbo filter")
struct DubboProxyTests {
  private static let name = "envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy"

  private func listener(_ proxy: String) throws -> Listener {
    let json = #"""
      {"name": "in", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 15001}}, "filter_chains": [{"filters": [
      {"name": "dubbo", "typed_config": {"@type": "type.googleapis.com/\#(Self.name)", "stat_prefix": "test", \#(proxy)}}]}]}
      """#
    let message = try Envoy_Config_Listener_V3_Listener(
      json: try JSONValue(parsing: Array(json.utf8)),
      options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
    return try Converter(extensions: .shipped).listener(message)
  }

  private static let tables = #"""
    "multiple_route_config": {"name": "tables", "route_config": [
    {"name": "a", "interface": "demo.Greeter", "version": "2.0.0", "routes": [
      {"match": {"method": {"name": {"exact": "hello"}}}, "route": {"cluster": "8081"}},
      {"match": {"headers": [{"name": "tenantId", "string_match": {"exact": "a"}}]}, "route": {"cluster": "8082"}}]},
    {"name": "b", "interface": "demo.*", "group": "blue", "routes": [
      {"match": {"method": {"name": {"prefix": "get", "ignore_case": true}}}, "route": {"cluster": "8083"}},
      {"match": {"method": {"name": {"safe_regex": {"regex": "set.+"}}}}, "route": {"weighted_clusters": {"clusters": [
        {"name": "8084", "weight": 1}]}}}]},
    {"name": "c", "interface": "*.Users", "routes": [
      {"match": {"method": {"name": {"suffix": "$x"}}}, "route": {"cluster": "8085"}},
      {"match": {"method": {"name": {"contains": "ö"}}}, "route": {"cluster": "8086"}}]},
    {"name": "d", "interface": "größe.Users", "version": "0.0.0", "routes": [{"match": {}, "route": {"cluster": "8081"}}]}]}
    """#

  @Test(
    "interface, group, version, method and attachments choose as in Envoy, table by table",
    arguments: [
      ("demo.Greeter", "hello", "2.0.0", [], 8081), ("demo.Greeter", "hello", "1.0.0", [], nil),
      ("demo.Greeter", "hellos", "2.0.0", [], nil), ("demo.Greeter", "bye", "2.0.0", [("tenantId", "a")], 8082),
      ("demo.Greeter", "GetIt", "2.0.0", [("group", "blue")], 8083),
      ("demo.Other", "get", "", [("group", "blue")], 8083),
      ("demo.Other", "get", "", [("group", "red")], nil), ("other.Demo", "get", "", [("group", "blue")], nil),
      ("demo.Other", "setIt", "", [("group", "blue")], 8084), ("demo.Other", "set", "", [("group", "blue")], nil),
      ("other.Users", "find$x", "", [], 8085), ("other.Users", "größe", "", [], 8086),
      ("other.Users", "x", "", [], nil), ("größe.Users", "y", "0.0.0", [], 8081), ("größe.Users", "y", "", [], 8081),
      ("größe.Users", "y", "1.0", [], nil),
    ] as [(String, String, String, [(String, String)], UInt16?)])
  func routes(interface: String, method: String, version: String, attachments: [(String, String)], port: UInt16?) throws
  {
    let world = ProtocolWorld.make()
    world.config.listeners = [try listener(Self.tables)]
    for port: UInt16 in 8081...8086 {
      var cluster = Cluster(name: "\(port)")
      var endpoints = LocalityEndpoints()
      endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: port))]
      cluster.loadAssignment.localities = [endpoints]
      world.config.clusters.append(cluster)
      world.server.listen(port)
    }
    world.apply()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(
      DubboFrames.request(id: 1, service: interface, method: method, version: version, attachments: attachments))
    var seen: [UInt8] = []
    world.run {
      seen += client.frames().map { $0[3] }
      return !seen.isEmpty
    }
    #expect(servers.requests.first?.peer.port == port && seen == [port == nil ? 60 : 20])
  }

  @Test("a call that nobody answers ends by the default for streams")
  func neverAnswered() throws {
    let world = ProtocolWorld.make()
    let table = #""route_config": [{"interface": "*", "routes": [{"match": {}, "route": {"cluster": "backend"}}]}]"#
    world.config.listeners = [try listener(table)]
    world.apply()
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.advance(by: .seconds(299))
    #expect(client.received.isEmpty && servers.requests.count == 1)
    world.run(for: .seconds(10)) { !client.received.isEmpty }
    #expect(client.frames().map { $0[3] } == [31])
    world.expectClean()
  }

  @Test(
    "what it cannot do it refuses at its place",
    arguments: [
      (#""drds": {"route_config_name": "x"}"#, "drds"),
      (#""dubbo_filters": [{"name": "envoy.filters.dubbo.nope"}]"#, "dubbo_filters[0]"),
      (
        #""route_config": [{"interface": "*", "routes": [{"match": {"method": {"params_match": {"0": {"exact_match": "x"}}}}, "route": {"cluster": "c"}}]}]"#,
        "route_config[0].routes[0].match.method.params_match"
      ),
      (#""route_config": [{"interface": "a/b", "routes": []}]"#, "route_config[0].interface"),
      (#""route_config": [{"interface": "*", "routes": [{"match": {}}]}]"#, "route_config[0].routes[0].route"),
    ])
  func refuses(proxy: String, path: String) throws {
    do {
      _ = try listener(proxy)
      Issue.record("taken")
    } catch let error as ConfigError {
      #expect(error.path.description.hasSuffix(path), "\(error)")
    }
  }
}
