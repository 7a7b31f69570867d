// What may stand where the cursor is. One engine for all shells: their scripts ask it and show what it says.
import WeftBase

/// One word that may follow, and what it means.
struct CompletionWord: Sendable, Equatable {
  var word: String
  var text = ""
}

/// Finds what the last of some words may become.
struct Completion: Sendable {
  /// What only the control plane knows; every answer may be empty.
  struct Mesh: Sendable {
    var kinds: @Sendable () async -> [String]
    var names: @Sendable (_ kind: String, _ namespace: String) async -> [String]
    var proxies: @Sendable () async -> [String]
  }

  enum Answer: Sendable, Equatable {
    case words([CompletionWord])
    /// The shell knows the files.
    case files
  }

  var mesh: Mesh

  /// *Parameter* `words`: what stands after `weft`; the last one, maybe empty, is being written.
  func answer(_ words: [String]) async -> Answer {
    let words = Self.joined(words)
    guard let current = words.last else { return .words([]) }
    let before = Array(words.dropLast())
    guard let (command, rest) = CommandLineTool.find(before) else { return .words(Self.commands(before, current)) }
    if rest.contains("--") { return .files }
    if let flag = Self.flag(in: rest.last, of: command) {
      return Self.values(of: flag, attached: nil, current)
    }
    if current.hasPrefix("--"), let equals = current.firstIndex(of: "=") {
      guard let flag = Self.flag(in: String(current[..<equals]), of: command) else { return .words([]) }
      let attached = String(current[...equals])
      return Self.values(of: flag, attached: attached, String(current.dropFirst(attached.count)))
    }
    if current.hasPrefix("-") { return .words(Self.flags(of: command, given: rest, current)) }
    // A command may go on: `proxy` has `status`.
    let deeper = Self.commands(before, current)
    if !deeper.isEmpty { return .words(deeper) }
    return await operands(of: command, rest, current)
  }

  /// bash takes `--output=yaml` apart.
  private static func joined(_ words: [String]) -> [String] {
    var result: [String] = []
    for word in words {
      if let last = result.last, word == "=" || (last.hasPrefix("--") && last.hasSuffix("=")) {
        result[result.count - 1] = last + word
      } else {
        result.append(word)
      }
    }
    return result
  }

  private static func commands(_ before: [String], _ current: String) -> [CompletionWord] {
    var seen: Set<String> = []
    return Commands.all.compactMap { command in
      guard command.path.count > before.count, command.path.starts(with: before) else { return nil }
      let word = command.path[before.count]
      guard word.hasPrefix(current), seen.insert(word).inserted else { return nil }
      return CompletionWord(word: word, text: command.path.count == before.count + 1 ? command.summary : "")
    }
  }

  /// The flag that a word names and that waits for its value in the next one.
  private static func flag(in word: String?, of command: any Command.Type) -> Flag? {
    guard let word, word.hasPrefix("-"), !word.contains("=") else { return nil }
    return command.allFlags.first { flag in
      switch flag.value {
      case .none, .optional: false
      case .one, .many, .choice: word == "--\(flag.name)" || flag.short.map { word == "-\($0)" } ?? false
      }
    }
  }

  private static func flags(
    of command: any Command.Type, given rest: [String], _ current: String
  ) -> [CompletionWord] {
    command.allFlags.filter { flag in
      if case .many = flag.value { return true }
      return !rest.contains { $0 == "--\(flag.name)" || $0.hasPrefix("--\(flag.name)=") }
    }.map { CompletionWord(word: "--\($0.name)", text: $0.help) }.filter { $0.word.hasPrefix(current) }
  }

  private static func values(of flag: Flag, attached: String?, _ current: String) -> Answer {
    switch flag.value {
    case .choice(let names): .words(matching(names, current, prefix: attached ?? ""))
    case .one("FILE"), .many("FILE"), .one("DIR"), .many("DIR"): .files
    default: .words([])
    }
  }

  private func operands(of command: any Command.Type, _ rest: [String], _ current: String) async -> Answer {
    let given = Self.positionals(rest, command)
    switch command.completes {
    case .nothing: return .words([])
    case .files: return .files
    case .words(let words): return .words(given.isEmpty ? Self.matching(words, current) : [])
    case .proxies(let several):
      return .words(given.isEmpty || several ? Self.matching(await mesh.proxies(), current) : [])
    case .objects(let several):
      // Behind `-f` stand files.
      if rest.contains("-f") || rest.contains("--filename") { return .files }
      if let slash = current.firstIndex(of: "/") {
        let kind = String(current[..<slash])
        let names = await mesh.names(kind, Self.namespace(rest)).map { "\(kind)/\($0)" }
        return .words(Self.matching(names, current))
      }
      guard let kind = given.first else {
        let head = current.lastIndex(of: ",").map { String(current[...$0]) } ?? ""
        let kinds = await mesh.kinds()
        return .words(Self.matching(kinds, String(current.dropFirst(head.count)), prefix: head))
      }
      guard !kind.contains("/"), several || given.count == 1 else { return .words([]) }
      let names = await mesh.names(kind, Self.namespace(rest)).filter { !given.contains($0) }
      return .words(Self.matching(names, current))
    }
  }

  private static func positionals(_ rest: [String], _ command: any Command.Type) -> [String] {
    var result: [String] = []
    var isValue = false
    for word in rest {
      if isValue {
        isValue = false
      } else if word.hasPrefix("-") {
        isValue = flag(in: word, of: command) != nil
      } else {
        result.append(word)
      }
    }
    return result
  }

  private static func namespace(_ rest: [String]) -> String {
    for (index, word) in rest.enumerated() {
      if word == "-n" || word == "--namespace", index + 1 < rest.count { return rest[index + 1] }
      if word.hasPrefix("--namespace=") { return String(word.dropFirst(12)) }
    }
    return "default"
  }

  private static func matching(_ words: [String], _ current: String, prefix: String = "") -> [CompletionWord] {
    words.filter { $0.hasPrefix(current) }.map { CompletionWord(word: prefix + $0) }
  }
}

extension Completion.Mesh {
  /// Asks a control plane, shortly: whoever waits for a completion waits at a prompt.
  init(_ control: ControlClient) {
    let limit = Duration.seconds(2)
    kinds = {
      let items = (try? await control.get("/api/v1/kinds", within: limit))?["items"]?.arrayValue ?? []
      return items.compactMap { $0["plural"]?.stringValue } + ["services", "workloads"]
    }
    names = { kind, namespace in
      let query = "?namespace=\(encoded(namespace))"
      switch kind.lowercased() {
      case "services", "service", "svc":
        let items = (try? await control.get("/api/v1/services\(query)", within: limit))?["items"]?.arrayValue ?? []
        return items.compactMap { $0["host"]?.stringValue }
      case "workloads", "workload", "wl":
        let items = (try? await control.get("/api/v1/workloads\(query)", within: limit))?["items"]?.arrayValue ?? []
        return items.compactMap { $0["id"]?.stringValue }
      default:
        let path = "/api/v1/objects/\(encoded(kind))\(query)"
        let items = (try? await control.get(path, within: limit))?["items"]?.arrayValue ?? []
        return items.compactMap { $0["metadata"]?["name"]?.stringValue }
      }
    }
    proxies = {
      let items = (try? await control.get("/api/v1/proxies", within: limit))?["items"]?.arrayValue ?? []
      return items.compactMap { $0["id"]?.stringValue }
    }
  }
}
