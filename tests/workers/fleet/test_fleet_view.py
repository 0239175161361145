from io import StringIO

from rich.console import Console

from workers.fleet.fleet_view import note_in_words, render_status

NOTE = {"time_ns": 1_700_000_000_000_000_000, "what": "moved", "stream": "gate"}


def worker(**about):
    told = {"role": "inference", "state": "ready", "node": "0123456789abcdef", "host": "10.0.0.1"}
    return told | {"restarts": 0, "streams": 1, "busy": 0.5} | about


def stream(worker="inference-1", moving_to=None, why="new stream"):
    placed = {"generation": 3, "since_s": 12.3} if worker else {"generation": None, "since_s": None}
    return {"capture": "capture", "worker": worker, "moving_to": moving_to, "why": why, **placed}


def shown(streams, workers=None, notes=(), waits=""):
    out = StringIO()
    told = {
        "fleet": "town",
        "workers": workers or {},
        "streams": streams,
        "notes": list(notes),
        "waits": waits,
    }
    Console(file=out, width=200).print(render_status(told))
    return out.getvalue()


def test_workers_streams_and_why():
    waits = {"role": "inference", "state": "waits"}
    text = shown(
        {"gate": stream(moving_to="inference-2"), "yard": stream(None, why="[no] worker has it yet")},
        {
            "inference-1": worker(),
            "inference-2": waits,
            "inference-3": worker(drain="drained"),
            "inference-4": worker(state="down", drain="draining"),
            "inference-5": worker(state="not heard"),
            "sink": worker(role="sink", busy=None, restarts=4, streams=None, page="http://127.0.0.1:8642"),
        },
    )
    for part in (
        "fleet town",
        "10.0.0.1 (01234567)",
        "50%",
        "being started by Ray: inference-2\n",
        " waiting ",
        " no answer ",
        " drained ",
        " down ",
        "web page on 10.0.0.1: http://127.0.0.1:8642\n",
        "from another machine, first run: ssh -L 8642:127.0.0.1:8642 10.0.0.1\n",
        "inference-1 -> inference-2",
        "12 s",
        "[no] worker has it yet",
    ):
        assert part in text, text
    assert "draining" not in text
    assert "None" not in text


def test_who_says_nothing_and_what_is_waited_for():
    waits = {"role": "inference", "state": "waits"}
    text = shown(
        {},
        {"inference-1": waits, "inference-2": waits | {"why": "can't begin on 10.0.0.2 ([TypeError])"}},
        waits="no streams are placed until an inference worker is ready",
    )
    assert "being started by Ray: inference-1\n" in text
    assert "inference-2: can't begin on 10.0.0.2 ([TypeError])\n" in text
    assert "no streams are placed until an inference worker is ready\n" in text
    assert "being started" not in shown({}, {"inference-2": waits | {"why": "it can't begin"}})


def test_a_table_ends_and_the_rest_is_counted():
    streams = {f"cam{n:03d}": stream("inference-1" if n % 3 else None) for n in range(100)}
    text = shown(streams)
    assert "cam039" in text
    assert "cam040" not in text
    assert "and 60 more; total: inference-1 66, unassigned 34" in text
    assert "more; total" not in shown(dict(list(streams.items())[:40]))


def test_the_newest_notes_are_there():
    text = shown({}, notes=[{**NOTE, "why": f"cause {n}."} for n in range(20)])
    assert "cause 19." in text
    assert "cause 8." in text
    assert "cause 7." not in text


def test_notes_in_words():
    about = {
        "source": "inference-1",
        "worker": "inference-2",
        "generation": 4,
        "took_ms": 12.3,
        "memory": "taken",
        "why": "to balance",
    }
    line = note_in_words(NOTE | about)
    told = "moved: gate inference-1 -> inference-2 generation 4 in 12 ms memory taken: to balance"
    assert line.partition(" ")[2] == told
    assert note_in_words(NOTE).endswith(" moved: gate")
    down = {"time_ns": 0, "what": "down", "worker": "inference-1", "why": "it died or hung"}
    assert note_in_words(down).endswith(" down: inference-1: it died or hung")
    assert note_in_words(down | {"what": "said"}).endswith(" log: inference-1: it died or hung")
