"""`python -m shoesai.picture_child`: makes pictures safe in a process of its own, whose memory has a limit.

A picture that would take all memory, or never end, takes this process along and nothing else. It says {} when it is
ready. Then it reads one line of JSON {"path", "out"}, writes the clean PNG to `out` and answers with a line
{"width", "height"} or {"problem"}; until its stdin closes. Its words are English, as everything is that is kept.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from django.conf import settings

MEMORY_BYTES = 1200 * 1024 * 1024  # of address space, of which libraries take about 200 MB without using it


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    settings.configure(USE_I18N=False, USE_THOUSAND_SEPARATOR=True)
    answer: dict[str, object]
    from shoesai.pictures import NotAPicture, read_picture

    print("{}", flush=True)
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        try:
            picture = read_picture(Path(asked["path"]).read_bytes())
        except NotAPicture as problem:
            answer = {"problem": str(problem)}
        except MemoryError:
            answer = {"problem": "takes more memory than a picture may."}
        else:
            Path(asked["out"]).write_bytes(picture.png)
            answer = {"width": picture.width, "height": picture.height}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
