// Every command, sorted by its words. A test checks order and uniqueness.

package enum Commands {
  package static let all: [any Command.Type] = [
    CompletionCommand.self,
    VersionCommand.self,
  ]
}
