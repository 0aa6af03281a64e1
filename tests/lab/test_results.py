"""RESULTS.md keeps what other commands wrote and replaces only the section measured anew."""

from __future__ import annotations

from pathlib import Path

from face_latents.lab.results import table, write_section


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    write_section(file, "Finder", "measure finder", "recall 0.5")
    write_section(file, "Face", "measure face", "psnr 20")
    write_section(file, "Finder", "measure finder", r"recall \1 0.9")
    text = file.read_text()
    assert text.startswith("# Results")
    assert text.count("## Finder") == text.count("## Face") == 1
    assert "recall 0.5" not in text
    assert r"recall \1 0.9" in text
    assert "psnr 20" in text
    assert text.index("## Finder") < text.index("## Face")
    assert list(tmp_path.iterdir()) == [file]


def test_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    for _ in range(2):
        write_section(file, "Finder", "measure", "recall 1")
        first = file.read_bytes()
        write_section(file, "Finder", "measure", "recall 1")
        assert file.read_bytes() == first


def test_nested_figures_become_dotted_rows() -> None:
    text = table({"recon": {"psnr": 27.31234, "n": 3}, "range": [1.0, 2.5], "runs": [{"a": "x"}]})
    assert "| `recon.psnr` | 27.31 |" in text
    assert "| `recon.n` | 3 |" in text
    assert "| `range` | 1, 2.5 |" in text
    assert "| `runs.0.a` | x |" in text
