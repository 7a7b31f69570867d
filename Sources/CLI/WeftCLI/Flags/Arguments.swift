// Parsed arguments of one command.
import WeftBase

/// Why a command line cannot be understood: one sentence, and where to look.
package struct UsageError: Error, Equatable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) {
    self.description = description
  }
}

/// The flags and positional arguments a command was called with.
///
/// *Shape*: `--flag value`, `--flag=value`, `-f value`, `-fvalue`; `--` ends the flags and everything after it is kept apart in `rest`.
package struct Arguments: Sendable, Equatable {
  package private(set) var positionals: [String] = []
  /// What stood after `--`; nil when there was no `--`.
  package private(set) var rest: [String]?
  private var values: [String: [String]] = [:]
  private let flags: [Flag]

  /// Parses `words` by the definitions in `flags`.
  package init(_ words: [String], flags: [Flag]) throws(UsageError) {
    self.flags = flags
    var index = 0
    while index < words.count {
      let word = words[index]
      index += 1
      if word == "--" {
        rest = Array(words[index...])
        break
      }
      if word.hasPrefix("--") {
        let body = word.dropFirst(2)
        let name = String(body.prefix { $0 != "=" })
        let attached = body.count > name.count ? String(body.dropFirst(name.count + 1)) : nil
        guard let flag = flags.first(where: { $0.name == name }) else { throw Self.unknown("--\(name)", flags) }
        try take(flag, shown: "--\(name)", attached: attached, from: words, at: &index)
      } else if word.hasPrefix("-"), word.count > 1 {
        let letter = word[word.index(after: word.startIndex)]
        guard let flag = flags.first(where: { $0.short == letter }) else { throw Self.unknown("-\(letter)", flags) }
        let attached = word.count > 2 ? String(word.dropFirst(2)) : nil
        try take(flag, shown: "-\(letter)", attached: attached, from: words, at: &index)
      } else {
        positionals.append(word)
      }
    }
  }

  private mutating func take(
    _ flag: Flag, shown: String, attached: String?, from words: [String], at index: inout Int
  ) throws(UsageError) {
    if flag.value == .none {
      guard attached == nil else { throw UsageError("\(shown) takes no value") }
      values[flag.name] = ["true"]
      return
    }
    if case .optional = flag.value {
      values[flag.name] = attached.map { [$0] } ?? []
      return
    }
    var value = attached
    if value == nil, index < words.count {
      value = words[index]
      index += 1
    }
    guard let value else { throw UsageError("\(shown) needs a value") }
    switch flag.value {
    case .choice(let names) where !names.contains(value):
      throw UsageError("\(shown) is one of \(names.joined(separator: ", ")), not '\(value)'")
    case .many: values[flag.name, default: []].append(value)
    default:
      guard values[flag.name] == nil else { throw UsageError("\(shown) is given twice") }
      values[flag.name] = [value]
    }
  }

  private static func unknown(_ shown: String, _ flags: [Flag]) -> UsageError {
    let near = flags.map { "--\($0.name)" }.filter { Suggestion.distance($0, shown) <= 2 }.first
    return UsageError("unknown flag \(shown)" + (near.map { "; did you mean \($0)?" } ?? ""))
  }

  /// Whether a flag without a value was given.
  package func has(_ flag: Flag) -> Bool {
    values[flag.name] != nil
  }

  /// Whether a flag was given at all, so that its default does not count.
  package func isGiven(_ flag: Flag) -> Bool {
    values[flag.name] != nil
  }

  /// The value given, else the flag's default.
  package func value(_ flag: Flag) -> String? {
    values[flag.name]?.last ?? flag.defaultValue
  }

  /// Every value given for a flag that may repeat; comma-separated values are split.
  package func all(_ flag: Flag) -> [String] {
    (values[flag.name] ?? []).flatMap { $0.split(separator: ",").map(String.init) }
  }

  /// A value that must be there.
  package func required(_ flag: Flag) throws(UsageError) -> String {
    guard let value = value(flag) else { throw UsageError("--\(flag.name) is required") }
    return value
  }

  /// A value that must be a whole number in a range.
  package func number(_ flag: Flag, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
    guard let text = value(flag) else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw UsageError(
        "--\(flag.name) is a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
    }
    return number
  }
}
