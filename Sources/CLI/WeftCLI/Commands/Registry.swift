// Every command, sorted by its words. A test checks order and uniqueness.

package enum Commands {
  package static let all: [any Command.Type] = [
    ApplyCommand.self,
    BackupCommand.self,
    CheckCommand.self,
    CompletionCommand.self,
    DeleteCommand.self,
    DiffCommand.self,
    GetCommand.self,
    HistoryCommand.self,
    ProxyConfigCommand.self,
    ProxyStatusCommand.self,
    RollbackCommand.self,
    RunCommand.self,
    UpCommand.self,
    VersionCommand.self,
  ]
}
