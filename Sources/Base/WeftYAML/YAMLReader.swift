internal import CYAML
internal import WeftBase

package enum YAML {
  /// All documents of a stream. An empty stream has none; an empty document is null.
  package static func documents(
    _ bytes: [UInt8], limits: YAMLLimits = YAMLLimits()
  ) throws(YAMLError) -> [YAMLDocument] {
    guard bytes.count <= limits.bytes else {
      throw YAMLError(
        message: "longer than the limit of \(limits.bytes) bytes", position: YAMLPosition(line: 1, column: 1))
    }
    do throws(YAMLError) { return try read(bytes, limits) } catch {
      guard let quoted = FlowAddresses.quoted(bytes) else { throw error }
      do throws(YAMLError) { return try read(quoted, limits) } catch _ { throw error }
    }
  }

  private static func read(_ bytes: [UInt8], _ limits: YAMLLimits) throws(YAMLError) -> [YAMLDocument] {
    var reader = YAMLReader(events: YAMLEvents(bytes), limits: limits)
    return try reader.stream()
  }

  package static func documents(
    _ text: String, limits: YAMLLimits = YAMLLimits()
  ) throws(YAMLError) -> [YAMLDocument] {
    try documents(Array(text.utf8), limits: limits)
  }

  /// The only document of a text; null for an empty one.
  package static func document(
    _ text: String, limits: YAMLLimits = YAMLLimits()
  ) throws(YAMLError) -> YAMLDocument {
    let all = try documents(text, limits: limits)
    guard all.count <= 1 else {
      throw YAMLError(message: "expected one document, found \(all.count)", position: all[1].position)
    }
    return all.first ?? YAMLDocument(value: .null, mark: YAMLMark(position: YAMLPosition(line: 1, column: 1)))
  }
}

/// What libyaml reports, as a value.
struct YAMLEvent {
  enum Kind {
    case streamStart, streamEnd, documentStart, documentEnd, sequenceStart, sequenceEnd, mappingStart, mappingEnd
    case alias(String)
    case scalar(String, isPlain: Bool)
  }
  var kind: Kind
  var anchor: String?
  var tag: String?
  var position: YAMLPosition
}

/// Owner of a libyaml parser and of the bytes it reads.
@safe
final class YAMLEvents {
  // Sound: both allocations live exactly as long as this object, which alone hands them to libyaml; each event is
  // copied into Swift values before it is deleted.
  private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  private let input: UnsafeMutableBufferPointer<UInt8>

  init(_ text: [UInt8]) {
    // A byte order mark would count as a column.
    let bytes = text.starts(with: [0xef, 0xbb, 0xbf]) ? Array(text.dropFirst(3)) : text
    unsafe input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(bytes.count, 1))
    _ = unsafe input.initialize(from: bytes)
    guard unsafe yaml_parser_initialize(parser) == 1 else { fatalError("out of memory") }
    unsafe yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    unsafe yaml_parser_set_input_string(parser, input.baseAddress, bytes.count)
  }

  deinit {
    unsafe yaml_parser_delete(parser)
    unsafe parser.deallocate()
    unsafe input.deallocate()
  }

  func next() throws(YAMLError) -> YAMLEvent {
    var event = unsafe yaml_event_t()
    guard unsafe yaml_parser_parse(parser, &event) == 1 else { throw failure() }
    defer { unsafe yaml_event_delete(&event) }
    let mark = unsafe event.start_mark
    let position = YAMLPosition(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    func make(
      _ kind: YAMLEvent.Kind, _ anchor: UnsafeMutablePointer<yaml_char_t>? = nil,
      _ tag: UnsafeMutablePointer<yaml_char_t>? = nil
    ) -> YAMLEvent {
      unsafe YAMLEvent(kind: kind, anchor: text(anchor), tag: text(tag), position: position)
    }
    switch unsafe event.type {
    case YAML_STREAM_START_EVENT: return make(.streamStart)
    case YAML_STREAM_END_EVENT: return make(.streamEnd)
    case YAML_DOCUMENT_START_EVENT: return make(.documentStart)
    case YAML_DOCUMENT_END_EVENT: return make(.documentEnd)
    case YAML_SEQUENCE_START_EVENT:
      return unsafe make(.sequenceStart, event.data.sequence_start.anchor, event.data.sequence_start.tag)
    case YAML_SEQUENCE_END_EVENT: return make(.sequenceEnd)
    case YAML_MAPPING_START_EVENT:
      return unsafe make(.mappingStart, event.data.mapping_start.anchor, event.data.mapping_start.tag)
    case YAML_MAPPING_END_EVENT: return make(.mappingEnd)
    case YAML_ALIAS_EVENT: return unsafe make(.alias(text(event.data.alias.anchor) ?? ""))
    case YAML_SCALAR_EVENT:
      let scalar = unsafe event.data.scalar
      let bytes = unsafe UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      let text = unsafe String(decoding: bytes, as: UTF8.self)
      let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
      return unsafe make(.scalar(text, isPlain: isPlain), scalar.anchor, scalar.tag)
    default: throw YAMLError(message: "unexpected event", position: position)
    }
  }

  private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
    guard let pointer = unsafe pointer else { return nil }
    return unsafe String(decodingCString: pointer, as: UTF8.self)
  }

  private func failure() -> YAMLError {
    let problem = unsafe parser.pointee.problem.map { unsafe String(cString: $0) } ?? "invalid YAML"
    var mark = unsafe parser.pointee.problem_mark
    if mark.line == 0, mark.column == 0 { mark = unsafe parser.pointee.mark }
    return YAMLError(
      message: problem, position: YAMLPosition(line: Int(mark.line) + 1, column: Int(mark.column) + 1))
  }
}

/// Builds values from events.
private struct YAMLReader {
  let events: YAMLEvents
  let limits: YAMLLimits
  var nodes = 0
  var anchors: [String: Node] = [:]

  /// A finished value: what an alias repeats.
  struct Node {
    var value: JSONValue
    var mark: YAMLMark
    var count: Int
    var height: Int
  }

  init(events: YAMLEvents, limits: YAMLLimits) {
    self.events = events
    self.limits = limits
  }

  mutating func stream() throws(YAMLError) -> [YAMLDocument] {
    var documents: [YAMLDocument] = []
    while true {
      let event = try events.next()
      switch event.kind {
      case .streamStart: continue
      case .streamEnd: return documents
      case .documentStart:
        guard documents.count < limits.documents else {
          throw YAMLError(message: "more than the limit of \(limits.documents) documents", position: event.position)
        }
        anchors = [:]
        let root = try node(try events.next(), depth: 1)
        documents.append(YAMLDocument(value: root.value, mark: root.mark))
      default: continue
      }
    }
  }

  private mutating func count(_ more: Int, at position: YAMLPosition) throws(YAMLError) {
    nodes += more
    guard nodes <= limits.nodes else {
      throw YAMLError(message: "more than the limit of \(limits.nodes) values", position: position)
    }
  }

  private mutating func node(_ event: YAMLEvent, depth: Int) throws(YAMLError) -> Node {
    if case .alias(let name) = event.kind {
      guard let node = anchors[name] else {
        throw YAMLError(message: "alias *\(name) without its anchor before it", position: event.position)
      }
      try count(node.count, at: event.position)
      guard depth + node.height <= limits.depth + 1 else { throw tooDeep(event) }
      return node
    }
    try count(1, at: event.position)
    guard depth <= limits.depth else { throw tooDeep(event) }
    var node = Node(value: .null, mark: YAMLMark(position: event.position), count: 1, height: 1)
    switch event.kind {
    case .scalar(let text, let isPlain): node.value = try scalar(text, isPlain, event)
    case .sequenceStart: try list(&node, event, depth)
    case .mappingStart: try map(&node, event, depth)
    default: throw YAMLError(message: "expected a value", position: event.position)
    }
    if let anchor = event.anchor { anchors[anchor] = node }
    return node
  }

  private func tooDeep(_ event: YAMLEvent) -> YAMLError {
    YAMLError(message: "nested deeper than the limit of \(limits.depth)", position: event.position)
  }

  private mutating func list(_ node: inout Node, _ event: YAMLEvent, _ depth: Int) throws(YAMLError) {
    try require(event, tag: "seq")
    var items: [JSONValue] = []
    while true {
      let next = try events.next()
      if case .sequenceEnd = next.kind { break }
      let child = try self.node(next, depth: depth + 1)
      items.append(child.value)
      node.mark.children.append(child.mark)
      node.count += child.count
      node.height = max(node.height, child.height + 1)
    }
    node.value = .array(items)
  }

  private mutating func map(_ node: inout Node, _ event: YAMLEvent, _ depth: Int) throws(YAMLError) {
    try require(event, tag: "map")
    var members: [JSONMember] = []
    var names: Set<String> = []
    while true {
      let key = try events.next()
      if case .mappingEnd = key.kind { break }
      let name = try self.key(key)
      guard names.insert(name).inserted else {
        throw YAMLError(message: "duplicate key \"\(name)\"", position: key.position)
      }
      var child = try self.node(try events.next(), depth: depth + 1)
      members.append(JSONMember(name, child.value))
      child.mark.position = key.position
      node.mark.children.append(child.mark)
      node.count += child.count
      node.height = max(node.height, child.height + 1)
    }
    node.value = .object(JSONObject(members))
  }

  private mutating func key(_ event: YAMLEvent) throws(YAMLError) -> String {
    switch event.kind {
    case .scalar(let text, let isPlain):
      if text == "<<", isPlain {
        throw YAMLError(message: "merge keys are not part of YAML 1.2; write the members out", position: event.position)
      }
      let value = try scalar(text, isPlain, event)
      if let anchor = event.anchor {
        anchors[anchor] = Node(value: value, mark: YAMLMark(position: event.position), count: 1, height: 1)
      }
      return text
    case .alias(let name):
      guard let node = anchors[name], case .string(let text) = node.value else {
        throw YAMLError(message: "alias *\(name) is not a string and cannot be a key", position: event.position)
      }
      try count(1, at: event.position)
      return text
    default: throw YAMLError(message: "a key must be a scalar", position: event.position)
    }
  }

  private func require(_ event: YAMLEvent, tag: String) throws(YAMLError) {
    guard let given = event.tag, given != "tag:yaml.org,2002:" + tag, given != "!" else { return }
    throw YAMLError(message: "tag \(given.prefix(80)) is not supported here", position: event.position)
  }

  private func scalar(_ text: String, _ isPlain: Bool, _ event: YAMLEvent) throws(YAMLError) -> JSONValue {
    guard let tag = event.tag else { return isPlain ? PlainScalar.resolve(text) : .string(text) }
    let value = PlainScalar.resolve(text)
    switch (tag, value) {
    case ("!", _), ("tag:yaml.org,2002:str", _): return .string(text)
    case ("tag:yaml.org,2002:null", .null): return value
    case ("tag:yaml.org,2002:bool", .bool): return value
    case ("tag:yaml.org,2002:int", .number(let n)) where !n.contains { ".e".contains($0) }: return value
    case ("tag:yaml.org,2002:float", .number): return value
    case ("tag:yaml.org,2002:float", .string("NaN")), ("tag:yaml.org,2002:float", .string("Infinity")),
      ("tag:yaml.org,2002:float", .string("-Infinity")):
      return value
    default:
      throw YAMLError(message: "tag \(tag.prefix(80)) does not fit or is not supported here", position: event.position)
    }
  }
}
