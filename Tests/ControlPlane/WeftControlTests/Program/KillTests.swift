import Glibc
import Synchronization
import Testing
import WeftBase
import WeftService
import WeftTelemetry
import WeftTestKit

@testable import WeftControl

@Suite("weft-control, the program")
struct KillTests {
  /// What a writer has been told is on disk.
  private final class Acknowledged: Sendable {
    private let state = Mutex<[String: Int]>([:])
    func note(_ name: String, _ value: Int) { state.withLock { $0[name] = value } }
    var all: [String: Int] { state.withLock { $0 } }
    var count: Int { state.withLock { $0.values.reduce(0, +) } }
  }

  @Test("kill -9 in a storm of writes loses nothing that was acknowledged, time and again")
  func killNine() async throws {
    let directory = TemporaryDirectory()
    let acknowledged = Acknowledged()
    try await ServiceRuntime.with { runtime in
      for round in 1...3 {
        let program = try ControlProgram(dataDirectory: directory.path)
        let client = ControlWorld.client(on: runtime)
        await withTaskGroup(of: Void.self) { group in
          for writer in 0..<8 {
            group.addTask {
              var value = acknowledged.all["w\(writer)"] ?? 0
              while true {
                value += 1
                let rule = ControlWorld.rule("w\(writer)", timeout: "\(value)s")
                let answer = try? await client.send(
                  "POST", "http://\(program.api)/api/v1/apply", body: Array(rule.utf8), timeout: .seconds(20))
                // A write that got no answer may or may not be there; only answered ones count.
                guard let answer, answer.status == 200 else { return }
                acknowledged.note("w\(writer)", value)
                if acknowledged.count >= round * 200 { program.killOnce() }
              }
            }
          }
        }
        #expect(program.end(with: SIGKILL) == -SIGKILL)
        await client.close()

        let again = try ControlProgram(dataDirectory: directory.path)
        let reader = ControlWorld.client(on: runtime)
        let listed = try await reader.get("http://\(again.api)/api/v1/objects/vs")
        let items = try JSONValue(parsing: listed.body)["items"]?.arrayValue ?? []
        var found: [String: Int] = [:]
        for item in items {
          let timeout = item["spec"]?["http"]?[0]?["timeout"]?.stringValue ?? ""
          found[item["metadata"]?["name"]?.stringValue ?? ""] = Int(timeout.dropLast())
        }
        for (name, value) in acknowledged.all {
          let kept = found[name] ?? 0
          #expect(kept >= value, "round \(round): \(name) was acknowledged at \(value), found at \(kept)")
          #expect(kept <= value + 1, "round \(round): \(name) has a write that nobody made")
          acknowledged.note(name, kept)
        }
        await reader.close()
        #expect(again.end(with: SIGTERM) == 0)
      }
    }
    #expect(acknowledged.count >= 600)
  }

  @Test("arguments are read, and bad ones refused")
  func refusals() throws {
    #expect(throws: ControlOptions.Refusal.self) {
      try ControlOptions(["--api-address", "nowhere"], environment: [:], isRoot: false)
    }
    #expect(throws: ControlOptions.Refusal.self) { try ControlOptions(["--what"], environment: [:], isRoot: false) }
    #expect(throws: ControlOptions.Refusal.self) { try ControlOptions(["--data-dir"], environment: [:], isRoot: false) }
    let options = try ControlOptions(
      ["--config-dir=/a", "--config-dir", "/b", "--api-host=c", "--api-host", "d", "--log-level", "debug"],
      environment: ["HOME": "/home/x"],
      isRoot: false)
    #expect(options.configuration.configDirectories == ["/a", "/b"])
    #expect(options.configuration.dataDirectory == "/home/x/.local/share/weft/control")
    #expect(options.configuration.apiHosts == ["c", "d"])
    #expect(options.logLevel == .debug)
  }
}
