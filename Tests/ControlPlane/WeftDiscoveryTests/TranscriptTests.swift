import Testing
import WeftBase
import WeftTestKit
import WeftTranslation

@testable import WeftDiscovery

/// Replays `Tests/Golden/xds/*.txt` (its README tells the form) against a session.
@Suite("sessions against what real clients sent")
struct TranscriptTests {
  static let names = (try? Golden.files(in: "xds", suffix: ".txt")) ?? []

  struct Malformed: Error { var line: String }

  @Test("there are transcripts")
  func present() { #expect(Self.names.count >= 6) }

  @Test("answers as written", arguments: names)
  func replay(_ name: String) throws {
    let text = try Golden.text("xds/\(name)")
    var player = Player()
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split(separator: " ").map(String.init)
      guard let first = words.first, first != "#" else { continue }
      if first != "<" {
        #expect(player.unexpected == "", "\(name):\(index): not in the transcript")
      }
      switch first {
      case "=": try player.set(Array(words.dropFirst()))
      case ">": try player.request(Array(words.dropFirst()))
      case "<":
        let expected = words.dropFirst().joined(separator: " ")
        #expect(player.take() == expected, "\(name):\(index + 1)")
      case "?": try player.check(Array(words.dropFirst()), "\(name):\(index + 1)")
      default: throw Malformed(line: String(line))
      }
    }
    #expect(player.unexpected == "", "\(name): after the end")
  }

  private struct Player {
    var form = DiscoveryForm.stateOfTheWorld
    var isGRPC = false
    var session: Session?
    var waiting: [DiscoveryResponseEvent] = []
    var nonces: [ResourceType: [String]] = [:]
    let now = MonotonicInstant(nanoseconds: 1)

    var unexpected: String { waiting.text }

    mutating func take() -> String {
      defer { waiting = [] }
      return waiting.text
    }

    mutating func note(_ responses: [DiscoveryResponseEvent]) {
      for response in responses { nonces[response.type, default: []].append(response.nonce) }
      waiting += responses
    }

    mutating func set(_ words: [String]) throws {
      if words[0] == "form" {
        form = words[1] == "delta" ? .delta : .stateOfTheWorld
        isGRPC = words.contains("grpc")
        return
      }
      let all = resources(UInt64(words[1]) ?? 0, try words.dropFirst(2).map(Self.resource))
      if session == nil {
        session = Session(form: form, proxy: ProxyIdentity(nodeID: "envoy", isGRPC: isGRPC), resources: all)
      } else {
        note(session?.update(all, now: now) ?? [])
      }
    }

    static func resource(_ word: String) throws -> Resource {
      var name = String(word.dropFirst(2))
      var content = 1
      if let slash = name.lastIndex(of: "/"), let number = Int(name[name.index(after: slash)...]) {
        content = number
        name = String(name[..<slash])
      }
      switch word.prefix(2) {
      case "c:": return c(name, content)
      case "e:": return e(name, content)
      case "l:": return l(name, content)
      case "r:": return r(name, content)
      default: throw Malformed(line: word)
      }
    }

    static func type(_ word: String) throws -> ResourceType {
      guard let type = ResourceType.allCases.first(where: { $0.shortName == word }) else { throw Malformed(line: word) }
      return type
    }

    mutating func request(_ words: [String]) throws {
      var request = DiscoveryRequestEvent(type: try Self.type(words[0]))
      var place = "names"
      for (index, word) in words.enumerated().dropFirst() {
        if ["nonce", "version", "held", "unsubscribe"].contains(word) {
          place = word
          continue
        }
        if word == "refuse" {
          request.refusal = words[(index + 1)...].joined(separator: " ")
          break
        }
        switch place {
        case "nonce":
          let parts = word.split(separator: "#")
          let type = try Self.type(String(parts[0]))
          let index = Int(parts[1]) ?? 0
          guard let sent = nonces[type], index <= sent.count else { throw Malformed(line: word) }
          request.nonce = sent[index - 1]
        case "version": request.version = word
        case "held":
          let resource = try Self.resource(word)
          request.held[resource.name] = resource.version
        case "unsubscribe": request.unsubscribed.append(word)
        default: request.names.append(word)
        }
      }
      guard let current = session?.resources else { throw Malformed(line: words.joined(separator: " ")) }
      note(session?.receive(request, now: now) { _ in current } ?? [])
    }

    func check(_ words: [String], _ place: String) throws {
      let type = try TranscriptTests.Player.type(words[0])
      #expect(session?.typeStatuses[type]?.state.rawValue == words[1], "\(place)")
      if words.count > 2 {
        let refused = session?.watches[type]?.sent.filter { $0.value.refusal != nil }.keys.sorted()
        #expect(refused == Array(words[2...]), "\(place)")
      }
    }
  }
}
