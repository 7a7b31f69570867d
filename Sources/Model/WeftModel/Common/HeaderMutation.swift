/// One header to add or set. The value may hold access-log operators such as `%DOWNSTREAM_REMOTE_ADDRESS%`.
package struct HeaderValueOption: Hashable, Sendable {
  package enum Action: UInt8, Hashable, Sendable {
    case appendIfExistsOrAdd, addIfAbsent, overwriteIfExistsOrAdd, overwriteIfExists
  }
  package var name: String
  package var value: String
  package var action: Action
  /// Add the header even when its value comes out empty.
  package var keepEmptyValue: Bool
  package init(name: String, value: String, action: Action = .appendIfExistsOrAdd, keepEmptyValue: Bool = false) {
    self.name = name
    self.value = value
    self.action = action
    self.keepEmptyValue = keepEmptyValue
  }
}

/// Changes to the headers of a request or response: removals first, then additions in order.
package struct HeaderMutations: Hashable, Sendable {
  package var add: [HeaderValueOption]
  package var remove: [String]
  package init(add: [HeaderValueOption] = [], remove: [String] = []) {
    self.add = add
    self.remove = remove
  }
  package var isEmpty: Bool { add.isEmpty && remove.isEmpty }
}

/// Request and response changes of one configuration level.
package struct HeaderPolicies: Hashable, Sendable {
  package var request = HeaderMutations()
  package var response = HeaderMutations()
  package init() {}
}
