import Glibc

/// The other programs of Weft: beside this one, else on PATH.
enum Siblings {
  static func find(_ name: String, _ context: CommandContext) -> String? {
    var directories: [String] = []
    if let slash = context.program.lastIndex(of: "/") { directories.append(String(context.program[..<slash])) }
    if let own = ownDirectory() { directories.append(own) }
    directories += (context.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    return directories.map { "\($0)/\(name)" }.first { unsafe access($0, X_OK) == 0 }
  }

  /// *Errors*: it is not there.
  static func required(_ name: String, _ context: CommandContext) throws -> String {
    guard let program = find(name, context) else {
      throw Unavailable("\(name) is neither beside weft nor on PATH; 'make release' builds it")
    }
    return program
  }

  /// Runs another program in place of this one: signals and exit code are its own. *Errors*: it is not there or cannot be started.
  static func become(_ name: String, _ arguments: [String], _ context: CommandContext) throws -> Never {
    let program = try required(name, context)
    var pointers = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    unsafe execv(program, &pointers)
    throw Unavailable("cannot start \(program): \(unsafe String(cString: strerror(errno)))")
  }

  /// Where the running program really lies, links followed.
  private static func ownDirectory() -> String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = unsafe buffer.withUnsafeMutableBytes { raw -> Int in
      guard let base = raw.baseAddress else { return -1 }
      return unsafe readlink("/proc/self/exe", base.assumingMemoryBound(to: CChar.self), raw.count)
    }
    guard count > 0, let slash = buffer[..<count].lastIndex(of: UInt8(ascii: "/")) else { return nil }
    return String(decoding: buffer[..<slash], as: UTF8.self)
  }
}
