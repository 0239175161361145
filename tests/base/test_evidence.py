"""Where evidence is."""

from pathlib import Path

from pipeline.base.evidence import FILES, evidence_folder


def test_the_folder_of_an_event_is_known_from_its_id() -> None:
    assert evidence_folder(Path("outputs/evidence"), "5f3a9c0d1e2b4a67") == Path(
        "outputs/evidence/5f3a9c0d1e2b4a67"
    )
    assert len(set(FILES)) == len(FILES)
