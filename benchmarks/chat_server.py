"""A chat-completions server in a process of its own: the same answer to everybody, at once."""

from __future__ import annotations

import asyncio
import json
import sys

ANSWER = json.dumps(
    {
        "evidence": [{"turn": 1, "quote": "I can help you with that myself."}],
        "rationale": "The customer asks for a person twice and is kept by the bot.",
        "label": "refused",
        "confidence": 0.9,
    }
)
REPLY = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 60, "total_tokens": 360},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(REPLY)


class Chat(asyncio.Protocol):
    """Reads requests by their content-length, however they are cut."""

    def __init__(self) -> None:
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end].lower()
            place = head.find(b"content-length:")
            size = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self.waiting) < end + 4 + size:
                return
            self.waiting = self.waiting[end + 4 + size :]
            self.transport.write(HEAD + REPLY)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Chat, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: sys.exit(0))  # ends with whoever started it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
