// WeftXDS: Envoy's and xDS' messages, and the way from them to Weft's own model.
//
// Owns      Generated/ (the messages, written by protoc-gen-weft), Convert/ (messages → WeftModel, with typed errors
// and field paths), and the
//           type URLs of discovery (TypeURL.swift).
// Never     does I/O, keeps a stream, or decides what is in force. Nobody else in the data plane looks into these
// messages.
// Neighbours below: WeftProtobuf, WeftModel. Above: WeftProxy (bootstrap, discovery client), and the control plane,
// which only builds messages.
// Threads   none; values, and a `Converter` that belongs to one conversion.
