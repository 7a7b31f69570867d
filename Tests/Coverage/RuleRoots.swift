// The rules people write: each stands in a small mesh, and what counts is all that the control plane makes of the mesh and says about the rule.
import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

@testable import WeftControl
@testable import WeftTranslation

extension CoverageRoot {
  static let rules: [CoverageRoot] = [
    CoverageRoot(DestinationRuleKind.self), CoverageRoot(GatewayKind.self), CoverageRoot(ServiceEntryKind.self),
    CoverageRoot(SidecarKind.self), CoverageRoot(VirtualServiceKind.self), CoverageRoot(WorkloadEntryKind.self),
  ]

  private init<Kind: ConfigKind>(_ kind: Kind.Type) {
    let mesh = RuleMesh(Kind.name)
    self.init(type: Kind.Spec.self, base: ProbeTables.ruleBases[Kind.name] ?? [:], isCamelCase: true) {
      mesh.convert(kind, $0)
    }
  }
}

/// What surrounds a rule: services, other rules, and a proxy of every sort.
private struct RuleMesh: Sendable {
  private let name: KindName
  private let others: Model
  private let proxies: [(identity: ProxyIdentity, interest: Interest)]

  init(_ kind: KindName) {
    name = kind
    var model = Model(mesh: MeshSettings())
    for object in ProbeTables.ruleNeighbours + (ProbeTables.ownNeighbours[kind] ?? []) { model.put(object) }
    let workload = Workload(
      id: "ours", namespace: "default", service: "ours", labels: ["app": "ours"],
      ports: [WorkloadPort(number: 80, name: "http", protocol: .http, appPort: 8080, inboundPort: 9080)])
    model.apply(
      SourceBatch(upserts: [workload.key: .workload(workload)], version: 1), from: SourceOrigin("agents"))
    _ = model.snapshot()
    others = model
    proxies = (ProbeTables.proxiesOfInterest[kind] ?? []).map { ProbeTables.proxies[$0.rawValue] }.map {
      node, interest in
      do { return (ProxyIdentity(node: try Envoy_Config_Core_V3_Node(json: node)), interest) } catch {
        preconditionFailure("\(error) in \(node)")
      }
    }
  }

  func convert<Kind: ConfigKind>(_ kind: Kind.Type, _ spec: JSONValue) -> CoverageRoot.Result {
    let checked = Kind.check(
      spec, ValidationContext(regexProblem: { RegexCheck.problem($0) }, formatProblem: { FormatCheck.problem($0) }))
    if let error = checked.findings.first(where: { $0.severity == .error }) {
      return .refused(Self.below(error.path.description), error.message)
    }
    var told = CoverageRoot.Told()
    for finding in checked.findings { told.hints[Self.below(finding.path.description)] = finding.message }
    var model = others
    let rule = Envelope(
      apiVersion: "networking.istio.io/v1", kind: name, metadata: ProbeTables.metadata("probe", age: 100), spec: spec)
    model.put(rule)
    let snapshot = model.snapshot()
    for problem in RuleAnalysis(snapshot).warnings(about: rule.key) {
      // Those that some proxies do not carry out are told beneath, proxy by proxy.
      guard problem.code != "WEFT0001" else { continue }
      told.hints[Self.below(problem.path.description)] = problem.message
    }
    for feature in RuleAnalysis(snapshot).features(of: rule.key) {
      let path = Self.below(feature.path)
      switch feature.scope {
      case .everywhere: told.warnings[path] = feature.message
      case .exceptEnvoy, .libraries: told.partly[path] = feature.message
      }
    }
    var made: [String] = []
    for proxy in proxies {
      let resources = Translator.translate(snapshot, for: proxy.identity, interest: proxy.interest)
      for issue in resources.issues where issue.origin.key == rule.key {
        let path = Self.below(issue.path)
        // What validation lets through and proxies would refuse is a fault of validation.
        if issue.leftOut != nil { return .refused(path, "GUARD: \(issue.message)") }
        if told.warnings[path] == nil, told.partly[path] == nil { told.hints[path] = issue.message }
      }
      for type in ResourceType.allCases {
        for (name, resource) in resources.all(type) {
          made.append("\(proxy.identity.nodeID) \(type) \(name) \(resource.version)")
        }
      }
    }
    return .made(AnyHashableValue(made.sorted()), told)
  }

  /// A path as text, without the leading `spec`.
  private static func below(_ text: String) -> FieldPath {
    var path = FieldPath()
    for part in text.split(separator: ".", omittingEmptySubsequences: true) {
      var steps = part.split(separator: "[")
      if let name = steps.first, !part.hasPrefix("[") {
        path = path.field(String(name))
        steps.removeFirst()
      }
      for step in steps {
        let inner = step.dropLast()
        path = Int(inner).map(path.index) ?? path.key(String(inner.filter { $0 != "\"" }))
      }
    }
    return FieldPath(Array(path.elements.dropFirst()))
  }
}
