"""A fan-out server on socketify (uWebSockets inside), for `fanout` to compare with: viewers on /ws, one order a byte on /control.

    python socketify_fanout.py PORT BYTES
"""

import sys

from socketify import App, CompressOptions, OpCode

PORT, BYTES = int(sys.argv[1]), int(sys.argv[2])
MESSAGE = "x" * BYTES
LIMITS = {
    "compression": CompressOptions.DISABLED,
    "max_backpressure": 16 * 1024 * 1024,
    "idle_timeout": 120,
}

app = App()


def join(ws):
    ws.subscribe("fleet")


def publish(ws, message, opcode):
    for _ in range(len(message)):
        app.publish("fleet", MESSAGE, OpCode.TEXT)


app.ws("/ws", {**LIMITS, "open": join})
app.ws("/control", {**LIMITS, "message": publish})
app.listen(PORT, lambda config: print("listening", flush=True))
app.run()
