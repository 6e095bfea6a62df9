"""After its end nothing of a wire reaches its owner; the rest is shown by test_client."""

import asyncio

from gateway.egress.wire import Wire


class _Owner(Wire):
    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.lost = asyncio.Event()

    def on_data(self, data: bytes) -> None:
        self.got.append(data)
        self.close()

    def on_lost(self, error: Exception | None) -> None:
        self.lost.set()


async def test_nothing_is_heard_after_a_close() -> None:
    owner = _Owner()
    server = await asyncio.get_running_loop().create_server(lambda: owner, "127.0.0.1", 0)
    async with server:
        _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"one")
        async with asyncio.timeout(10):
            await owner.lost.wait()
        owner.data_received(b"two")
        assert owner.got == [b"one"] and not owner.is_open
        writer.close()
