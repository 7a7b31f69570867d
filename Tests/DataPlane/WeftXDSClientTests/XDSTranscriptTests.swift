import Testing
import WeftBase
import WeftModel
import WeftTestKit

@testable import WeftXDSClient

/// Replays what a server said to Envoy into our session and compares what we answer with what Envoy answered.
///
/// Not compared: the order among types, and answers Envoy withheld (it does not acknowledge a cluster that still waits for endpoints).
@Suite("xDS transcripts of Envoy")
struct XDSTranscriptTests {
  /// What a client said about one type on one stream, whatever the order.
  private struct Said: Equatable {
    var subscribed: Set<String> = []
    var unsubscribed: Set<String> = []
    var initialVersions: [String: String] = [:]
  }

  /// The last word on one answer of the server.
  private struct Verdict: Equatable {
    var version: String
    var isRefused: Bool
  }

  private struct Conversation {
    var said: [XDSType: Said] = [:]
    var verdicts: [String: Verdict] = [:]
    var firstVersions: [XDSType: String] = [:]

    mutating func add(_ request: XDSRequest, isDelta: Bool) {
      let type = request.type
      if said[type] == nil { firstVersions[type] = request.version }
      if isDelta {
        said[type, default: Said()].subscribed.formUnion(request.names)
        said[type, default: Said()].unsubscribed.formUnion(request.unsubscribe)
        said[type, default: Said()].initialVersions.merge(request.initialVersions) { $1 }
      } else {
        // Each request of the state of the world says all that is wanted.
        said[type, default: Said()].subscribed = Set(request.names)
      }
      guard !request.nonce.isEmpty else { return }
      verdicts[request.nonce] = Verdict(version: request.version, isRefused: !request.error.isEmpty)
    }
  }

  private static let types: [Substring: XDSType] = [
    "cds": .clusters, "eds": .endpoints, "lds": .listeners, "rds": .routes,
  ]

  private static func text(_ word: Substring) -> String { word == "-" ? "" : String(word) }

  private static func request(_ type: XDSType, _ words: [Substring]) -> XDSRequest {
    var request = XDSRequest(type)
    request.version = text(words[0])
    request.nonce = text(words[1])
    request.error = words[2] == "refused" ? "refused" : ""
    for word in words.dropFirst(3) {
      if word.hasPrefix("-") {
        request.unsubscribe.append(String(word.dropFirst()))
      } else if let mark = word.firstIndex(of: "#") {
        request.initialVersions[String(word[..<mark])] = String(word[word.index(after: mark)...])
      } else {
        request.names.append(String(word))
      }
    }
    return request
  }

  private static func response(_ type: XDSType, _ words: [Substring]) -> XDSResponse {
    var response = XDSResponse(
      typeURL: type.rawValue, version: text(words[0]), nonce: text(words[1]), resources: [])
    for word in words.dropFirst(2) {
      if word.hasPrefix("-") {
        response.removed.append(String(word.dropFirst()))
        continue
      }
      let parts = word.split(separator: "#")
      response.resources.append(
        Words.resource(type, String(parts[0]), version: parts.count > 1 ? String(parts[1]) : ""))
    }
    return response
  }

  @Test(
    "we answer as Envoy does",
    arguments: [
      ("envoy-sotw", XDSForm.stateOfTheWorld), ("envoy-sotw-no-endpoint-push", .stateOfTheWorld),
      ("envoy-delta", .delta), ("envoy-delta-no-endpoint-push", .delta),
    ])
  func replay(name: String, form: XDSForm) throws {
    let lines = try SourceTree.text("Tests/Golden/xds-client/\(name).transcript").split(separator: "\n")
    var session = Words.session(form)
    var theirs: [Conversation] = []
    var ours: [Conversation] = []
    var answered: [String: Int] = [:]

    func note(_ requests: [XDSRequest]) {
      for request in requests { ours[ours.count - 1].add(request, isDelta: form == .delta) }
    }

    for line in lines where !line.hasPrefix("#") {
      let words = line.split(separator: " ")
      switch words[0] {
      case "stream":
        if !ours.isEmpty { session.closed() }
        theirs.append(Conversation())
        ours.append(Conversation())
        note(session.opened())
      case "client":
        let type = try #require(Self.types[words[1]])
        theirs[theirs.count - 1].add(Self.request(type, Array(words[2...])), isDelta: form == .delta)
      case "server":
        let type = try #require(Self.types[words[1]])
        let response = Self.response(type, Array(words[2...]))
        let requests = session.received(response).requests
        answered[response.nonce] = requests.count { $0.nonce == response.nonce && $0.type == type }
        note(requests)
      case "holds":
        let type = try #require(Self.types[words[1]])
        #expect(session.store.resources(type).keys.sorted() == words.dropFirst(2).map(String.init))
      default: Issue.record("unknown line: \(line)")
      }
    }

    for (stream, (their, our)) in zip(theirs, ours).enumerated() {
      for (nonce, verdict) in their.verdicts {
        #expect(our.verdicts[nonce] == verdict, "stream \(stream + 1), answer \(nonce)")
      }
      #expect(our.said == their.said, "stream \(stream + 1)")
      #expect(our.firstVersions == their.firstVersions, "stream \(stream + 1)")
    }
    #expect(answered.values.allSatisfy { $0 >= 1 }, "an answer of the server got none from us")
  }
}
