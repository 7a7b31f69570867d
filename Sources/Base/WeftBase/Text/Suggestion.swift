/// What somebody who wrote a word that is not known probably meant.
package enum Suggestion {
  /// Longer words are not compared.
  package static let wordBytes = 253
  /// More words than this are not looked through.
  package static let wordLimit = 10_000

  /// The word among `known` that needs the fewest edits, letter case aside, if these are few for its length: one up to three letters, three at
  /// most. The first of several. *Cost*: O(words × length²).
  package static func nearest(to word: String, among known: some Sequence<String>) -> String? {
    let wanted = Array(word.lowercased().utf8)
    guard !wanted.isEmpty, wanted.count <= wordBytes else { return nil }
    var best: String?
    var least = min(3, max(1, wanted.count / 3)) + 1
    for candidate in known.lazy.prefix(wordLimit) {
      let bytes = Array(candidate.lowercased().utf8)
      guard bytes.count <= wordBytes, abs(bytes.count - wanted.count) < least else { continue }
      let edits = distance(wanted, bytes)
      if edits < least { (best, least) = (candidate, edits) }
    }
    return best
  }

  /// `; did you mean "reviews"?`, or nothing.
  package static func question(_ word: String, among known: some Sequence<String>) -> String {
    nearest(to: word, among: known).map { "; did you mean \"\($0)\"?" } ?? ""
  }

  /// Edits (insert, delete, replace) between two short words. *Cost*: O(n·m).
  package static func distance(_ a: String, _ b: String) -> Int { distance(Array(a.utf8), Array(b.utf8)) }

  private static func distance(_ x: [UInt8], _ y: [UInt8]) -> Int {
    var row = Array(0...y.count)
    for i in 0..<x.count {
      var previous = row[0]
      row[0] = i + 1
      for j in 0..<y.count {
        let substituted = previous + (x[i] == y[j] ? 0 : 1)
        previous = row[j + 1]
        row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
      }
    }
    return row[y.count]
  }
}
