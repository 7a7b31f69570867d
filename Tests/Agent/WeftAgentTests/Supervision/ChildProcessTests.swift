import Glibc
import Testing
import WeftTestKit

@testable import WeftAgent

@Suite("child processes")
struct ChildProcessTests {
  static let endings: [([String], Int32)] = [
    (["/bin/true"], 0), (["/bin/false"], 1), (["/bin/sh", "-c", "exit 42"], 42),
    (["/bin/sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "exit 3"], 3),
  ]

  @Test("an exit code is reported as a shell would", arguments: endings)
  func reportsExit(words: [String], code: Int32) async throws {
    let child = try ChildProcess.start(words, name: "child", environment: ["PATH": "/usr/bin:/bin"])
    #expect(await child.exit()?.code == code)
    #expect(child.status?.code == code)
  }

  @Test("a program that does not exist is refused with its name")
  func refusesMissing() {
    #expect(throws: SpawnError(program: "/no/such/program", code: ENOENT)) {
      try ChildProcess.start(["/no/such/program"], name: "x", environment: [:])
    }
    #expect(SpawnError(program: "x", code: ENOENT).description.contains("PATH"))
  }

  @Test("the environment is exactly the one given")
  func passesEnvironment() async throws {
    let child = try ChildProcess.start(
      ["/bin/sh", "-c", "[ \"$WEFT_A\" = 'b c' ] && [ -z \"$HOME\" ]"], name: "x", environment: ["WEFT_A": "b c"])
    #expect(await child.exit() == .exited(0))
  }

  @Test("terminate ends a child that stops when asked")
  func terminates() async throws {
    let child = try ChildProcess.start(["/bin/sleep", "600"], name: "x", environment: [:])
    #expect(await child.end(grace: .seconds(30)) == .signalled(SIGTERM))
  }

  @Test("terminate kills the whole group of a child that does not listen")
  func kills() async throws {
    let (directory, path) = Self.outputFile()
    defer { withExtendedLifetime(directory) {} }
    let child = try ChildProcess.start(
      ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do /bin/sleep 600; done"], name: "x", environment: [:],
      output: path)
    // It listens to nobody once it has said so.
    let deadline = ContinuousClock.now + .seconds(20)
    while Self.text(path).isEmpty, ContinuousClock.now < deadline { await Task.yield() }
    #expect(await child.end(grace: .milliseconds(200)) == .signalled(SIGKILL))
  }

  @Test("waiting ends when the waiting task is cancelled, and the child lives on")
  func waitingIsCancellable() async throws {
    let child = try ChildProcess.start(["/bin/sleep", "600"], name: "x", environment: [:])
    let waiting = Task { await child.exit() }
    waiting.cancel()
    #expect(await waiting.value == nil)
    #expect(child.status == nil)
    _ = await child.end(grace: .seconds(5))
  }

  @Test("free ports differ, and nobody listens on them")
  func freePorts() async throws {
    let ports = try #require(Ports.free(8))
    #expect(Set(ports).count == 8)
    for port in ports {
      #expect(Ports.isFree(port))
      #expect(await !Ports.answers(port))
    }
  }

  private static func outputFile() -> (TemporaryDirectory, path: String) {
    let directory = TemporaryDirectory()
    directory.write("output", "")
    return (directory, directory.file("output"))
  }

  private static func text(_ path: String) -> String {
    let file = unsafe open(path, O_RDONLY)
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
  }

  @Test("an application that is slow to stop gets the signal once, then SIGKILL")
  func oneSignal() async throws {
    let (directory, path) = Self.outputFile()
    defer { withExtendedLifetime(directory) {} }
    let child = try ChildProcess.start(
      ["/bin/sh", "-c", "trap 'echo term' TERM; echo ready; while :; do /bin/sleep 0.01; done"], name: "x",
      environment: [:], output: path)
    let deadline = ContinuousClock.now + .seconds(20)
    while !Self.text(path).contains("ready"), ContinuousClock.now < deadline { await Task.yield() }
    #expect(await child.end(with: SIGTERM, grace: .milliseconds(300)) == .signalled(SIGKILL))
    #expect(Self.text(path).split(separator: "\n").filter { $0 == "term" }.count == 1)
  }

  @Test("what a program leaves behind when it ends is ended with it")
  func orphans() async throws {
    let (directory, path) = Self.outputFile()
    defer { withExtendedLifetime(directory) {} }
    let child = try ChildProcess.start(
      ["/bin/sh", "-c", "/bin/sleep 600 & echo $!"], name: "x", environment: [:], output: path)
    #expect(await child.exit() == .exited(0))
    let orphan = try #require(Int32(Self.text(path).split(separator: "\n").first ?? ""))
    #expect(kill(orphan, 0) == 0)
    #expect(await child.end(grace: .seconds(1)) == .exited(0))
    // Where nobody collects orphans it may stay as a dead entry of the process table.
    let isGone = kill(orphan, 0) != 0
    let status = unsafe fopen("/proc/\(orphan)/stat", "r")
    defer { if let status = unsafe status { unsafe fclose(status) } }
    var line = [CChar](repeating: 0, count: 256)
    if !isGone, let status = unsafe status { _ = unsafe fgets(&line, 256, status) }
    let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      .split(separator: " ")
    #expect(isGone || (words.count > 2 && words[2] == "Z"))
  }

  @Test("a port with a listener answers and is not free")
  func listening() async throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe (bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0)
      }
    }
    #expect(bound && listen(descriptor, 1) == 0)
    let port = UInt16(bigEndian: address.sin_port)
    #expect(await Ports.answers(port))
    #expect(!Ports.isFree(port))
  }
}
