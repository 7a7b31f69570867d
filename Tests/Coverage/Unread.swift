// What differs between two models, and whether anything behind them reads it.
import WeftTestKit

/// The properties that nothing reads. A document that changes nothing else of its model changes nothing.
struct Unread: Sendable {
  /// As `Type.property`, or, where a type has readers elsewhere, with the way to it: `Cluster.http2.hpackTableBytes`.
  let properties: Set<String>

  init(_ properties: Set<String>) { self.properties = properties }

  /// What the compiler's index says of the model (`Tools/unread-fields.py`).
  static func ofModel() throws -> Unread {
    Unread(Set(try SourceTree.text("Tests/Golden/coverage/unread.txt").split(separator: "\n").map(String.init)))
  }

  /// Whether something that is read differs.
  func hears(_ old: AnyHashableValue, _ new: AnyHashableValue) -> Bool {
    old != new && (properties.isEmpty || differ(old.value.base, new.value.base, []))
  }

  private func differ(_ old: Any, _ new: Any, _ way: [(type: String, property: String)]) -> Bool {
    if let old = old as? any Hashable, let new = new as? any Hashable, AnyHashable(old) == AnyHashable(new) {
      return false
    }
    let (before, after) = (Mirror(reflecting: old), Mirror(reflecting: new))
    guard before.displayStyle == after.displayStyle, before.children.count == after.children.count else { return true }
    var isFound = false
    for (one, other) in zip(before.children, after.children) {
      switch before.displayStyle {
      case .struct:
        guard let property = one.label else { return true }
        let way =
          way + [(String(reflecting: type(of: old)).split(separator: ".").dropFirst().joined(separator: "."), property)]
        isFound = true
        if !isUnread(way), differ(one.value, other.value, way) { return true }
      case .enum, .optional, .tuple, .collection:
        // Another case differs as a whole.
        guard one.label == other.label else { return true }
        isFound = true
        if differ(one.value, other.value, way) { return true }
      default: return true
      }
    }
    return !isFound
  }

  private func isUnread(_ way: [(type: String, property: String)]) -> Bool {
    way.indices.contains { start in
      properties.contains(way[start].type + "." + way[start...].map(\.property).joined(separator: "."))
    }
  }
}
