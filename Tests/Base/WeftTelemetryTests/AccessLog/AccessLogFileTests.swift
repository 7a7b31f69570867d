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

  private static func small(chunk: Int, limit: Int, interval: Duration = .seconds(1)) -> AccessLogFiles.Options {
    var options = AccessLogFiles.Options()
    options.chunkBytes = chunk
    options.waitingLimit = limit
    options.interval = interval
    return options
  }

  @Test("a burst of many chunks survives whole, long lines included, and the room comes back", arguments: [1, 3])
  func burst(workers: Int) throws {
    let path = Self.path("burst")
    defer { unsafe unlink(path) }
    let metrics = MetricsRegistry(workers: workers)
    let files = AccessLogFiles(workers: workers, Self.small(chunk: 4096, limit: 1 << 20), metrics: metrics)
    let file = try files.file(.file(path: path))
    for _ in 0..<3 {
      for i in 0..<5000 {
        let tail = i % 1000 == 999 ? String(repeating: "y", count: 10_000) : ""
        #expect(Self.append("\(i) of worker \(i % workers) \(tail)\n", to: file, worker: i % workers))
      }
      files.flush()
    }
    let lines = Self.contents(path).split(separator: "\n")
    #expect(lines.count == 15_000)
    for worker in 0..<workers {
      let numbers = lines.filter { $0.contains(" of worker \(worker) ") }.compactMap { Int($0.prefix { $0 != " " }) }
      let expected = (0..<5000).filter { $0 % workers == worker }
      #expect(numbers == expected + expected + expected, "in order, none lost")
    }
    let scope = metrics.scope(ScopeKey(.accessLogFile))
    #expect(metrics.value(AccessLogFileMetric.writeBuffered, scope) == 15_000)
    #expect(metrics.value(AccessLogFileMetric.dropped, scope) == 0)
    #expect(metrics.value(AccessLogFileMetric.writeTotalBuffered, scope) == 0)
  }

  @Test("past the limit lines are dropped whole and counted; room comes back")
  func overflow() throws {
    let path = Self.path("overflow")
    defer { unsafe unlink(path) }
    let metrics = MetricsRegistry(workers: 1)
    let files = AccessLogFiles(workers: 1, Self.small(chunk: 4000, limit: 40_000), metrics: metrics)
    let file = try files.file(.file(path: path))
    let line = String(repeating: "x", count: 999) + "\n"
    var kept = 0
    while Self.append(line, to: file) { kept += 1 }
    #expect(kept == 40)
    files.flush()
    #expect(Self.append(line, to: file))
    files.flush()
    #expect(Self.contents(path).utf8.count == (kept + 1) * 1000)
    #expect(metrics.value(AccessLogFileMetric.dropped, metrics.scope(ScopeKey(.accessLogFile))) == 1)
  }

  @Test("a reader of a stream that takes nothing costs no line: they wait for it")
  func slowStream() throws {
    let path = Self.path("fifo")
    defer { unsafe unlink(path) }
    #expect(unsafe mkfifo(path, 0o600) == 0)
    let reader = unsafe open(path, O_RDONLY | O_NONBLOCK)
    defer { _ = close(reader) }
    let files = AccessLogFiles(workers: 1, Self.small(chunk: 4096, limit: 1 << 20))
    let file = try files.file(.file(path: path))
    for i in 0..<20_000 { #expect(Self.append("line \(i)\n", to: file)) }
    var got: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    let expected = Array((0..<20_000).map { "line \($0)\n" }.joined().utf8)
    for _ in 0..<100 where got.count < expected.count {
      files.flush()
      while case let n = unsafe read(reader, &chunk, chunk.count), n > 0 { got += chunk[..<n] }
    }
    #expect(got.count == expected.count && got == expected)
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

  @Test("the writing thread writes what waits before it stops, however long the interval")
  func thread() async throws {
    let path = Self.path("thread")
    defer { unsafe unlink(path) }
    let files = AccessLogFiles(workers: 1, Self.small(chunk: 4096, limit: 1 << 20, interval: .seconds(600)))
    let file = try files.file(.file(path: path))
    async let written: Void = Task.detached { files.run() }.value
    for i in 0..<50 { #expect(Self.append("\(i)\n", to: file)) }
    files.stop()
    await written
    #expect(Self.contents(path).split(separator: "\n").count == 50)
  }

  @Test("lines of several workers reach the file while they are being written, by size and by time")
  func threads() async throws {
    let path = Self.path("threads")
    defer { unsafe unlink(path) }
    let files = AccessLogFiles(workers: 3, Self.small(chunk: 4096, limit: 16 << 20, interval: .milliseconds(1)))
    let file = try files.file(.file(path: path))
    async let written: Void = Task.detached { files.run() }.value
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<3 {
        group.addTask {
          for i in 0..<20_000 {
            #expect(Self.append("\(worker) \(i)\n", to: file, worker: worker))
            if i % 5000 == 0 { file.reopen() }
          }
        }
      }
    }
    files.stop()
    await written
    let lines = Self.contents(path).split(separator: "\n")
    for worker in 0..<3 {
      let numbers = lines.filter { $0.hasPrefix("\(worker) ") }.compactMap { Int($0.dropFirst(2)) }
      #expect(numbers == Array(0..<20_000))
    }
  }

  @Test("a full disk loses nothing that fits: lines wait until it has room")
  func fullDisk() throws {
    // Every write to this device fails with ENOSPC.
    let metrics = MetricsRegistry(workers: 1)
    let files = AccessLogFiles(workers: 1, Self.small(chunk: 4096, limit: 1 << 20), metrics: metrics)
    let file = try files.file(.file(path: "/dev/full"))
    #expect(Self.append("line\n", to: file))
    files.flush()
    files.flush()
    let scope = metrics.scope(ScopeKey(.accessLogFile))
    #expect(metrics.value(AccessLogFileMetric.writeFailed, scope) == 2)
    #expect(metrics.value(AccessLogFileMetric.writeTotalBuffered, scope) == 5)
    #expect(metrics.value(AccessLogFileMetric.dropped, scope) == 0)
  }
}
