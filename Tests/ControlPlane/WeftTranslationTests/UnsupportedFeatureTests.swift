import Testing
import WeftBase
import WeftKinds
import WeftProtobuf

@testable import WeftTranslation

@Suite("what rules ask for and nobody does yet")
struct UnsupportedFeatureTests {
  @Test("fields of a gateway are told by path, in every mode of TLS")
  func gateway() throws {
    let spec = try GatewaySpec(
      json: try JSONValue(
        parsing: """
          {"servers":[{"port":{"number":443,"name":"s","protocol":"HTTPS"},"hosts":["*"],"defaultEndpoint":"127.0.0.1:1",
          "tls":{"mode":"PASSTHROUGH","caCertCredentialName":"c","insecureSkipVerify":true}}]}
          """))
    #expect(
      UnsupportedFeatures.of(spec).map(\.path) == [
        "spec.servers[0].defaultEndpoint", "spec.servers[0].tls.caCertCredentialName",
        "spec.servers[0].tls.insecureSkipVerify",
      ])
  }

  @Test("a capture mode of a sidecar's egress is told, the default is none")
  func sidecar() throws {
    let spec = try SidecarSpec(
      json: try JSONValue(
        parsing: #"{"egress":[{"hosts":["*/*"]},{"hosts":["./*"],"captureMode":"NONE"}]}"#))
    #expect(UnsupportedFeatures.of(spec).map(\.path) == ["spec.egress[1].captureMode"])
  }

  @Test("zone-aware balancing is told wherever a traffic policy stands")
  func zones() throws {
    let balancer = #"{"loadBalancer":{"zoneAwareLbSetting":{}}}"#
    let spec = try DestinationRuleSpec(
      json: try JSONValue(
        parsing: #"{"host":"a","trafficPolicy":\#(balancer),"subsets":[{"name":"v1","trafficPolicy":\#(balancer)}]}"#))
    #expect(
      UnsupportedFeatures.of(spec).map(\.path) == [
        "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting",
        "spec.subsets[0].trafficPolicy.loadBalancer.zoneAwareLbSetting",
      ])
  }
}
