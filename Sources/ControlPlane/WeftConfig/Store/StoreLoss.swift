/// A store that holds less than it once did: the file was removed, emptied, put back from an older copy, or lost its write-ahead log.
package struct StoreLoss: Sendable, Equatable, CustomStringConvertible {
  /// The revision the store was known to have.
  package var remembered: UInt64
  /// The revision it was found with.
  package var found: UInt64
  /// Objects that it was found with.
  package var objects: Int

  package var description: String {
    "the store was at revision \(remembered) and is at \(found) with \(objects) objects now: its file or write-ahead log was removed, "
      + "emptied or put back from an older copy; restore a back-up, or apply the configuration again"
  }
}
