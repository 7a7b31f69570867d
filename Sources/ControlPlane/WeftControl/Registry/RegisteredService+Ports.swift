import WeftControlAPI

extension RegisteredService {
  /// The ports of all instances: of two that name the same number, the older instance's definition holds; of two numbers with
  /// one name, the younger's name gets its number.
  static func ports(of workloads: [Workload]) -> [ServicePort] {
    var ports: [ServicePort] = []
    for workload in workloads.sorted(by: precedes) {
      for port in workload.ports where !ports.contains(where: { $0.number == port.number }) {
        let isTaken = ports.contains { $0.name == port.name }
        let name = isTaken ? "\(port.name)-\(port.number)" : port.name
        ports.append(ServicePort(number: port.number, name: name, protocol: port.protocol))
      }
    }
    return ports.sorted { $0.number < $1.number }
  }

  /// What a workload says of its ports that others of its service say otherwise.
  static func disagreements(of workload: Workload, with siblings: [Workload]) -> [String] {
    guard !siblings.isEmpty else { return [] }
    var found: [String] = []
    let others = ports(of: siblings)
    for port in workload.ports {
      if let other = others.first(where: { $0.number == port.number }) {
        if other.protocol != port.protocol {
          found.append(
            "port \(port.number) of \(workload.service) is \(port.protocol.rawValue) here and \(other.protocol.rawValue) in "
              + "other instances; the oldest instance's protocol holds")
        }
      } else {
        let known = others.map { String($0.number) }.joined(separator: ", ")
        found.append(
          "other instances of \(workload.service) serve port \(known), this one \(port.number): clients reach it on that "
            + "port only (weft run --service-port gives them one number)")
      }
    }
    return found
  }

  private static func precedes(_ a: Workload, _ b: Workload) -> Bool {
    a.creationTimestamp == b.creationTimestamp ? a.id < b.id : a.creationTimestamp < b.creationTimestamp
  }
}
