"""The same weights asked with other rounds, fewer past frames, smaller pictures, and the residual alone."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.dense_ablation import VARIANTS, main
from tests.training.evaluation.data_sets import shifted_pair, write_cdnet, write_npz_pair


def test_each_variant_is_a_row_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_npz_pair(tmp_path / "flow" / "shifted", *shifted_pair(5, -3))
    write_cdnet(tmp_path / "masks" / "street", frames=10)
    out = tmp_path / "rows.json"
    folders = ["--flow", str(tmp_path / "flow"), "--moving", str(tmp_path / "masks")]
    monkeypatch.setattr(
        sys,
        "argv",
        ["dense_ablation", *folders, "--every", "3", "--out", str(out), "--weights", "again=motion_resnet18"],
    )
    main()
    printed = capsys.readouterr().out
    document = json.loads(out.read_text())
    assert document["cdnet"] == ["street"]
    rows = {row["variant"]: row for row in document["rows"]}
    assert list(rows) == [*VARIANTS, "again"]
    errors = {name: row["epe"]["shifted"] for name, row in rows.items()}
    assert errors["as shipped"] < 0.7 < np.hypot(5, 3)
    assert errors["as shipped"] == errors["mask from the residual alone"], "only the mask is another"
    assert rows["again"] == rows["as shipped"] | {"variant": "again"}
    masks = {name: row["moving"]["street"]["f"] for name, row in rows.items()}
    assert (
        len({masks[name] for name in ("as shipped", "one past frame", "mask from the residual alone")}) == 3
    )
    assert len(set(errors.values())) >= 8, "rounds and sizes of the picture matter"
    assert f"| as shipped | 1, 2, 2 | {errors['as shipped']:.3f} | {masks['as shipped']:.3f} | - |" in printed
    monkeypatch.setattr(sys, "argv", ["dense_ablation", "--show", str(out)])
    main()
    assert capsys.readouterr().out == printed
