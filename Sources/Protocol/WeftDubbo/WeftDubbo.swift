// WeftDubbo: Dubbo 2's frames, and as much of hessian2 as their heads are made of. Sans-I/O.
//
// *Owns*: the frame's 16 bytes, the head of a request body (service, method, types, attachments), what tells one answer from another, and the few frames
// that a proxy makes itself. *Never does*: I/O, and decoding of arguments or results: they are stepped over or left alone. *Neighbours*: WeftHTTP, in
// whose `MessageHead` a request's head is laid out; WeftProtocols, which makes a codec of this.
//
// *Source*: the Dubbo 2 protocol and the Hessian 2.0 serialization protocol as published; where they leave a choice, what Dubbo's own Java codec does.

import WeftBase
