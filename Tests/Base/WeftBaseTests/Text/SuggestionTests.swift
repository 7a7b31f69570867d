import Testing

@testable import WeftBase

@Suite("suggestions")
struct SuggestionTests {
  static let words: [(String, String?)] = [
    ("reviewz", "reviews"), ("REVIEWS", "reviews"), ("rviews", "reviews"), ("ratings", "ratings"), ("vss", "vs"),
    ("x", nil), ("", nil), ("entirely", nil), ("virtualservcie", "virtualservices"),
  ]

  @Test("the nearest word is told when few edits lead to it, and none otherwise", arguments: words)
  func nearest(word: String, expected: String?) {
    #expect(
      Suggestion.nearest(to: word, among: ["reviews", "ratings", "vs", "virtualservices", "details"]) == expected)
  }

  @Test("long words and long lists cost no more than their limits")
  func limits() {
    #expect(Suggestion.nearest(to: String(repeating: "a", count: 1_000_000), among: ["a"]) == nil)
    let many = sequence(first: 0) { $0 + 1 }.lazy.map { "word-\($0)" }
    #expect(Suggestion.nearest(to: "word-77x", among: many) == "word-77")
  }

  @Test("the question is asked only when there is an answer")
  func question() {
    #expect(Suggestion.question("reviewz", among: ["reviews"]) == "; did you mean \"reviews\"?")
    #expect(Suggestion.question("reviewz", among: ["zebra"]) == "")
  }
}
