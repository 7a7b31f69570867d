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

  @Test("limits and listeners of a sidecar that nobody makes are told")
  func sidecarParts() throws {
    let pool = #"{"tcp":{"maxConnections":1}}"#
    let spec = try SidecarSpec(
      json: try JSONValue(
        parsing: """
          {"ingress":[{"port":{"number":80,"protocol":"HTTP"},"connectionPool":\(pool)}],"egress":[{"hosts":["*/*"]},
          {"port":{"number":80,"protocol":"HTTP"},"bind":"127.0.0.1","hosts":["./*"]}],"inboundConnectionPool":\(pool),
          "outboundTrafficPolicy":{"mode":"ALLOW_ANY","egressProxy":{"host":"a"}}}
          """))
    #expect(
      UnsupportedFeatures.of(spec).map(\.path) == [
        "spec.ingress[0].connectionPool", "spec.egress[1].bind", "spec.inboundConnectionPool",
        "spec.outboundTrafficPolicy.egressProxy",
      ])
  }

  @Test("settings of a traffic policy without effect are told wherever it stands")
  func policies() throws {
    let policy = #""outlierDetection":{"outlierDetectionHttpErrorCodes":[429]}"#
    let budget = #""retryBudget":{"budgetInterval":"10s"}"#
    let spec = try DestinationRuleSpec(
      json: try JSONValue(
        parsing: """
          {"host":"a","trafficPolicy":{\(policy),"portLevelSettings":[{"port":{"number":80},\(policy)}]},
          "subsets":[{"name":"v1","trafficPolicy":{\(policy),\(budget)}}]}
          """))
    let codes = "outlierDetection.outlierDetectionHttpErrorCodes"
    #expect(
      UnsupportedFeatures.of(spec).map(\.path) == [
        "spec.trafficPolicy.\(codes)", "spec.trafficPolicy.portLevelSettings[0].\(codes)",
        "spec.subsets[0].trafficPolicy.\(codes)", "spec.subsets[0].trafficPolicy.retryBudget.budgetInterval",
      ])
  }

  @Test(
    "both spellings of a warm-up mean the same, and are told: weft-proxy has none yet",
    arguments: [
      #""warmup":{"duration":"5s"}"#, #""warmupDurationSecs":"5s""#,
    ])
  func warmup(spelling: String) throws {
    let spec = try DestinationRuleSpec(
      json: try JSONValue(parsing: #"{"host":"a","trafficPolicy":{"loadBalancer":{\#(spelling)}}}"#))
    let told = UnsupportedFeatures.of(spec)
    #expect(spec.trafficPolicy?.loadBalancer?.anyWarmup?.duration?.seconds == 5)
    #expect(told.map(\.scope) == [.exceptEnvoy])
    #expect(told.first?.path.hasPrefix("spec.trafficPolicy.loadBalancer.warmup") == true)
  }
}
