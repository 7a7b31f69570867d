// protoc-gen-weft: a protoc plugin that writes Swift for WeftProtobuf.
//
// Reads a CodeGeneratorRequest on standard input, writes a CodeGeneratorResponse on standard output:
//   protoc --plugin=protoc-gen-weft=PATH --weft_out=DIR --weft_opt=registry=EnvoyTypes -I Protos FILES…
// One Swift file per .proto (`envoy/type/v3/http.proto` → `envoy_type_v3_http.pb.swift`), and with `registry=NAME` a
// file `NAME.pb.swift` that lists every top-level message, for TypeRegistry. Names: see Naming.swift.
// Files of google.protobuf and google.rpc.Status are not generated when others import them: WeftProtobuf has them.
internal import Glibc
internal import WeftProtobuf

func standardInput() -> [UInt8] {
  var input: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = unsafe read(0, &chunk, chunk.count)
    if count <= 0 { return input }
    input += chunk[..<count]
  }
}

func standardOutput(_ bytes: [UInt8]) {
  var at = 0
  while at < bytes.count {
    let count = unsafe bytes[at...].withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) }
    if count <= 0 { exit(1) }
    at += count
  }
}

func respond(to input: [UInt8]) -> Google_Protobuf_CodeGeneratorResponse {
  var response = Google_Protobuf_CodeGeneratorResponse()
  response.supportedFeatures = 3  // proto3 optional, editions
  response.minimumEdition = 998
  response.maximumEdition = 1000
  do {
    let request = try Google_Protobuf_CodeGeneratorRequest(serialized: input)
    response.file = try Generator(request).files()
  } catch {
    response.error = "\(error)"
  }
  return response
}

standardOutput(respond(to: standardInput()).serialized())
