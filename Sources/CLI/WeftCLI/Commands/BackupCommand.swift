import Glibc

/// `weft backup FILE`.
enum BackupCommand: Command {
  static let path = ["backup"]
  static let summary = "copy the store of a control plane on this machine to a file"
  static let operands = "FILE"
  static let completes = Operands.files
  static let discussion = """
    The copy is one file, whole and of one moment; a control plane that uses the store goes on. An older copy of that name stays until
    the new one is complete.

      weft backup /backup/weft.db

    To go back to it, stop the control plane, put the copy where store.db is (without store.db-wal and store.db-shm beside it), and
    start it again. It tells that it holds less than before; proxies are given what the copy says.
    """
  static let flags: [Flag] = [UpCommand.data]

  static func run(_ arguments: Arguments, _ context: CommandContext) async throws -> ExitCode {
    guard let file = arguments.positionals.first, arguments.positionals.count == 1 else {
      throw UsageError("name one file to write")
    }
    let data = UpCommand.dataDirectory(arguments, context)
    try Siblings.become("weft-control", ["--data-dir", data, "--backup", file], context)
  }
}
