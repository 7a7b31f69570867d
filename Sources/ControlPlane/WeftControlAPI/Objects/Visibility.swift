/// Who may see an object or service: the meaning of `exportTo` (an empty list stands for the mesh default, which is
/// `all`).
package enum Visibility: Hashable, Sendable {
  /// `*`
  case all
  /// `.` or names of namespaces; `.` is kept as such and means the owner's namespace.
  case namespaces(Set<String>)
  /// `~`
  case none

  /// Reads an `exportTo` list that validation has accepted.
  package init(exportTo: [String]) {
    if exportTo.isEmpty || exportTo.contains("*") {
      self = .all
    } else if exportTo.contains("~") {
      self = .none
    } else {
      self = .namespaces(Set(exportTo))
    }
  }

  package func includes(_ namespace: String, owner: String) -> Bool {
    switch self {
    case .all: true
    case .none: false
    case .namespaces(let names): names.contains(namespace) || (namespace == owner && names.contains("."))
    }
  }
}
