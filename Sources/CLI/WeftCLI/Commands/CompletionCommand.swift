/// `weft completion bash|zsh|fish`: completions made from the commands' definitions.
enum CompletionCommand: Command {
  static let path = ["completion"]
  static let summary = "print completions for a shell"
  static let operands = "bash|zsh|fish"
  static let discussion = """
    bash:  source <(weft completion bash)
    zsh:   source <(weft completion zsh)
    fish:  weft completion fish | source
    """
  static let flags: [Flag] = []

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    switch arguments.positionals {
    case ["bash"]: context.terminal.print(bash())
    case ["zsh"]: context.terminal.print("autoload -U +X bashcompinit && bashcompinit\n" + bash())
    case ["fish"]: context.terminal.print(fish())
    default: throw UsageError("name one shell: bash, zsh or fish")
    }
    return .success
  }

  private static func bash() -> String {
    var cases = ""
    for command in Commands.all {
      let words = command.allFlags.map { "--\($0.name)" }.joined(separator: " ")
      cases += "    '\(command.name)') words='\(words)' ;;\n"
    }
    let names = Commands.all.map { $0.name }
    let firsts = unique(names.map { String($0.prefix { $0 != " " }) }).joined(separator: " ")
    var seconds = ""
    for first in unique(names.filter { $0.contains(" ") }.map { String($0.prefix { $0 != " " }) }) {
      let words = names.filter { $0.hasPrefix(first + " ") }.map { String($0.dropFirst(first.count + 1)) }
      seconds += "    '\(first)') words='\(words.joined(separator: " "))' ;;\n"
    }
    return """
      _weft() {
        local current="${COMP_WORDS[COMP_CWORD]}" line="${COMP_WORDS[*]:1:COMP_CWORD-1}" words=''
        line="${line%% -*}"
        case "$line" in
          '') words='\(firsts)' ;;
      \(seconds)\(cases)  esac
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        [[ ${#COMPREPLY[@]} -eq 0 ]] && COMPREPLY=($(compgen -f -- "$current"))
      }
      complete -F _weft weft
      """
  }

  private static func fish() -> String {
    var lines = ["complete -c weft -f"]
    for command in Commands.all where command.path.count == 1 {
      lines.append("complete -c weft -n __fish_use_subcommand -a \(command.name) -d '\(escaped(command.summary))'")
    }
    for command in Commands.all {
      let condition = command.path.map { "__fish_seen_subcommand_from \($0)" }.joined(separator: "; and ")
      for flag in command.allFlags {
        let short = flag.short.map { " -s \($0)" } ?? ""
        let takes =
          switch flag.value {
          case .none, .optional: ""
          case .choice(let names): " -x -a '\(names.joined(separator: " "))'"
          case .one, .many: " -r"
          }
        lines.append("complete -c weft -n '\(condition)' -l \(flag.name)\(short)\(takes) -d '\(escaped(flag.help))'")
      }
    }
    for command in Commands.all where command.path.count == 2 {
      lines.append(
        "complete -c weft -n '__fish_seen_subcommand_from \(command.path[0])' -a \(command.path[1]) "
          + "-d '\(escaped(command.summary))'")
    }
    return lines.joined(separator: "\n")
  }

  private static func escaped(_ text: String) -> String {
    text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "\\'")
  }

  private static func unique(_ words: [String]) -> [String] {
    words.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }
}
