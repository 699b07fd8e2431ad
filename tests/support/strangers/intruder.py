"""What another local user may try on the ports of a study: to have a function run, by all that `distributed` takes.

`python intruder.py UID PORT...` becomes that user first, and prints, as JSON, what each port gave: ``{"PORT": [...]}``,
the answers of which there should be none. Ports of a scheduler and a worker without TLS must give some: else this is no
attack.
"""

import asyncio
import json
import os
import sys

from distributed import Client
from distributed.core import rpc
from distributed.protocol.pickle import dumps
from distributed.security import Security

WAIT_S = 3


async def _client(address, security):
    async with Client(address, security=security, asynchronous=True, timeout=WAIT_S) as client:
        return await client.submit(os.getuid)


async def _told_to_run(address, security):
    """The verb by which schedulers, workers and nannies are told to run a function themselves."""
    with_key = security.get_connection_args("client")
    async with rpc(address, connection_args=with_key, timeout=WAIT_S) as there:
        found = await there.run(function=dumps(os.getuid), args=dumps(()), kwargs=dumps({}))
    return found.get("result") if found.get("status") == "OK" else None


async def _asked_who_it_is(address, security):
    async with rpc(address, connection_args=security.get_connection_args("client"), timeout=WAIT_S) as there:
        return str(await there.identity())[:80]


async def _asks_the_web_server(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.0\r\n\r\n")
    answer = await reader.read(100)
    return answer.decode("ascii", "replace") if answer.startswith(b"HTTP") else None


async def _answers(port):
    """Answers of a port that somebody without its key should not get."""
    stranger = Security.temporary()
    attempts = {
        f"{scheme} {attempt.__name__}": attempt(f"{scheme}://127.0.0.1:{port}", security)
        for scheme, security in (("tcp", Security()), ("tls", stranger))
        for attempt in (_client, _told_to_run, _asked_who_it_is)
    } | {"web": _asks_the_web_server(port)}
    found = await asyncio.gather(*map(_given_time, attempts.values()))
    return [f"{name}: {answer}" for name, answer in zip(attempts, found, strict=True) if answer is not None]


async def _given_time(attempt):
    """What an attempt got, None if it failed in whatever way."""
    try:
        return await asyncio.wait_for(attempt, 2 * WAIT_S)
    except (Exception, asyncio.CancelledError):
        return None


async def _all(ports):
    return dict(zip(ports, await asyncio.gather(*map(_answers, ports)), strict=True))


def main():
    uid, *ports = map(int, sys.argv[1:])
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    print(json.dumps(asyncio.run(_all(ports))), flush=True)
    os._exit(0)  # refused connections need not be closed in any order


if __name__ == "__main__":
    main()
