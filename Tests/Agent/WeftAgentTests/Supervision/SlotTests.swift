import Testing
import WeftBase
import WeftTestKit

@testable import WeftAgent

@Suite("what an instance leaves to the next")
struct SlotTests {
  private func configuration(_ directory: TemporaryDirectory, version: String = "v1") -> AgentConfiguration {
    var configuration = AgentConfiguration(
      service: "page", instance: "page-\(Int.random(in: 0..<1_000_000))", stateDirectory: directory.path)
    configuration.version = version
    configuration.port = 9081
    configuration.upstreams = [Upstream(host: "reviews", port: 9080)]
    return configuration
  }

  @Test("the next instance of a service finds the last good configuration of the one before, whatever its id")
  func found() throws {
    let directory = TemporaryDirectory()
    var first = Slot.take(configuration(directory))
    let path = try #require(first?.lastGood)
    // At the same time another instance has a place of its own.
    let beside = try #require(Slot.take(configuration(directory)))
    #expect(beside.lastGood != path)
    #expect(Slot.take(configuration(directory, version: "v2"))?.lastGood != path)
    first = nil
    #expect(Slot.take(configuration(directory))?.lastGood == path)
    withExtendedLifetime(beside) {}
  }

  @Test("the next instance listens where the configuration that it starts from says")
  func samePorts() throws {
    let directory = TemporaryDirectory()
    let configuration = configuration(directory)
    let slot = try #require(Slot.take(configuration))
    #expect(slot.ports() == nil)
    let ports = try #require(AgentPorts.settle(configuration))
    #expect(slot.keep(ports.json(configuration)))
    #expect(AgentPorts.settle(configuration, before: slot.ports()) == ports)
    // A port that the user gives now is not given to something else.
    var fixed = configuration
    fixed.adminPort = ports.inbound
    let moved = try #require(AgentPorts.settle(fixed, before: slot.ports()))
    #expect(moved.inbound != ports.inbound)
    #expect(moved.upstreams == ports.upstreams)
  }

  @Test("a version that is no file name stays inside the state directory", arguments: ["..", "a/b", "", ".", "ü"])
  func names(version: String) throws {
    let directory = TemporaryDirectory()
    let slot = try #require(Slot.take(configuration(directory, version: version)))
    let parts = slot.directory.dropFirst(directory.path.count).split(separator: "/")
    #expect(parts.count == 5)
    #expect(!parts.contains(".."))
  }
}
