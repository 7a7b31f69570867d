/// The name of a configuration kind (`VirtualService`), the same in every version of its API group.
package struct KindName: RawRepresentable, Hashable, Sendable, Comparable, CustomStringConvertible {
  package var rawValue: String

  package init(rawValue: String) { self.rawValue = rawValue }

  package static func < (a: KindName, b: KindName) -> Bool { a.rawValue < b.rawValue }
  package var description: String { rawValue }

  package static let destinationRule = KindName(rawValue: "DestinationRule")
  package static let gateway = KindName(rawValue: "Gateway")
  package static let serviceEntry = KindName(rawValue: "ServiceEntry")
  package static let sidecar = KindName(rawValue: "Sidecar")
  package static let virtualService = KindName(rawValue: "VirtualService")
  package static let workloadEntry = KindName(rawValue: "WorkloadEntry")
  /// A service that registrations brought into being (universal mode).
  package static let service = KindName(rawValue: "Service")
  /// A registered instance of a service (universal mode).
  package static let workload = KindName(rawValue: "Workload")
}
