import Glibc
import Testing
import WeftBase
import WeftTelemetry

@Suite("access-log files")
struct AccessLogFileTests {
  static func path(_ name: String) -> String { "/tmp/weft-log-\(getpid())-\(UInt64.random(in: 0 ... .max))-\(name)" }

  static func contents(_ path: String) -> String {
    guard let file = unsafe fopen(path, "r") else { return "" }
    defer { unsafe fclose(file) }
    var bytes: [UInt8] = []
    while true {
      let byte = unsafe fgetc(file)
      if byte == EOF { return String(decoding: bytes, as: UTF8.self) }
      bytes.append(UInt8(truncatingIfNeeded: byte))
    }
  }

  static func append(_ text: String, to file: AccessLogFile, worker: Int = 0) -> Bool {
    text.withByteView { file.append($0, worker: worker) }
  }

  @Test("lines of one worker stay in order, and one path is opened once")
  func order() throws {
    let path = Self.path("order")
    defer { unsafe unlink(path) }
    let files = AccessLogFiles(workers: 2)
    let file = try files.file(.file(path: path))
    #expect(try files.file(.file(path: path)) === file)
    for i in 0..<100 { #expect(Self.append("line \(i)\n", to: file)) }
    files.flush()
    #expect(Self.contents(path) == (0..<100).map { "line \($0)\n" }.joined())
  }

  @Test("what does not fit is dropped whole, and room comes back")
  func overflow() throws {
    let path = Self.path("overflow")
    defer { unsafe unlink(path) }
    let files = AccessLogFiles(workers: 1)
    let file = try files.file(.file(path: path))
    let line = String(repeating: "x", count: 999) + "\n"
    var kept = 0
    while Self.append(line, to: file) { kept += 1 }
    #expect(kept == AccessLogFile.ringBytes / 1000)
    files.flush()
    #expect(Self.append(line, to: file))
    files.flush()
    #expect(Self.contents(path).utf8.count == (kept + 1) * 1000)
  }

  @Test("reopening follows a rotated file")
  func rotation() throws {
    let path = Self.path("rotation")
    defer {
      unsafe unlink(path)
      unsafe unlink(path + ".1")
    }
    let files = AccessLogFiles(workers: 1)
    let file = try files.file(.file(path: path))
    #expect(Self.append("old\n", to: file))
    files.flush()
    unsafe rename(path, path + ".1")
    #expect(Self.append("new\n", to: file))
    files.reopen()
    files.flush()
    #expect(Self.contents(path + ".1") == "old\n" && Self.contents(path) == "new\n")
  }

  @Test("a path that cannot be opened is refused with the system's reason")
  func refused() {
    let files = AccessLogFiles(workers: 1)
    let error = #expect(throws: WeftError.self) { try files.file(.file(path: "/nonexistent/dir/log")) }
    #expect(error?.message.contains("No such file") == true)
  }

  @Test("the writing thread writes what waits before it stops")
  func thread() async throws {
    let path = Self.path("thread")
    defer { unsafe unlink(path) }
    let files = AccessLogFiles(workers: 1, interval: .milliseconds(1))
    let file = try files.file(.file(path: path))
    async let written: Void = Task.detached { files.run() }.value
    for i in 0..<50 { #expect(Self.append("\(i)\n", to: file)) }
    files.stop()
    await written
    #expect(Self.contents(path).split(separator: "\n").count == 50)
  }
}
