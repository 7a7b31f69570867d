/// `weft completion bash|zsh|fish`: scripts that ask `weft completion candidates` what may follow.
enum CompletionCommand: Command {
  static let path = ["completion"]
  static let summary = "print completions for a shell"
  static let operands = "bash|zsh|fish"
  static let completes = Operands.words(["bash", "zsh", "fish"])
  static let discussion = """
    bash:  source <(weft completion bash)
    zsh:   source <(weft completion zsh)
    fish:  weft completion fish | source

    Commands, flags and their values are completed, and what the control plane knows: kinds, names of objects, proxies.
    """
  static let flags: [Flag] = [.control]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    switch arguments.positionals {
    case ["bash"]: context.terminal.print(bash)
    case ["zsh"]: context.terminal.print(zsh)
    case ["fish"]: context.terminal.print(fish)
    case ["candidates"]:
      let words = arguments.rest ?? []
      let answer = try await ControlClient.with(arguments, context) { control in
        await Completion(mesh: Completion.Mesh(control)).answer(words)
      }
      context.terminal.print(text(answer))
    default: throw UsageError("name one shell: bash, zsh or fish")
    }
    return .success
  }

  /// One word a line, what it means behind a tab; `:files` leaves it to the shell.
  static func text(_ answer: Completion.Answer) -> String {
    switch answer {
    case .files: ":files"
    case .words(let words):
      words.map { $0.text.isEmpty ? $0.word : "\($0.word)\t\($0.text)" }.joined(separator: "\n")
    }
  }

  private static let bash = """
    _weft() {
      local IFS=$'\\n' current="${COMP_WORDS[COMP_CWORD]}" found
      found=($("${COMP_WORDS[0]}" completion candidates -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
      if [[ "${found[0]}" == ':files' ]]; then
        COMPREPLY=($(compgen -f -- "$current"))
        return
      fi
      COMPREPLY=("${found[@]%%$'\\t'*}")
      # bash takes a word apart at '=' and replaces only what follows it.
      [[ "$current" == '=' || "${COMP_WORDS[COMP_CWORD-1]}" == '=' ]] && COMPREPLY=("${COMPREPLY[@]#*=}")
    }
    complete -o filenames -F _weft weft
    """

  private static let zsh = """
    _weft() {
      local -a found
      found=("${(@f)$("${words[1]}" completion candidates -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
      if [[ "${found[1]}" == ':files' ]]; then
        _files
      else
        compadd -- "${(@)found%%$'\\t'*}"
      fi
    }
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _weft weft
    """

  private static let fish = """
    function __weft_candidates
      set -l words (commandline -opc) (commandline -ct)
      set -l found ($words[1] completion candidates -- $words[2..-1] 2>/dev/null)
      if test "$found[1]" = ':files'
        __fish_complete_path (commandline -ct)
      else
        printf '%s\\n' $found
      end
    end
    complete -c weft -f -a '(__weft_candidates)'
    """
}
