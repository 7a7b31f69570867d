import Testing
import WeftService

@Suite("HTTP router", .timeLimit(.minutes(5)))
struct RouterTests {
  private static func router() -> HTTPRouter {
    var router = HTTPRouter()
    router.on("GET", "/") { _, _, responder in try await responder.send("root") }
    router.on("GET", "/kinds/{kind}/{name}") { _, captures, responder in
      try await responder.send("\(captures["kind"])|\(captures["name"])")
    }
    router.on("GET", "/kinds/special/{name}") { _, captures, responder in
      try await responder.send("special|\(captures["name"])")
    }
    router.on("PUT", "/kinds/{kind}/{name}") { _, _, responder in try await responder.send("put") }
    router.on("GET", "/files/*") { _, captures, responder in try await responder.send("file|\(captures["*"])") }
    return router
  }

  @Test(
    "requests find their handler",
    arguments: [
      ("GET", "/", 200, "root"), ("GET", "/kinds/a/b", 200, "a|b"), ("GET", "/kinds/a/b?x=y", 200, "a|b"),
      ("GET", "/kinds/special/b", 200, "special|b"), ("GET", "/kinds/a%2Fb/c", 200, "a/b|c"),
      ("PUT", "/kinds/a/b", 200, "put"), ("GET", "/files/x/y", 200, "file|x/y"), ("GET", "/files", 200, "file|"),
      ("DELETE", "/kinds/a/b", 405, ""), ("GET", "/kinds/a", 404, "not found: /kinds/a\n"),
      ("GET", "/kinds/%zz/b", 404, "not found: /kinds/%zz/b\n"),
    ])
  func routes(method: String, target: String, status: Int, body: String) async throws {
    let router = Self.router()
    try await Loopback.run {
      try await router.handle($0, $1)
    } _: { loopback in
      let response = try await loopback.send(method, target)
      #expect(response.status == status)
      #expect(response.text == body)
      if status == 405 { #expect(response.headers["allow"] == "GET, PUT") }
    }
  }
}
