# Mints tokens with PyJWT: reads {"key": base64, "tokens": [{"header", "payload", "alg"}]}, prints a JSON list.
import base64
import json
import sys

import jwt

asked = json.load(sys.stdin)
key = base64.b64decode(asked["key"])
print(
    json.dumps(
        [
            jwt.encode(
                one["payload"],
                None if one["alg"] == "none" else key,
                algorithm=one["alg"],
                headers=one["header"],
            )
            for one in asked["tokens"]
        ]
    )
)
