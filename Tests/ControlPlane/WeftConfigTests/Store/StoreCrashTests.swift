import Testing
import WeftBase
import WeftControlAPI
import WeftTestKit

@testable import WeftConfig

@Suite("config store after a crash")
struct StoreCrashTests {
  private typealias F = StoreFixtures

  /// What the store must hold: kept beside it by the test.
  private struct Model {
    var objects: [ObjectKey: Envelope] = [:]
    var revision: UInt64 = 0
  }

  @Test("whatever was acknowledged is there after a crash at any step, and nothing else", arguments: [1, 2, 3])
  func everyStep(seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let directory = TemporaryDirectory()
    let store = try ConfigStore(path: directory.file("store.db"))
    var model = Model()
    for step in 1...60 {
      let name = "r\(random.next(below: 6))"
      var next = model
      var inside: TemporaryDirectory?
      try store.transaction {
        for _ in 0...random.next(below: 2) {
          if random.chance(1, in: 4), next.objects[F.key(name)] != nil {
            try store.delete(F.key(name), F.at(Int64(step)))
            next.objects[F.key(name)] = nil
          } else {
            let rule = F.rule(name, timeout: "\(random.next(below: 4))s")
            next.objects[F.key(name)] = try store.put(rule, F.at(Int64(step))).object
          }
        }
        next.revision = store.revision
        if step % 5 == 0 { inside = F.crashImage(of: directory) }
      }
      if let inside { try expect(inside, holds: model, "seed \(seed), inside the unit of step \(step)") }
      model = next
      try expect(F.crashImage(of: directory), holds: model, "seed \(seed), after step \(step)")
    }
  }

  @Test("a store that was opened after a crash goes on counting where the acknowledged writes ended")
  func continues() throws {
    let directory = TemporaryDirectory()
    let store = try ConfigStore(path: directory.file("store.db"))
    let first = try store.put(F.rule("a"), F.at(1)).object
    let image = F.crashImage(of: directory)
    let reopened = try ConfigStore(path: image.file("store.db"))
    let second = try reopened.put(F.rule("a", timeout: "2s"), if: .resourceVersion(1), F.at(2)).object
    #expect(second.metadata.resourceVersion == 2)
    #expect(second.metadata.uid == first.metadata.uid)
    #expect(try reopened.events(after: 0).map(\.change) == [.added, .modified])
    #expect(try reopened.history(F.key("a")).count == 2)
  }

  private func expect(_ image: TemporaryDirectory, holds model: Model, _ when: Comment) throws {
    let reopened = try ConfigStore(path: image.file("store.db"))
    let found = try reopened.list().objects
    #expect(reopened.revision == model.revision, when)
    #expect(found == model.objects.sorted { $0.key < $1.key }.map(\.value), when)
    #expect(try reopened.events(after: 0).last?.revision ?? 0 == model.revision, when)
  }
}
