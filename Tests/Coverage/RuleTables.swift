// What rules need around them before they mean anything.
import WeftBase
import WeftControlAPI
import WeftKinds

@testable import WeftTranslation

extension ProbeTables {
  // MARK: The mesh

  static func metadata(_ name: String, age: Int64) -> ObjectMetadata {
    ObjectMetadata(name: name, namespace: "default", creationTimestamp: WallTime(nanoseconds: age))
  }

  private static func object(_ kind: KindName, _ name: String, _ spec: String) -> Envelope {
    Envelope(apiVersion: "networking.istio.io/v1", kind: kind, metadata: metadata(name, age: 1), spec: json(spec))
  }

  /// Two services with every sort of port, and a gateway for them.
  static let ruleNeighbours: [Envelope] = [
    object(.serviceEntry, "a", service("a", "10.96.0.1")), object(.serviceEntry, "b", service("b", "10.96.0.2")),
    object(
      .gateway, "edge",
      #"""
      {"selector":{"istio":"edge"},"servers":[{"port":{"number":80,"name":"http","protocol":"HTTP"},"hosts":["*"]},
      {"port":{"number":443,"name":"tls","protocol":"TLS"},"hosts":["*"],"tls":{"mode":"PASSTHROUGH"}},
      {"port":{"number":5432,"name":"tcp","protocol":"TCP"},"hosts":["*"]}]}
      """#),
  ]

  private static func service(_ name: String, _ address: String) -> String {
    #"""
    {"hosts":["\#(name).example.com"],"addresses":["\#(address)"],"resolution":"STATIC","location":"MESH_INTERNAL","ports":[
    {"number":80,"name":"http","protocol":"HTTP"},{"number":443,"name":"tls","protocol":"TLS"},
    {"number":5432,"name":"tcp","protocol":"TCP"},{"number":9090,"name":"grpc","protocol":"GRPC"}],
    "endpoints":[{"address":"10.0.1.1","labels":{"version":"v1"}},{"address":"10.0.1.2","labels":{"version":"v2"}}]}
    """#
  }

  /// What one kind needs beside that.
  static let ownNeighbours: [KindName: [Envelope]] = [
    .destinationRule: [
      object(
        .virtualService, "subset",
        #"""
        {"hosts":["a.example.com"],"http":[{"match":[{"uri":{"prefix":"/v1"}}],"route":[{"destination":{"host":"a.example.com","subset":"v1"}}]},
        {"route":[{"destination":{"host":"a.example.com"}}]}]}
        """#)
    ],
    .gateway: [
      object(
        .virtualService, "inside",
        #"""
        {"hosts":["a.example.com"],"gateways":["probe"],"http":[{"route":[{"destination":{"host":"a.example.com","port":{"number":80}}}]}],
        "tls":[{"match":[{"sniHosts":["a.example.com"]}],"route":[{"destination":{"host":"a.example.com","port":{"number":443}}}]}],
        "tcp":[{"route":[{"destination":{"host":"a.example.com","port":{"number":5432}}}]}]}
        """#)
    ],
    .serviceEntry: [
      object(.destinationRule, "probe", #"{"host":"p.example.com","trafficPolicy":{"tls":{"mode":"SIMPLE"}}}"#),
      object(.workloadEntry, "probe", #"{"address":"10.0.5.9","labels":{"app":"probe"}}"#),
    ],
    .virtualService: [
      object(.destinationRule, "b", #"{"host":"b.example.com","subsets":[{"name":"v1","labels":{"version":"v1"}}]}"#)
    ],
    .workloadEntry: [
      object(
        .serviceEntry, "probe",
        #"""
        {"hosts":["p.example.com"],"addresses":["10.96.0.3"],"resolution":"STATIC","ports":[{"number":80,"name":"http","protocol":"HTTP"}],
        "workloadSelector":{"labels":{"app":"probe"}}}
        """#)
    ],
  ]

  enum Proxy: Int { case captured, ours, edge, library, bound, farLibrary, caller }

  /// Those that can tell something about a kind.
  static let proxiesOfInterest: [KindName: [Proxy]] = [
    .destinationRule: [.caller, .library, .farLibrary], .gateway: [.edge], .serviceEntry: [.captured, .ours],
    .sidecar: [.captured, .ours, .bound], .virtualService: [.captured, .ours, .edge, .library],
    .workloadEntry: [.captured],
  ]

  /// By the numbers of `Proxy`.
  static let proxies: [(node: JSONValue, interest: Interest)] = [
    (
      json(
        #"""
        {"id":"sidecar~10.0.9.1~captured.default~default.svc.cluster.local","user_agent_name":"envoy","metadata":{"LABELS":{"app":"captured"}}}
        """#), Interest()
    ),
    (
      json(
        #"""
        {"id":"sidecar~10.0.9.2~ours.default~default.svc.cluster.local","user_agent_name":"weft-proxy","metadata":{"LABELS":{"app":"ours"},
        "WEFT_INBOUND":[{"port":80,"listen":"0.0.0.0:9080","app":"127.0.0.1:8080"}],"WEFT_HTTP_PROXY":"127.0.0.1:15080","WEFT_UPSTREAMS":[
        {"host":"a.example.com","port":80,"listen":"127.0.0.1:1080"},{"host":"a.example.com","port":443,"listen":"127.0.0.1:1443"},
        {"host":"a.example.com","port":5432,"listen":"127.0.0.1:1432"}]}}
        """#), Interest()
    ),
    (
      json(
        #"""
        {"id":"router~10.0.9.3~edge.default~default.svc.cluster.local","user_agent_name":"envoy","metadata":{"LABELS":{"istio":"edge"}}}
        """#), Interest()
    ),
    (
      json(
        #"""
        {"id":"sidecar~10.0.9.4~client.default~default.svc.cluster.local","metadata":{"GENERATOR":"grpc"}}
        """#),
      Interest([
        .listener: ["a.example.com:80"], .route: ["a.example.com:80"], .cluster: ["outbound|80||a.example.com"],
        .endpoint: ["outbound|80||a.example.com"],
      ])
    ),
    (
      json(
        #"""
        {"id":"sidecar~10.0.9.5~bound.default~default.svc.cluster.local","user_agent_name":"envoy","metadata":{"INTERCEPTION_MODE":"NONE"}}
        """#), Interest()
    ),
    (
      json(#"{"id":"sidecar~10.0.9.6~far.other~other.svc.cluster.local","metadata":{"GENERATOR":"grpc"}}"#),
      Interest([.cluster: ["outbound|80||a.example.com"]])
    ),
    (
      json(
        #"""
        {"id":"sidecar~10.0.9.7~caller.default~default.svc.cluster.local","user_agent_name":"envoy","metadata":{"WEFT_UPSTREAMS":[
        {"host":"a.example.com","port":80,"listen":"127.0.0.1:1080"},{"host":"a.example.com","port":9090,"listen":"127.0.0.1:1090"},
        {"host":"a.example.com","port":5432,"listen":"127.0.0.1:1432"}]}}
        """#), Interest()
    ),
  ]

  // MARK: Good rules

  static let ruleBases: [KindName: JSONValue] = [
    .destinationRule: json(
      #"{"host":"a.example.com","trafficPolicy":{},"subsets":[{"name":"v1","labels":{"version":"v1"}}]}"#),
    .gateway: json(
      #"{"selector":{"istio":"edge"},"servers":[{"port":{"number":8080,"name":"http","protocol":"HTTP"},"hosts":["*"]}]}"#
    ),
    .serviceEntry: json(
      #"""
      {"hosts":["p.example.com"],"addresses":["10.96.0.3"],"resolution":"STATIC","ports":[{"number":80,"name":"http","protocol":"HTTP"}],
      "endpoints":[{"address":"10.0.5.1"}]}
      """#),
    .sidecar: json(#"{"egress":[{"hosts":["*/a.example.com"]}]}"#),
    .virtualService: json(
      #"""
      {"hosts":["a.example.com","b.example.com"],"gateways":["mesh","edge"],
      "http":[{"match":[{"uri":{"prefix":"/x"}}],"route":[{"destination":{"host":"b.example.com","port":{"number":80}},"weight":50},
      {"destination":{"host":"a.example.com","port":{"number":80}},"weight":50}]}],
      "tls":[{"match":[{"sniHosts":["a.example.com"]}],"route":[{"destination":{"host":"b.example.com","port":{"number":9090}},"weight":50},
      {"destination":{"host":"a.example.com","port":{"number":443}},"weight":50}]}],
      "tcp":[{"route":[{"destination":{"host":"b.example.com","port":{"number":9090}},"weight":50},
      {"destination":{"host":"a.example.com","port":{"number":5432}},"weight":50}]}]}
      """#),
    .workloadEntry: json(#"{"address":"10.0.5.1","labels":{"app":"probe"}}"#),
  ]

  // MARK: What messages need

  private static let destination: JSONValue = ["host": "a.example.com", "port": ["number": 80]]

  /// As `seeds`, of rules.
  static let ruleSeeds: [String: JSONValue] = names([
    "ClientTLSSettings": ["mode": "SIMPLE"],
    "ConnectionPoolSettings": ["tcp": [:]],
    "LoadBalancerSettings.ConsistentHashLB": ["httpHeaderName": "x-a"],
    "LoadBalancerSettings.ConsistentHashLB.HTTPCookie": ["name": "c"],
    "LoadBalancerSettings.ConsistentHashLB.HTTPCookie.Attribute": ["name": "n"],
    "WarmupConfiguration": ["duration": "5s"],
    "TrafficPolicy.PortTrafficPolicy": ["port": ["number": 80], "connectionPool": ["tcp": ["maxConnections": 5]]],
    "TrafficPolicy.TunnelSettings": ["targetHost": "t.example.com", "targetPort": 80],
    "LocalityLoadBalancerSetting.Distribute": ["from": "r/*", "to": ["r/*": 100]],
    "Subset": ["name": "v1"],
    "Server.tls": ["mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"],
    "IstioIngressListener.tls": ["mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"],
    "ServerTLSSettings.TLSCertificate": ["serverCertificate": "/c", "privateKey": "/k"],
    "WorkloadSelector": ["labels": ["app": "probe"]],
    "SidecarPort": ["number": 80, "name": "http", "protocol": "HTTP"],
    "IstioIngressListener": ["port": ["number": 8080, "name": "http", "protocol": "HTTP"]],
    "Destination": destination,
    "Delegate": ["name": "d"],
    "HTTPDirectResponse": ["status": 200],
    "HTTPBody": ["string": "x"],
    "HTTPRedirect": ["uri": "/r"],
    "HTTPFaultInjection": ["abort": ["httpStatus": 500, "percentage": ["value": 5]]],
    "HTTPFaultInjection.Delay": ["fixedDelay": "1s", "percentage": ["value": 5]],
    "HTTPFaultInjection.Abort": ["httpStatus": 500, "percentage": ["value": 5]],
    "HTTPMirrorPolicy": ["destination": destination],
    "HTTPRewrite": ["uri": "/y"],
    "RegexRewrite": ["match": "a", "rewrite": "b"],
    "HTTPRetry": ["attempts": 3],
    "PortSelector": ["number": 80],
    "StringMatch": ["exact": "x"],
  ])

  private static let httpsServer: JSONValue = [
    "port": ["number": 8443, "name": "https", "protocol": "HTTPS"], "hosts": ["*"],
    "tls": ["mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"],
  ]
  private static let noFiles = Companion(members: ["serverCertificate": nil, "privateKey": nil])
  private static let authority = Companion(members: ["caCertificates": "/ca"])
  private static let mutual = Companion(members: ["mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k"])
  private static let noRoute = Companion(members: ["route": nil])
  private static let mirror = Companion(members: ["mirror": destination])

  /// As `companions`, of rules.
  static let ruleCompanions: [String: Companion] = names([
    "ClientTLSSettings.clientCertificate": mutual, "ClientTLSSettings.privateKey": mutual,
    "LoadBalancerSettings.ConsistentHashLB.minimumRingSize": Companion(members: ["ringHash": nil]),
    "OutlierDetection.consecutiveLocalOriginFailures": Companion(members: ["splitExternalLocalOriginErrors": true]),
    "ConnectionPoolSettings.HTTPSettings.http2KeepAlive": Companion(members: ["h2UpgradePolicy": "UPGRADE"]),
    "ConnectionPoolSettings.HTTPSettings.maxConcurrentStreams": Companion(members: ["h2UpgradePolicy": "UPGRADE"]),
    "Port.name": Companion(members: ["servers": [httpsServer]], isForRoot: true),
    "Server.tls": Companion(members: ["port": ["number": 8443, "name": "https", "protocol": "HTTPS"]]),
    "ServerTLSSettings.mode": authority,
    "ServerTLSSettings.caCrl": Companion(members: ["mode": "MUTUAL", "caCertificates": "/ca"]),
    "ServerTLSSettings.subjectAltNames": authority, "ServerTLSSettings.verifyCertificateSpki": authority,
    "ServerTLSSettings.verifyCertificateHash": authority, "ServerTLSSettings.credentialName": noFiles,
    "ServerTLSSettings.credentialNames": noFiles, "ServerTLSSettings.tlsCertificates": noFiles,
    "ServicePort.name": Companion(members: ["protocol": nil]),
    "ServiceEntry.workloadSelector": Companion(members: ["endpoints": nil]),
    "IstioEgressListener.bind": Companion(members: ["port": ["number": 80, "name": "http", "protocol": "HTTP"]]),
    "OutboundTrafficPolicy.egressProxy": Companion(members: ["mode": "ALLOW_ANY"]),
    "HTTPRoute.delegate": noRoute, "HTTPRoute.directResponse": noRoute, "HTTPRoute.redirect": noRoute,
    "HTTPRedirect.prefixRewrite": Companion(members: ["uri": nil]),
    "HTTPRewrite.uriRegexRewrite": Companion(members: ["uri": nil]),
    "HTTPFaultInjection.Delay.percent": Companion(members: ["percentage": nil]),
    "HTTPRoute.mirrorPercent": mirror, "HTTPRoute.mirrorPercentage": mirror,
    "VirtualService.hosts": Companion(members: ["tls": nil]),
    "Gateway: servers[0].tls.httpsRedirect": Companion(
      members: [
        "servers": [
          ["port": ["number": 8080, "name": "http", "protocol": "HTTP"], "hosts": ["*"], "tls": [:]]
        ]
      ], isForRoot: true),
  ])

  /// As `values`, of rules.
  static let ruleValues: [String: [JSONValue]] = names([
    "PortSelector.number": [5432, 9090, 443],
    "LoadBalancerSettings.ConsistentHashLB.MagLev.tableSize": [65_537],
    "Port.protocol": ["TCP", "HTTP2", "HTTPS"],
    "Server.hosts": ["x.example.com", "a.example.com"],
    "ServerTLSSettings.verifyCertificateSpki": ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
    "ServerTLSSettings.verifyCertificateHash": [.string(String(repeating: "a", count: 64))],
    "ServicePort.name": ["grpc-x", "tcp"],
    "ServicePort.protocol": ["GRPC", "TCP"],
    "SidecarPort.protocol": ["TCP", "GRPC"],
    "SidecarPort.number": [7, 80],
    "WorkloadSelector.labels": ["probe", "captured"],
    "IstioEgressListener.hosts": ["*/b.example.com"],
    "IstioIngressListener.defaultEndpoint": ["127.0.0.1:7000"],
    "TLSMatchAttributes.sniHosts": ["b.example.com"],
    "VirtualService.hosts": ["c.example.com"],
    "HTTPRedirect.scheme": ["https"],
    "HTTPRedirect.redirectCode": [302],
    "HTTPFaultInjection.Abort.httpStatus": [503],
    "HTTPFaultInjection.Abort.grpcStatus": ["UNAVAILABLE"],
    "HTTPRetry.retryOn": ["5xx"],
    "CorsPolicy.allowMethods": ["GET"],
    "ServerTLSSettings.cipherSuites": ["AES128-SHA"],
  ])

  /// Keys of maps where the usual one is none.
  static let mapKeys: [String: String] = names([
    "WorkloadEntry.labels": "version", "WorkloadEntry.ports": "http", "WorkloadSelector.labels": "app",
  ])

  private static func names<Value>(_ table: [String: Value]) -> [String: Value] {
    Dictionary(uniqueKeysWithValues: table.map { ("istio.networking.v1alpha3.\($0.key)", $0.value) })
  }
}
