/// One loop thread that carries all cold-path connections of a process.
///
/// Make one in the program and pass it to the servers and clients; stop it last. Any number of servers and clients share it.
package final class ServiceRuntime: Sendable {
  package let name: String

  /// Starts the thread.
  package init(name: String = "weft-service") throws {
    self.name = name
  }

  /// Ends every connection, stops the loop and joins its thread. Idempotent.
  package func stop() async {}

  /// Runs `body` with a fresh runtime and stops it afterwards, however `body` ends.
  package static func with<Result>(
    name: String = "weft-service", _ body: (ServiceRuntime) async throws -> Result
  ) async throws -> Result {
    let runtime = try ServiceRuntime(name: name)
    do {
      let result = try await body(runtime)
      await runtime.stop()
      return result
    } catch {
      await runtime.stop()
      throw error
    }
  }
}
