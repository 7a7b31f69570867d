#!/usr/bin/env python3
"""grpcio's client and server with weft-proxy between them: unary and all streaming forms, 10,000 calls, plaintext and TLS with ALPN."""
import concurrent.futures, threading, time
import lab

grpc = lab.need_module("grpc")
lab.need("openssl")


def serve(credentials=None):
    def unary(request, context):
        context.set_trailing_metadata((("seen", str(len(request))),))
        if request == b"fail":
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked, with ünicode")
        return request

    def server_stream(request, context):
        for number in range(int(request)):
            yield str(number).encode()

    def client_stream(requests, context):
        return str(sum(len(r) for r in requests)).encode()

    def both(requests, context):
        for request in requests:
            yield request[::-1]

    handlers = grpc.method_handlers_generic_handler("echo.Echo", {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Both": grpc.stream_stream_rpc_method_handler(both)})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def drive(channel, calls):
    unary = channel.unary_unary("/echo.Echo/Unary")
    server_stream = channel.unary_stream("/echo.Echo/ServerStream")
    client_stream = channel.stream_unary("/echo.Echo/ClientStream")
    both = channel.stream_stream("/echo.Echo/Both")
    window, done, errors = threading.Semaphore(64), [0], []

    def finished(future, expected):
        window.release()
        if future.exception() or future.result() != expected:
            errors.append(str(future.exception()))
        done[0] += 1

    for number in range(calls):
        window.acquire()
        message = f"message {number}".encode()
        future = unary.future(message, timeout=60)
        future.add_done_callback(lambda f, m=message: finished(f, m))
    lab.eventually("all unary calls end", lambda: done[0] == calls, 120)
    assert not errors, f"{len(errors)} of {calls} calls failed, the first: {errors[0]}"
    big = bytes(range(256)) * 12000  # 3 MB, several windows
    assert unary(big, timeout=60) == big
    assert [m for m in server_stream(b"500", timeout=60)] == [str(n).encode() for n in range(500)]
    assert client_stream((b"x" * 1000 for _ in range(500)), timeout=60) == b"500000"
    assert [m for m in both((str(n).encode() for n in range(500)), timeout=60)] == [str(n)[::-1].encode() for n in range(500)]
    try:
        unary(b"fail", timeout=10)
        raise AssertionError("the call should have failed")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION and error.details() == "as asked, with ünicode", error
    response, call = unary.with_call(b"12345", timeout=10)
    assert dict(call.trailing_metadata())["seen"] == "5"


with lab.Lab() as world:
    ca, certificate, key = world.certificates()
    plain_server, plain = serve()
    secure_server, secure = serve(grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())]))
    front, front_tls, admin = lab.free_ports(3)
    world.proxy(lab.bootstrap(
        [lab.listener(front, lab.routes(("/", "plain", {}))),
         lab.listener(front_tls, lab.routes(("/", "secure", {})), tls=(certificate, key))],
        [lab.cluster("plain", plain, http2=True), lab.cluster("secure", secure, http2=True, tls=ca)], admin), front)
    started = time.monotonic()
    with grpc.insecure_channel(f"127.0.0.1:{front}") as channel:
        drive(channel, 10000)
    with grpc.secure_channel(f"localhost:{front_tls}", grpc.ssl_channel_credentials(ca.read_bytes())) as channel:
        drive(channel, 10000)
    plain_server.stop(0)
    secure_server.stop(0)
    print(f"20,000 unary calls and every streaming form, plaintext and TLS, 0 failed ({time.monotonic() - started:.1f} s)")
