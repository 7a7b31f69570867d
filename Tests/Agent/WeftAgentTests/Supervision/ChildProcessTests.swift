import Glibc
import Testing

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
    #expect(await child.terminate(grace: .seconds(30)) == .signalled(SIGTERM))
  }

  @Test("terminate kills the whole group of a child that does not listen")
  func kills() async throws {
    var template = Array("/tmp/weft-child-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    defer { close(descriptor) }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unsafe unlink(path) }
    let child = try ChildProcess.start(
      ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do /bin/sleep 600; done"], name: "x", environment: [:],
      output: path)
    // It listens to nobody once it has said so.
    let deadline = ContinuousClock.now + .seconds(20)
    while lseek(descriptor, 0, SEEK_END) == 0, ContinuousClock.now < deadline { await Task.yield() }
    #expect(await child.terminate(grace: .milliseconds(200)) == .signalled(SIGKILL))
  }

  @Test("waiting ends when the waiting task is cancelled, and the child lives on")
  func waitingIsCancellable() async throws {
    let child = try ChildProcess.start(["/bin/sleep", "600"], name: "x", environment: [:])
    let waiting = Task { await child.exit() }
    waiting.cancel()
    #expect(await waiting.value == nil)
    #expect(child.status == nil)
    _ = await child.terminate(grace: .seconds(5))
  }

  @Test("free ports differ, and nobody listens on them")
  func freePorts() throws {
    let ports = try #require(Ports.free(8))
    #expect(Set(ports).count == 8)
    #expect(!ports.contains { Ports.answers(host: "127.0.0.1", port: $0) })
  }
}
