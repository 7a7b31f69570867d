/// How one string is compared with another.
package struct StringMatcher: Hashable, Sendable {
  package enum Pattern: Hashable, Sendable {
    case exact(String), prefix(String), suffix(String), contains(String)
    /// RE2 syntax; the whole string must match.
    case regex(String)
  }
  package var pattern: Pattern
  /// Ignore the case of ASCII letters. Has no effect on `regex`.
  package var ignoreCase: Bool
  package init(_ pattern: Pattern, ignoreCase: Bool = false) {
    self.pattern = pattern
    self.ignoreCase = ignoreCase
  }
}

/// A condition on one request or response header. Repeated fields count as one value, joined with `,`.
package struct HeaderMatcher: Hashable, Sendable {
  package enum Condition: Hashable, Sendable {
    /// Present (`true`) or absent (`false`).
    case present(Bool)
    case string(StringMatcher)
    /// A base-10 integer in `[start, end)`.
    case range(start: Int64, end: Int64)
  }
  package var name: String
  package var condition: Condition
  /// Inverts the result. A missing header still fails, unless `treatMissingAsEmpty`.
  package var invert: Bool
  package var treatMissingAsEmpty: Bool
  package init(name: String, _ condition: Condition, invert: Bool = false, treatMissingAsEmpty: Bool = false) {
    self.name = name
    self.condition = condition
    self.invert = invert
    self.treatMissingAsEmpty = treatMissingAsEmpty
  }
}

/// A condition on the first value of a query parameter, which is compared without being decoded.
package struct QueryParameterMatcher: Hashable, Sendable {
  package enum Condition: Hashable, Sendable {
    case present(Bool)
    case string(StringMatcher)
  }
  package var name: String
  package var condition: Condition
  package init(name: String, _ condition: Condition) {
    self.name = name
    self.condition = condition
  }
}

/// A regular expression (RE2) and what each match becomes; `\1` … `\9` name groups.
package struct RegexRewrite: Hashable, Sendable {
  package var pattern: String
  package var substitution: String
  package init(pattern: String, substitution: String) {
    self.pattern = pattern
    self.substitution = substitution
  }
}
