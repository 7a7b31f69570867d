// Message fields live behind one pointer: a struct stays small and may contain itself.

/// An optional message on the heap with value semantics: shared until written to.
@propertyWrapper
package struct Boxed<M: Message>: Sendable {
  /// Written only while uniquely referenced through an exclusive `inout` access, hence safe to send.
  private final class Cell: @unchecked Sendable {
    var value: M?
    init(_ value: M?) { self.value = value }
  }

  private var cell: Cell?

  package init(wrappedValue: M?) { cell = wrappedValue.map { Cell($0) } }

  package var wrappedValue: M? {
    get { cell?.value }
    set {
      if let newValue {
        if isKnownUniquelyReferenced(&cell) { cell!.value = newValue } else { cell = Cell(newValue) }
      } else {
        cell = nil
      }
    }
    _modify {
      // The value moves out of the cell for the time of the access, so that lists inside it are changed in place.
      var value: M?
      if isKnownUniquelyReferenced(&cell) { swap(&value, &cell!.value) } else { value = cell?.value }
      defer {
        if case .none = value {
          cell = nil
        } else if isKnownUniquelyReferenced(&cell) {
          swap(&value, &cell!.value)
        } else {
          cell = Cell(value)
        }
      }
      yield &value
    }
  }
}
