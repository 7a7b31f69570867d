import Glibc

/// The real weft-control as a child process.
/// *Threads*: `killOnce` from any; the rest from one.
final class ControlProgram: Sendable {
  let process: pid_t
  let api: String
  let xds: String

  struct CannotStart: Error, CustomStringConvertible {
    var description: String
  }

  /// Starts the program built beside the tests on free ports and waits until it says which.
  init(dataDirectory: String) throws {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let length = unsafe buffer.withUnsafeMutableBytes { raw in
      unsafe readlink("/proc/self/exe", raw.baseAddress!.assumingMemoryBound(to: CChar.self), raw.count)
    }
    var own = String(decoding: buffer[..<max(length, 0)], as: UTF8.self)
    if !own.contains(".build"), let argument = CommandLine.arguments.first(where: { $0.contains(".build") }) {
      own = argument
    }
    let program = own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/weft-control"
    guard unsafe access(String(program), X_OK) == 0 else {
      throw CannotStart(description: "\(program) is not built")
    }
    var ends: [Int32] = [0, 0]
    guard unsafe pipe(&ends) == 0 else { throw CannotStart(description: "no pipe") }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    unsafe posix_spawn_file_actions_addclose(&actions, ends[0])
    let words = [
      String(program), "--api-address", "127.0.0.1:0", "--xds-address", "127.0.0.1:0", "--data-dir", dataDirectory,
      "--log-level", "error",
    ]
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var child: pid_t = 0
    let code = unsafe posix_spawn(&child, String(program), &actions, nil, &arguments, environ)
    close(ends[1])
    process = child
    guard code == 0 else { throw CannotStart(description: "posix_spawn: \(code)") }
    var text = ""
    var block = [UInt8](repeating: 0, count: 512)
    while !text.contains("pid=") {
      let count = unsafe block.withUnsafeMutableBytes { unsafe read(ends[0], $0.baseAddress, $0.count) }
      guard count > 0 else { throw CannotStart(description: "it ended: \(text)") }
      text += String(decoding: block[..<count], as: UTF8.self)
    }
    close(ends[0])
    func value(_ name: String) -> String {
      text.split(separator: "\n").first { $0.hasPrefix("\(name)=") }.map { String($0.dropFirst(name.count + 1)) } ?? ""
    }
    api = value("api")
    xds = value("xds")
  }

  /// SIGKILL; harmless when it was sent before, because the process is not reaped until `end`.
  func killOnce() { kill(process, SIGKILL) }

  /// Sends a signal and waits for the end. Returns the exit code, or minus the signal that ended it.
  @discardableResult
  func end(with number: Int32) -> Int32 {
    kill(process, number)
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status & 0x7F == 0 ? status >> 8 & 0xFF : -(status & 0x7F)
  }
}
