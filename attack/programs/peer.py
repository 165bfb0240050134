# A client of its own: Python's websockets and urllib. Logs in, makes a session, executes a prompt, prints the whole answer.
import asyncio
import json
import sys
import urllib.request

import websockets

url, username, password, prompt = sys.argv[1:]


def call(path, body, token=None):
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


async def main():
    token = call("/v1/auth/login", {"username": username, "password": password})["accessToken"]
    session = call("/v1/sessions", {}, token)["id"]
    texts, deltas = [], {}
    async with websockets.connect(
        url.replace("http", "ws") + "/v1/ws",
        extra_headers={"authorization": f"Bearer {token}"},
        max_size=None,
    ) as socket:
        for message in (
            {"type": "subscribe", "ref": "s", "sessionId": session},
            {"type": "execute", "ref": "e", "sessionId": session, "prompt": prompt},
        ):
            await socket.send(json.dumps(message))
        await (await socket.ping())
        async for frame in socket:
            message = json.loads(frame)
            for item in message.get("items", []):
                if item["type"] == "delta" and item.get("kind") == "text":
                    shown = deltas.get(item["block"], "")
                    deltas[item["block"]] = shown[: item["at"]] + item["text"]
                if item["type"] == "text":
                    texts.append(item["text"])
                if item["type"] == "complete":
                    await socket.close()
    print(json.dumps({"text": "".join(texts), "grown": "".join(deltas.values())}))


asyncio.run(asyncio.wait_for(main(), 60))
