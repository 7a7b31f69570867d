import COpenSSL

/// Digests of whole messages, by OpenSSL. *Cost*: allocates the result; cold paths.
package enum MessageDigest {
  /// 32 bytes.
  package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    _ = unsafe SHA256(bytes, bytes.count, &digest)
    return digest
  }

  /// 20 bytes. Protects nothing: for protocols that name it, such as WebSocket's handshake.
  package static func sha1(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 20)
    _ = unsafe SHA1(bytes, bytes.count, &digest)
    return digest
  }
}
