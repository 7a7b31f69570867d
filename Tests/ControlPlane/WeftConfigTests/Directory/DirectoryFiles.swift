/// Files as directory tests write them.
enum DirectoryFiles {
  static func rule(_ name: String, timeout: String = "1s") -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(name)}
    spec:
      hosts: [\(name)]
      http:
      - timeout: \(timeout)
        route: [{destination: {host: \(name)}}]

    """
  }
}
