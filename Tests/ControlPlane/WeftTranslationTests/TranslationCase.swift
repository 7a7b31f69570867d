import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftTestKit
import WeftXDSMessages

@testable import WeftTranslation

/// A golden case: `Tests/Golden/translation/<name>.json` holds services, rules and a node,
/// `<name>.expected.json` what translation makes of them.
struct TranslationCase: CustomStringConvertible {
  let name: String
  let snapshot: WeftSnapshot
  let proxy: ProxyIdentity
  let interest: Interest

  var description: String { name }

  static let names = ((try? Golden.files(in: "translation", suffix: ".json")) ?? [])
    .filter { !$0.hasSuffix(".expected.json") }.map { String($0.dropLast(5)) }

  init(_ name: String) throws {
    try self.init(name, JSONValue(parsing: Golden.bytes("translation/\(name).json")))
  }

  init(_ name: String, _ json: JSONValue) throws {
    self.name = name
    snapshot = try Self.snapshot(json)
    proxy = ProxyIdentity(node: try Envoy_Config_Core_V3_Node(json: json["node"] ?? .object(JSONObject())))
    var byType: [ResourceType: Set<String>] = [:]
    for member in json["interest"]?.objectValue?.members ?? [] {
      guard let type = ResourceType.allCases.first(where: { $0.shortName == member.name }) else { continue }
      byType[type] = Set((member.value.arrayValue ?? []).compactMap(\.stringValue))
    }
    interest = Interest(byType)
  }

  func translate() -> ProxyResources { Translator.translate(snapshot, for: proxy, interest: interest) }

  // MARK: Reading

  static func snapshot(_ json: JSONValue, version: UInt64 = 1) throws -> WeftSnapshot {
    var mesh = MeshSettings()
    if json["mesh"]?["outboundTrafficPolicy"]?.stringValue == "REGISTRY_ONLY" {
      mesh.outboundTrafficPolicy = .registryOnly
    }
    let workloads = (json["workloads"]?.arrayValue ?? []).map(Self.workload)
    return WeftSnapshot(
      version: version, mesh: mesh, services: ServiceIndex((json["services"]?.arrayValue ?? []).map(Self.service)),
      workloads: Dictionary(uniqueKeysWithValues: workloads.map { ($0.key, $0) }),
      destinationRules: ConfigIndex(
        try objects(json, .destinationRule) { (spec: DestinationRuleSpec) in ([spec.host], spec.exportTo) }),
      gateways: ConfigIndex(try objects(json, .gateway) { (_: GatewaySpec) in ([], []) }),
      sidecars: ConfigIndex(try objects(json, .sidecar) { (_: SidecarSpec) in ([], []) }),
      virtualServices: ConfigIndex(
        try objects(json, .virtualService) { (spec: VirtualServiceSpec) in (spec.hosts, spec.exportTo) }))
  }

  private static func objects<Spec: Message>(
    _ json: JSONValue, _ kind: KindName, _ read: (Spec) -> (hosts: [String], exportTo: [String])
  ) throws -> [ConfigObject<Spec>] {
    try (json["objects"]?.arrayValue ?? []).filter { $0["kind"]?.stringValue == kind.rawValue }.map { object in
      let spec = try Spec(json: object["spec"] ?? .object(JSONObject()))
      let namespace = object["metadata"]?["namespace"]?.stringValue ?? "default"
      let (hosts, exportTo) = read(spec)
      return ConfigObject(
        kind: kind,
        metadata: ObjectMetadata(
          name: object["metadata"]?["name"]?.stringValue ?? "", namespace: namespace,
          creationTimestamp: WallTime(nanoseconds: object["metadata"]?["created"]?.intValue ?? 0)),
        spec: spec, hosts: hosts.map { Hostname.resolve($0, namespace: namespace, domain: "cluster.local") },
        visibility: Visibility(exportTo: exportTo))
    }
  }

  private static func strings(_ json: JSONValue?) -> [String: String] {
    var result: [String: String] = [:]
    for member in json?.objectValue?.members ?? [] { result[member.name] = member.value.stringValue }
    return result
  }

  private static func service(_ json: JSONValue) -> Service {
    let namespace = json["namespace"]?.stringValue ?? "default"
    let name = json["name"]?.stringValue ?? ""
    let host = Hostname.canonical(json["host"]?.stringValue ?? "\(name).\(namespace).svc.cluster.local")
    let origin = Origin(kind: .serviceEntry, namespace: namespace, name: name, generation: 1)
    let ports = (json["ports"]?.arrayValue ?? []).map { port in
      ServicePort(
        number: UInt16(port["number"]?.intValue ?? 0), name: port["name"]?.stringValue ?? "p",
        protocol: PortProtocol(field: port["protocol"]?.stringValue ?? "HTTP") ?? .unknown,
        targetPort: port["targetPort"]?.intValue.map { UInt16($0) })
    }
    let instances = (json["instances"]?.arrayValue ?? []).enumerated().map { index, instance in
      var map: [UInt16: UInt16] = [:]
      for port in ports { map[port.number] = port.targetPort }
      for member in instance["ports"]?.objectValue?.members ?? [] {
        map[UInt16(member.name) ?? 0] = UInt16(member.value.intValue ?? 0)
      }
      return ServiceInstance(
        id: instance["id"]?.stringValue ?? "\(name)/\(index)", address: instance["address"]?.stringValue ?? "",
        ports: map,
        labels: strings(instance["labels"]), locality: Locality(instance["locality"]?.stringValue ?? ""),
        weight: UInt32(instance["weight"]?.intValue ?? 1),
        health: ServiceInstance.Health(rawValue: instance["health"]?.stringValue ?? "HEALTHY") ?? .healthy,
        namespace: namespace, workloadName: instance["workload"]?.stringValue ?? "", origin: origin)
    }
    return Service(
      host: host, name: name, namespace: namespace, ports: ports,
      resolution: Service.Resolution(rawValue: json["resolution"]?.stringValue ?? "STATIC") ?? .static,
      addresses: (json["addresses"]?.arrayValue ?? []).compactMap(\.stringValue).map(AddressRules.canonical),
      creationTimestamp: WallTime(nanoseconds: json["created"]?.intValue ?? 0), instances: instances, origins: [origin])
  }

  private static func workload(_ json: JSONValue) -> Workload {
    Workload(
      id: json["id"]?.stringValue ?? "", namespace: json["namespace"]?.stringValue ?? "default",
      service: json["service"]?.stringValue ?? "", labels: strings(json["labels"]),
      ports: (json["ports"]?.arrayValue ?? []).map { port in
        WorkloadPort(
          number: UInt16(port["number"]?.intValue ?? 0), name: "p",
          protocol: PortProtocol(field: port["protocol"]?.stringValue ?? "HTTP") ?? .http,
          appPort: UInt16(port["appPort"]?.intValue ?? 0), inboundPort: UInt16(port["inboundPort"]?.intValue ?? 0))
      })
  }
}

extension ProxyResources {
  /// All resources as canonical JSON, sorted by name, with the origins of each.
  func golden() throws -> JSONValue {
    var registry = TypeRegistry()
    registry.add(EnvoyTypes.all)
    let options = JSONEncodingOptions(protoNames: true, registry: registry)
    var sections: [JSONMember] = []
    for type in ResourceType.allCases {
      let list = try names(type).map { name -> JSONValue in
        let resource = self[type, name]!
        var object = JSONObject()
        object["resource"] = try resource.any.json(options: options)
        object["origins"] = .array(resource.origins.map { .string($0.description) })
        return .object(object)
      }
      if !list.isEmpty { sections.append(JSONMember(type.shortName, .array(list))) }
    }
    if !issues.isEmpty { sections.append(JSONMember("issues", .array(issues.map { .string($0.description) }))) }
    return .object(JSONObject(sections))
  }
}
