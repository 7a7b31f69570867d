// StableIdentity: hashes of configuration that are the same in every process, for what identities are made of.

package import WeftBase

// Each feeds every stored property, in order of declaration: `StableIdentityTests` counts them.

extension Address: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    switch self {
    case .socket(let host, let port):
      hasher.combine(0)
      hasher.combine(host)
      hasher.combine(port)
    case .pipe(let path):
      hasher.combine(1)
      hasher.combine(path)
    case .internalListener(let name, let endpointID):
      hasher.combine(2)
      hasher.combine(name)
      hasher.combine(endpointID)
    }
  }
}

extension ExtensionConfig: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(typeName)
    hasher.combine(message)
  }
}

extension CIDRRange: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(bytes: bytes)
    hasher.combine(prefixLength)
  }
}

extension TCPKeepalive: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(probes)
    hasher.combine(time)
    hasher.combine(interval)
  }
}

extension SocketOption: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(level)
    hasher.combine(name)
    switch value {
    case .integer(let number):
      hasher.combine(0)
      hasher.combine(number)
    case .bytes(let bytes):
      hasher.combine(1)
      hasher.combine(bytes: bytes)
    }
    switch stage {
    case .prebind: hasher.combine(0)
    case .bound: hasher.combine(1)
    case .listening: hasher.combine(2)
    }
  }
}

extension UpstreamBinding: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(address)
    hasher.combine(otherAddress)
    hasher.combine(freebind)
    hasher.combine(socketOptions)
  }
}

extension ExtensionTypes: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    switch self {
    case .all: hasher.combine(0)
    case .some(let types):
      hasher.combine(1)
      hasher.combine(bytes: types.sorted())
    }
  }
}

extension ProxyProtocolHeaderSettings: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(version.rawValue)
    hasher.combine(passed)
    hasher.combine(added)
  }
}

extension ProxyProtocolHeaderSettings.Extension: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(type)
    hasher.combine(bytes: value)
  }
}

extension HTTP2Options: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(hpackTableBytes)
    hasher.combine(maxConcurrentStreams)
    hasher.combine(initialStreamWindowBytes)
    hasher.combine(initialConnectionWindowBytes)
    hasher.combine(maxOutboundControlFrames)
    hasher.combine(maxConsecutiveEmptyFrames)
    hasher.combine(keepalive)
  }
}

extension HTTP2Options.Keepalive: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(interval)
    hasher.combine(timeout)
    hasher.combine(intervalJitterPercent.bitPattern)
    hasher.combine(connectionIdleInterval)
  }
}

extension FilterChainMatch: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(destinationPort)
    hasher.combine(destinationPrefixes)
    hasher.combine(serverNames)
    hasher.combine(transportProtocol)
    hasher.combine(applicationProtocols)
    hasher.combine(directSourcePrefixes)
    hasher.combine(sourceType.rawValue)
    hasher.combine(sourcePrefixes)
    hasher.combine(sourcePorts)
  }
}

extension StringMatcher: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    switch pattern {
    case .exact(let text):
      hasher.combine(0)
      hasher.combine(text)
    case .prefix(let text):
      hasher.combine(1)
      hasher.combine(text)
    case .suffix(let text):
      hasher.combine(2)
      hasher.combine(text)
    case .contains(let text):
      hasher.combine(3)
      hasher.combine(text)
    case .regex(let text):
      hasher.combine(4)
      hasher.combine(text)
    }
    hasher.combine(ignoreCase)
  }
}

extension CertificateValidation.SANMatcher: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    switch type {
    case .email: hasher.combine(0)
    case .dns: hasher.combine(1)
    case .uri: hasher.combine(2)
    case .ipAddress: hasher.combine(3)
    case .any: hasher.combine(4)
    }
    hasher.combine(matcher)
  }
}

extension DataSource: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    switch self {
    case .file(let path):
      hasher.combine(0)
      hasher.combine(path)
    case .inline(let bytes):
      hasher.combine(1)
      hasher.combine(bytes: bytes)
    case .environment(let variable):
      hasher.combine(2)
      hasher.combine(variable)
    }
  }
}

extension CertificateValidation: StablyHashable {
  package func hash(into hasher: inout StableHasher) {
    hasher.combine(trustedCA)
    hasher.combine(trustsSystem)
    hasher.combine(subjectAltNames)
    hasher.combine(certificateHashes)
    hasher.combine(publicKeyHashes)
    hasher.combine(revocationList)
    hasher.combine(allowExpired)
    hasher.combine(acceptUntrusted)
    hasher.combine(watchedDirectory)
  }
}
