import Foundation
import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftTestKit
import WeftXDSMessages

@testable import WeftAccessLogs
@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit
@testable import WeftTelemetry

/// A proxy whose answers have the status that the path asks for: `/503`.
struct LogWorld {
  let world: ProxyWorld
  let folder = TemporaryDirectory()

  init(_ extensions: ProxyExtensions = .basics, _ logs: (TemporaryDirectory) -> [AccessLog]) {
    world = ProxyWorld(extensions: extensions)
    world.simple()
    if case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0] {
      manager.accessLogs = logs(folder)
      world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    }
    world.server.onBytes = { peer in
      let status = peer.text.split(separator: "/").dropFirst().first?.prefix(3) ?? ""
      peer.send("HTTP/1.1 \(status) x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
      peer.finish()
    }
  }

  /// Makes a request for each of `paths`, each on a connection of its own, and writes the lines.
  func get(_ paths: [String]) {
    for path in paths {
      let client = world.connect()
      client.send("GET \(path) HTTP/1.1\r\nHost: a\r\nconnection: close\r\n\r\n")
      #expect(world.run { client.isOver })
      client.close()
    }
    world.settle()
    world.logs.flush()
  }

  func text(_ name: String) -> String { (try? String(contentsOfFile: folder.file(name), encoding: .utf8)) ?? "" }
}

@Suite("access logs behind the registry")
struct FileAccessLogTests {
  @Test("logs of one path write into one file, each in its own format, those that its filter lets through")
  func shared() {
    let failed = AccessLog.Filter.status(.init(op: .greaterOrEqual, value: 500))
    let world = LogWorld { folder in
      [
        .file(folder.file("a"), "all %RESPONSE_CODE%\n"), .file(folder.file("a"), "bad %PATH%\n", filter: failed),
        .file(folder.file("b"), "%PATH%\n", filter: failed),
      ]
    }
    world.world.apply()
    world.get(["/200", "/503"])
    #expect(world.text("a") == "all 200\nall 503\nbad /503\n")
    #expect(world.text("b") == "/503\n")
  }

  @Test(
    "where a connection to an endpoint comes from is asked where a log tells it, and forgotten with the connection",
    arguments: [("%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%\n", 1), ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%\n", 0)])
  func upstreamLocal(_ format: String, _ asked: Int) throws {
    let world = LogWorld { [.file($0.file("a"), format)] }
    world.world.apply()
    // Two requests on one connection to the endpoint, whose answers do not end it.
    world.world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") }
    world.get(["/a", "/b"])
    #expect(world.text("a") == "127.0.0.1\n127.0.0.1\n")
    #expect(world.world.engine.upstreams.count == 1 && world.world.engine.upstreamLocals[].count == asked)
    world.world.server.onBytes = { peer in
      peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
      peer.finish()
    }
    world.get(["/c"])
    #expect(world.text("a") == "127.0.0.1\n127.0.0.1\n127.0.0.1\n")
    #expect(world.world.engine.upstreamLocals[].isEmpty)
  }

  @Test(
    "what heads are large, and the status of an answer",
    arguments: [
      // :method GET, :path /200, :authority a, :scheme http, and the proxy's own: x-forwarded-proto, x-request-id, x-envoy-expected-rq-timeout-ms.
      ("%REQUEST_HEADERS_BYTES%\n", "145\n"), ("%RESP(:STATUS)%\n", "200\n"), ("%RESPONSE_TRAILERS_BYTES%\n", "0\n"),
    ])
  func sizes(_ format: String, _ line: String) throws {
    let world = LogWorld { [.file($0.file("a"), format)] }
    world.world.apply()
    world.get(["/200"])
    #expect(world.text("a") == line)
  }

  @Test("a TCP session has a line")
  func session() {
    let world = LogWorld { _ in [] }
    var proxy = TCPProxy(statPrefix: "t", cluster: .single("backend"))
    proxy.accessLogs = [
      .file(
        world.folder.file("t"), "%BYTES_RECEIVED% %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%\n")
    ]
    world.world.config.listeners[0].filterChains[0].filters = [.tcpProxy(proxy)]
    world.world.apply()
    world.get(["/200"])
    #expect(world.text("t") == "49 backend 127.0.0.1\n")
  }

  @Test(
    "what is refused is told by its path",
    arguments: [
      ("typed_config.log_format", "%NOPE%\n", nil), ("typed_config.path", "", "missing/a"),
      ("filter.response_flag_filter.flags", "", ""), ("typed_config", nil, nil),
    ] as [(String, String?, String?)])
  func refused(_ place: String, _ format: String?, _ name: String?) throws {
    let world = LogWorld { folder in
      guard let format else { return [AccessLog(ExtensionConfig(typeName: "a.b.C", message: []))] }
      return [
        .file(
          folder.file(name.flatMap { $0.isEmpty ? nil : $0 } ?? "a"), format,
          filter: name == "" ? .responseFlag(["XX"]) : nil)
      ]
    }
    let refusal = try #require(world.world.rejections().first)
    #expect("\(refusal.path)".hasSuffix("access_log[0].\(place)"), "\(refusal)")
  }

  @Test("each stream gets its lines, from all logs that write to it", arguments: [1, 3])
  func streams(_ logs: Int) throws {
    let files = AccessLogFiles(workers: 1)
    let context = AccessLogContext(
      storage: SnapshotStorage(), metrics: MetricsRegistry(workers: 1), files: files)
    func write(_ sink: any AccessLogSink.Type, times: Int) throws {
      for _ in 0..<times {
        let made = try sink.init(ExtensionConfig(typeName: sink.message, message: []), context)
        made.write(StreamSource(record: AccessLogRecord(), request: nil, response: nil, trailers: nil), worker: 0)
      }
    }
    // Nothing flushes, so nothing is printed.
    try write(StdoutAccessLog.self, times: logs)
    try write(StderrAccessLog.self, times: 2)
    #expect(try files.file(.stdout).counts.lines == UInt64(logs))
    #expect(try files.file(.stderr).counts.lines == 2)
  }
}
