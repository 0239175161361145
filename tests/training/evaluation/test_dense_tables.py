from io import StringIO

from rich.console import Console, Group

from pipeline.training.evaluation.dense_tables import render_dense
from pipeline.training.evaluation.metrics import Report

ERRORS = {"epe": 0.5, "dis_epe": 0.4, "dis_fast_epe": 0.6, "dis_ultrafast_epe": 0.7, "farneback_epe": 0.9}
CORRUPTED = dict.fromkeys(("noise", "low_light", "light_jump", "jpeg", "h264"), ERRORS)
MASKS = {"frames": 1225, "f": 0.8, "precision": 0.75, "recall": 0.9, "j": 0.6}
MOG2 = {"mog2_f": 0.7, "mog2_precision": 0.7, "mog2_recall": 0.7, "mog2_j": 0.5}
SPEED = {"things": 120, "speed_error": 0.15, "dis_speed_error": 0.2}
STILL = {"frames": 1000, "false_share": 0.001, "things": 3, "mog2_false_share": 0.2}
METRICS: Report = {
    "flow": {
        "other-gt-flow/RubberWhale": {**ERRORS, "known": 0.98, "corrupted": CORRUPTED},
        "final/ambush_2/0001": {**ERRORS, "epe": 30.25, "known": 1.0, "corrupted": CORRUPTED},
    },
    "uncertainty": {
        "bins": [{"expected": 0.1 * n, "real": 0.1 * n} for n in range(10)],
        "calibration_error": 0.0,
        "within": 0.63,
        "within_3": 0.95,
    },
    "moving": {
        "cameraJitter/traffic": {"kind": "cdnet", **MASKS, **MOG2, **SPEED},
        "dynamicBackground/fall": {"kind": "cdnet", **MASKS, **MOG2, "f": 0.4, "things": 0},
        "car-roundabout": {"kind": "davis", **MASKS, **MOG2},
    },
    "still": {
        name: {**STILL, "flow_median": 0.05, "flow_p99": 0.3, "dis_median": 0.1, "dis_p99": 12.0}
        for name in ("noise", "light", "codec")
    },
    "camera": {
        "sevenscenes/chess": {
            **ERRORS,
            "frames": 47,
            "dis_fit_epe": 2.0,
            "best_fit_epe": 0.9,
            "flow_epe": 1.0,
        }
    },
}


def printed(metrics: Report) -> str:
    file = StringIO()
    Console(file=file, width=80).print(Group(*render_dense(metrics)))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text, "nothing is cut off in 80 columns"
    return text


def test_all_tables_fit_80_columns() -> None:
    text = printed(METRICS)
    for heading in ("network", "ultrafast", "Farneback", "MOG2 F", "MOG2 J", "least certain", "best fit:"):
        assert heading in text
    assert "JPEG, quality 15" in text


def test_velocities_are_those_of_sequences_with_things() -> None:
    text = printed(METRICS)
    rows = text[text.index("Velocity of objects") :].splitlines()
    (street,) = (line.split() for line in rows if "cameraJitter" in line)
    assert [cell for cell in street if cell[0].isdigit()] == ["120", "0.15", "0.20"]
    assert not any("dynamicBackground" in line for line in rows)


def test_the_worst_come_first_and_the_mean_last() -> None:
    text = printed(METRICS)
    assert text.index("ambush_2") < text.index("other-gt-flow") < text.index("mean of 2")
    assert text.index("dynamicBackground") < text.index("cameraJitter")
    mean = next(line for line in text.splitlines() if "mean of 2" in line)
    assert "15.38" in mean
    assert "0.600" in [line for line in text.splitlines() if "mean of 2" in line][1], "F of 0.8 and 0.4"


def test_sections_that_were_not_asked_for_are_left_out() -> None:
    assert render_dense({}) == []
    text = printed({"camera": METRICS["camera"]})
    assert "Camera motion" in text
    assert "MOG2" not in text
