package import WeftBase
package import WeftControlAPI
import WeftKinds

/// A registration as it is told by an agent, and its form as JSON (docs/design/0002).
package struct WorkloadRecord: Sendable, Hashable {
  package var workload: Workload
  /// *Units*: seconds.
  package var leaseSeconds: Int

  package static let leaseRange = 1...3600
  package static let defaultLease = 15
  package static let portLimit = 64

  package init(workload: Workload, leaseSeconds: Int = WorkloadRecord.defaultLease) {
    self.workload = workload
    self.leaseSeconds = leaseSeconds
  }
}

/// A registration that cannot be taken: everything that is wrong with it.
package struct WorkloadRefusal: Error, Sendable {
  package var problems: [(path: FieldPath, message: String)]

  /// As the API shows it.
  package var json: JSONValue {
    .object([
      "errors": .array(
        problems.map { .object(["path": .string($0.path.description), "message": .string($0.message)]) })
    ])
  }
}

extension WorkloadRecord {
  /// Reads and checks the body of a registration. *Errors*: everything wrong with it, by path.
  package init(json: JSONValue) throws(WorkloadRefusal) {
    var reader = WorkloadReader()
    let record = reader.read(json)
    guard reader.problems.isEmpty, let record else { throw WorkloadRefusal(problems: reader.problems) }
    self = record
  }

  /// The record as the API shows it.
  package func json() -> JSONValue {
    var object = JSONObject()
    object["id"] = .string(workload.id)
    object["namespace"] = .string(workload.namespace)
    object["service"] = .string(workload.service)
    object["labels"] = .object(
      JSONObject(workload.labels.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }))
    object["address"] = .string(workload.address)
    object["inboundAddress"] = .string(workload.inboundAddress)
    object["ports"] = .array(
      workload.ports.map { port in
        .object([
          "number": .int(port.number), "name": .string(port.name), "protocol": .string(port.protocol.rawValue),
          "appPort": .int(port.appPort), "inboundPort": .int(port.inboundPort),
        ])
      })
    object["health"] = .string(workload.health.rawValue)
    object["weight"] = .int(workload.weight)
    object["locality"] = .object([
      "region": .string(workload.locality.region), "zone": .string(workload.locality.zone),
      "subzone": .string(workload.locality.subZone),
    ])
    if !workload.network.isEmpty { object["network"] = .string(workload.network) }
    object["serviceAccount"] = .string(workload.serviceAccount)
    object["leaseSeconds"] = .int(leaseSeconds)
    return .object(object)
  }

  /// Reads a registration that an earlier release kept in the store; nil when it is none.
  package init?(envelope: Envelope) {
    guard var body = envelope.spec.objectValue else { return nil }
    body["id"] = .string(envelope.metadata.name)
    body["namespace"] = .string(envelope.metadata.namespace)
    guard let record = try? WorkloadRecord(json: .object(body)) else { return nil }
    self = record
    workload.creationTimestamp = envelope.metadata.creationTimestamp
    workload.generation = envelope.metadata.generation
  }

}

/// Reads a registration field by field and collects what is wrong.
private struct WorkloadReader {
  var problems: [(path: FieldPath, message: String)] = []

  private static let known: Set<String> = [
    "id", "namespace", "service", "labels", "address", "inboundAddress", "ports", "health", "weight", "locality",
    "network", "serviceAccount", "leaseSeconds",
  ]

  mutating func read(_ json: JSONValue) -> WorkloadRecord? {
    guard let object = json.objectValue else {
      report(.root, "must be an object; it is a \(json.kindName)")
      return nil
    }
    for member in object.members where !Self.known.contains(member.name) {
      report(FieldPath.root.field(member.name), "unknown field")
    }
    let id = name(object, "id", isRequired: true)
    if id.utf8.count > 253
      || !id.split(separator: ".", omittingEmptySubsequences: false).allSatisfy({ NameRules.isDNSLabel(String($0)) }),
      !id.isEmpty
    {
      report(FieldPath.root.field("id"), "\"\(id)\" is not a name (lower-case letters, digits and \"-\")")
    }
    let namespace = label(object, "namespace", otherwise: "default")
    let service = label(object, "service", otherwise: nil)
    var labels = readLabels(object["labels"])
    if labels["app"] == nil { labels["app"] = service }
    var workload = Workload(id: id, namespace: namespace, service: service, labels: labels, ports: [])
    workload.address = address(object, "address")
    workload.inboundAddress = address(object, "inboundAddress")
    workload.ports = readPorts(object["ports"])
    workload.health = readHealth(object["health"])
    workload.weight = UInt32(clamping: integer(object, "weight", 1...1_000_000, otherwise: 1))
    workload.locality = readLocality(object["locality"])
    workload.network = name(object, "network", isRequired: false)
    let account = name(object, "serviceAccount", isRequired: false)
    if !account.isEmpty { workload.serviceAccount = account }
    let lease = integer(object, "leaseSeconds", WorkloadRecord.leaseRange, otherwise: WorkloadRecord.defaultLease)
    return WorkloadRecord(workload: workload, leaseSeconds: lease)
  }

  private mutating func report(_ path: FieldPath, _ message: String) { problems.append((path, message)) }

  private mutating func name(_ object: JSONObject, _ field: String, isRequired: Bool) -> String {
    guard let value = object[field], !value.isNull else {
      if isRequired { report(FieldPath.root.field(field), "must be set") }
      return ""
    }
    guard let text = value.stringValue else {
      report(FieldPath.root.field(field), "must be a string; it is a \(value.kindName)")
      return ""
    }
    if isRequired, text.isEmpty { report(FieldPath.root.field(field), "must not be empty") }
    return text
  }

  private mutating func label(_ object: JSONObject, _ field: String, otherwise: String?) -> String {
    let text = name(object, field, isRequired: otherwise == nil)
    if text.isEmpty { return otherwise ?? "" }
    if !NameRules.isDNSLabel(text) {
      report(
        FieldPath.root.field(field), "\"\(text)\" is not a name (lower-case letters, digits and \"-\", at most 63)")
    }
    return text
  }

  private mutating func address(_ object: JSONObject, _ field: String) -> String {
    let text = name(object, field, isRequired: false)
    if text.isEmpty { return "127.0.0.1" }
    if !AddressRules.isIP(text) { report(FieldPath.root.field(field), "\"\(text)\" is not an IP address") }
    return text
  }

  private mutating func integer(
    _ object: JSONObject, _ field: String, _ range: ClosedRange<Int>, otherwise: Int
  ) -> Int {
    guard let value = object[field], !value.isNull else { return otherwise }
    guard let number = value.intValue, let number = Int(exactly: number), range.contains(number) else {
      report(FieldPath.root.field(field), "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
      return otherwise
    }
    return number
  }

  private mutating func readLabels(_ value: JSONValue?) -> [String: String] {
    let path = FieldPath.root.field("labels")
    guard let value, !value.isNull else { return [:] }
    guard let object = value.objectValue else {
      report(path, "must be an object of strings; it is a \(value.kindName)")
      return [:]
    }
    var labels: [String: String] = [:]
    for member in object.members {
      guard let text = member.value.stringValue, NameRules.isLabelKey(member.name), NameRules.isLabelValue(text) else {
        report(path.key(member.name), "is not a valid label")
        continue
      }
      labels[member.name] = text
    }
    return labels
  }

  private mutating func readPorts(_ value: JSONValue?) -> [WorkloadPort] {
    let path = FieldPath.root.field("ports")
    guard let items = value?.arrayValue, !items.isEmpty else {
      report(path, "must be a list of at least one port")
      return []
    }
    if items.count > WorkloadRecord.portLimit {
      report(path, "must not have more than \(WorkloadRecord.portLimit) ports")
      return []
    }
    var ports: [WorkloadPort] = []
    for (index, item) in items.enumerated() {
      let here = path.index(index)
      guard let object = item.objectValue else {
        report(here, "must be an object; it is a \(item.kindName)")
        continue
      }
      let number = port(object, "number", here, otherwise: nil)
      let appPort = port(object, "appPort", here, otherwise: number)
      let inboundPort = port(object, "inboundPort", here, otherwise: nil)
      var spoken = PortProtocol.unknown
      if let text = object["protocol"]?.stringValue {
        if let known = PortProtocol(field: text) {
          spoken = known
        } else {
          let allowed = PortProtocol.allCases.map(\.rawValue).filter { !$0.isEmpty }.joined(separator: ", ")
          report(here.field("protocol"), "\"\(text)\" is not one of \(allowed)")
        }
      }
      let given = object["name"]?.stringValue ?? ""
      let name = given.isEmpty ? (spoken == .unknown ? "tcp" : spoken.rawValue.lowercased()) + "-\(number)" : given
      if !NameRules.isDNSLabel(name) { report(here.field("name"), "\"\(name)\" is not a port name") }
      if spoken == .unknown { spoken = PortProtocol(portName: name) }
      if ports.contains(where: { $0.number == number }) { report(here.field("number"), "duplicate port \(number)") }
      if ports.contains(where: { $0.name == name }) { report(here.field("name"), "duplicate name \"\(name)\"") }
      ports.append(
        WorkloadPort(number: number, name: name, protocol: spoken, appPort: appPort, inboundPort: inboundPort))
    }
    return ports
  }

  private mutating func port(
    _ object: JSONObject, _ field: String, _ path: FieldPath, otherwise: UInt16?
  ) -> UInt16 {
    guard let value = object[field], !value.isNull else {
      if let otherwise { return otherwise }
      report(path.field(field), "must be set")
      return 0
    }
    guard let number = value.intValue, (1...65_535).contains(number) else {
      report(path.field(field), "must be a port from 1 to 65535")
      return 0
    }
    return UInt16(number)
  }

  private mutating func readHealth(_ value: JSONValue?) -> ServiceInstance.Health {
    guard let value, !value.isNull else { return .healthy }
    guard let health = value.stringValue.flatMap(ServiceInstance.Health.init) else {
      report(FieldPath.root.field("health"), "must be HEALTHY, UNHEALTHY or DRAINING")
      return .unhealthy
    }
    return health
  }

  private mutating func readLocality(_ value: JSONValue?) -> Locality {
    guard let value, !value.isNull else { return Locality() }
    guard value.objectValue != nil else {
      report(FieldPath.root.field("locality"), "must be an object with region, zone and subzone")
      return Locality()
    }
    return Locality(
      region: value["region"]?.stringValue ?? "", zone: value["zone"]?.stringValue ?? "",
      subZone: value["subzone"]?.stringValue ?? "")
  }
}
