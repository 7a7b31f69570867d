// Reading PEM into OpenSSL's objects, and OpenSSL's errors into ours.

import COpenSSL
import Glibc
import WeftBase

/// OpenSSL's error queue as text.
enum OpenSSLError {
  /// Takes all queued errors: `0A000086:SSL routines::certificate verify failed`, several joined by `|`. Empty when there are none.
  static func take() -> String {
    var texts: [String] = []
    while true {
      let code = ERR_get_error()
      if code == 0 { break }
      var text = [CChar](repeating: 0, count: 256)
      unsafe ERR_error_string_n(code, &text, text.count)
      var line = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if line.hasPrefix("error:") { line.removeFirst(6) }
      if texts.count < 8 { texts.append(line) }
    }
    return texts.joined(separator: "|")
  }

  static func error(_ what: String) -> WeftError {
    let detail = take()
    return WeftError(.tls, detail.isEmpty ? what : "\(what): \(detail)")
  }
}

extension PEMSource {
  /// Most bytes of a PEM file.
  private static var maximumBytes: Int { 16 << 20 }

  /// A name for messages; never the content, which may be a key.
  var place: String {
    switch self {
    case .file(let path): path
    case .bytes: "inline PEM"
    }
  }

  func load() throws(WeftError) -> [UInt8] {
    switch self {
    case .bytes(let bytes): return bytes
    case .file(let path):
      guard let file = unsafe fopen(path, "rbe") else { throw .system("read \(path)", errno) }
      defer { unsafe fclose(file) }
      var bytes: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 65_536)
      while true {
        let n = unsafe fread(&part, 1, part.count, file)
        if n == 0 { break }
        bytes += part[..<n]
        if bytes.count > Self.maximumBytes {
          throw WeftError(.limitReached, "\(path) is larger than \(Self.maximumBytes) bytes")
        }
      }
      return bytes
    }
  }

  /// Lends a BIO over the source's bytes.
  func withBIO<R>(_ body: (OpaquePointer) throws(WeftError) -> R) throws(WeftError) -> R {
    let bytes = try load()
    guard let bio = unsafe BIO_new(BIO_s_mem()) else { throw OpenSSLError.error("no memory") }
    defer { unsafe BIO_free(bio) }
    if !bytes.isEmpty { _ = unsafe BIO_write(bio, bytes, Int32(bytes.count)) }
    return try unsafe body(bio)
  }

  /// Calls `certificate` and `revocationList` for what the PEM text holds; returns how many of both.
  func forEach(
    certificate: (OpaquePointer) -> Void, revocationList: (OpaquePointer) -> Void = { _ in }
  ) throws(WeftError) -> Int {
    let stack = try unsafe withBIO { bio in unsafe PEM_X509_INFO_read_bio(bio, nil, nil, nil) }
    guard let stack = unsafe stack else { throw OpenSSLError.error("\(place) is not PEM") }
    defer { unsafe weft_info_free(stack) }
    ERR_clear_error()
    var count = 0
    let members = unsafe weft_info_count(stack)
    for index in 0..<members {
      if let x509 = unsafe weft_info_certificate(stack, index) {
        unsafe certificate(x509)
        count += 1
      }
      if let crl = unsafe weft_info_crl(stack, index) {
        unsafe revocationList(crl)
        count += 1
      }
    }
    return count
  }
}

enum IPAddressBytes {
  /// The bytes of an address in text form, nil when it is none.
  static func parse(_ text: String) -> [UInt8]? {
    var v4: [UInt8] = [0, 0, 0, 0]
    if unsafe inet_pton(AF_INET, text, &v4) == 1 { return v4 }
    var v6 = [UInt8](repeating: 0, count: 16)
    return unsafe inet_pton(AF_INET6, text, &v6) == 1 ? v6 : nil
  }
}
