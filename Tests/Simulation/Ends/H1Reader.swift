// H1Reader: HTTP/1 as the ends of a simulation read it, written apart from the code under test and far stricter.

import Glibc

/// Messages out of bytes as they come. What does not fit the grammar ends in `broken`.
struct H1Reader {
  typealias Fields = [(name: String, value: String)]

  enum Event {
    case head(start: String, fields: Fields)
    case data(ArraySlice<UInt8>)
    case trailers(Fields)
    case end
  }

  private enum State { case head, length(Int), chunkSize, chunk(Int), chunkEnd, trailers, untilClose, end }

  private var buffer: [UInt8] = []
  private var at = 0
  private var state = State.head
  private(set) var broken: String?
  let isResponse: Bool

  init(isResponse: Bool) { self.isResponse = isResponse }

  /// Between two messages, with nothing of the next one there.
  var isIdle: Bool { if case .head = state { at == buffer.count } else { false } }
  var endsByClose: Bool { if case .untilClose = state { true } else { false } }

  mutating func feed(_ bytes: [UInt8]) {
    if at > 0 {
      buffer.removeFirst(at)
      at = 0
    }
    buffer += bytes
  }

  /// The next event, nil when more bytes are needed. `bodiless`: the response that begins here answers HEAD.
  mutating func next(bodiless: Bool = false) -> Event? {
    while broken == nil {
      switch state {
      case .head:
        guard let end = find([13, 10, 13, 10]) else { return nil }
        let lines = String(decoding: buffer[at..<end], as: UTF8.self).split(
          separator: "\r\n", omittingEmptySubsequences: false)
        at = end + 4
        guard let fields = fields(lines.dropFirst()) else { return nil }
        let start = String(lines[0])
        state = framing(start, fields, bodiless)
        return .head(start: start, fields: fields)
      case .length(let left):
        if left == 0 {
          state = .end
          continue
        }
        guard let data = take(left) else { return nil }
        state = .length(left - data.count)
        return .data(data)
      case .chunkSize:
        guard let end = find([13, 10]) else { return nil }
        let text = String(decoding: buffer[at..<end], as: UTF8.self)
        at = end + 2
        guard let size = Int(text, radix: 16) else { return fails("chunk size \(text)") }
        state = size == 0 ? .trailers : .chunk(size)
      case .chunk(let left):
        if left == 0 {
          state = .chunkEnd
          continue
        }
        guard let data = take(left) else { return nil }
        state = .chunk(left - data.count)
        return .data(data)
      case .chunkEnd:
        guard buffer.count >= at + 2 else { return nil }
        guard buffer[at] == 13, buffer[at + 1] == 10 else { return fails("a chunk without its end") }
        at += 2
        state = .chunkSize
      case .trailers:
        guard buffer.count >= at + 2 else { return nil }
        if buffer[at] == 13, buffer[at + 1] == 10 {
          at += 2
          state = .end
          continue
        }
        guard let end = find([13, 10, 13, 10]) else { return nil }
        let lines = String(decoding: buffer[at..<end], as: UTF8.self).split(separator: "\r\n")
        at = end + 4
        state = .end
        guard let fields = fields(lines[...]) else { return nil }
        return .trailers(fields)
      case .untilClose:
        guard let data = take(.max) else { return nil }
        return .data(data)
      case .end:
        state = .head
        return .end
      }
    }
    return nil
  }

  private func framing(_ start: String, _ fields: Fields, _ bodiless: Bool) -> State {
    if isResponse {
      let status = Int(start.split(separator: " ").dropFirst().first ?? "") ?? 0
      if status < 200 { return .head }
      if bodiless || status == 204 || status == 304 { return .end }
    }
    if fields.first("transfer-encoding") == "chunked" { return .chunkSize }
    if let length = fields.first("content-length").flatMap({ Int($0) }) { return .length(length) }
    return isResponse ? .untilClose : .end
  }

  private mutating func take(_ most: Int) -> ArraySlice<UInt8>? {
    let n = min(most, buffer.count - at)
    if n == 0 { return nil }
    defer { at += n }
    return buffer[at..<at + n]
  }

  private mutating func fields(_ lines: ArraySlice<Substring>) -> Fields? {
    var result: Fields = []
    for line in lines {
      guard let colon = line.firstIndex(of: ":") else {
        broken = "a field without a colon: \(line)"
        return nil
      }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      result.append((line[..<colon].lowercased(), String(value)))
    }
    return result
  }

  private mutating func fails(_ what: String) -> Event? {
    broken = what
    return nil
  }

  /// Where `needle`, which begins with a CR, begins.
  private func find(_ needle: [UInt8]) -> Int? {
    unsafe buffer.withUnsafeBytes { bytes -> Int? in
      guard let base = bytes.baseAddress else { return nil }
      var from = at
      while from + needle.count <= bytes.count {
        guard let found = unsafe memchr(base + from, 13, bytes.count - from) else { return nil }
        let place = unsafe UnsafeRawPointer(found) - base
        if place + needle.count > bytes.count { return nil }
        if unsafe bytes[place..<place + needle.count].elementsEqual(needle) { return place }
        from = place + 1
      }
      return nil
    }
  }
}

extension [(name: String, value: String)] {
  func first(_ name: String) -> String? { first { $0.name == name }?.value }
}
