import Testing
import WeftControlAPI
import WeftTestKit

@testable import WeftConfig

@Suite("store service")
struct StoreServiceTests {
  private typealias F = StoreFixtures

  @Test("many writers at once: every one gets its own answer, and a refused one does not touch the others")
  func manyWriters() async throws {
    let directory = TemporaryDirectory()
    let service = try StoreService(path: directory.file("store.db"))
    let outcomes = await withTaskGroup(of: Bool.self) { group in
      for index in 0..<200 {
        group.addTask {
          // Every fourth write insists on an object that does not exist.
          let precondition: WritePrecondition = index % 4 == 3 ? .exists : .none
          let result = try? await service.perform { try $0.put(F.rule("r\(index)"), if: precondition, F.at(1)) }
          return result?.effect == .created
        }
      }
      return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
    }
    #expect(outcomes == 150)
    let image = F.crashImage(of: directory)
    #expect(try ConfigStore(path: image.file("store.db")).list().objects.count == 150)
  }

  @Test("watchers hear the newest revision at once and after commits, and end when the service says so")
  func revisions() async throws {
    let service = try StoreService(path: ":memory:")
    _ = try await service.perform { try $0.put(F.rule("a"), F.at(1)) }
    var iterator = service.revisions().makeAsyncIterator()
    #expect(await iterator.next() == 1)
    _ = try await service.perform { try $0.put(F.rule("a"), F.at(1)) }
    _ = try await service.perform { try $0.put(F.rule("b"), F.at(1)) }
    #expect(await iterator.next() == 2)
    service.endWatches()
    #expect(await iterator.next() == nil)
    var late = service.revisions().makeAsyncIterator()
    #expect(await late.next() == nil)
  }
}
