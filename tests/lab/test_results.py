"""Results: a file a section, and a first page that quotes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from face_latents.cli.main import main
from face_latents.lab import commands
from face_latents.lab.commands import Evaluation
from face_latents.lab.evaluation.lsd.run import LsdEvaluation
from face_latents.lab.provenance import PAGES, describe
from face_latents.lab.results import quote_figures, table, write_section
from face_latents.models.errors import FaceLatentsError

SHIPPED = Path(__file__).parents[2] / "docs" / "results"
PAGE = "# First\n\n| Faces | ? | [finder.md](finder.md): `recall`, value | `measure` |\n\nEnd.\n"


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "results"
    write_section(folder, "finder", "Finder", "measure finder", "recall 0.5")
    write_section(folder, "face", "Face", "measure face", "psnr 20")
    write_section(folder, "finder", "Finder", "measure finder", "recall 0.9")
    text = (folder / "finder.md").read_text()
    assert text.startswith("# Finder\n\n`measure finder`\n")
    assert text.endswith("\n\nrecall 0.9\n")
    assert "psnr 20" in (folder / "face.md").read_text()
    assert sorted(file.name for file in folder.iterdir()) == ["face.md", "finder.md"]


def test_the_first_page_quotes_what_was_measured_last(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE)
    for figure in (0.5, 0.996):
        body = table({"recall": figure, "nme": 0.03})
        write_section(tmp_path, "finder", "Finder", "measure", body)
        assert (tmp_path / "README.md").read_text() == PAGE.replace("?", str(figure))


def test_the_readme_quotes_it_as_well(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PAGE)
    write_section(tmp_path / "docs/results", "finder", "Finder", "measure", table({"recall": 0.5}))
    assert (tmp_path / "README.md").read_text() == PAGE.replace("?", "0.5")


def test_a_figure_is_found_by_row_and_column(tmp_path: Path) -> None:
    tables = "| step | node, ms | ratio |\n| --- | ---: | ---: |\n| add | 2.5 |  |\n\n"
    tables += "| step | ratio |\n| --- | ---: |\n| decode | 7 |\n| add | 8 |\n"
    (tmp_path / "nodes.md").write_text(tables)
    row = "| What | - | [nodes.md](nodes.md): `{}`, {} |"
    for name, column, figure in (("add", "node, ms", "2.5"), ("decode", "ratio", "7")):
        found = quote_figures(row.format(name, column), tmp_path)
        assert found == row.format(name, column).replace("| - |", f"| {figure} |")
    with pytest.raises(FaceLatentsError, match="'seconds' of 'add'"):
        quote_figures(row.format("add", "seconds"), tmp_path)


def test_every_page_says_what_its_figures_hold_for() -> None:
    pages = [page for page in SHIPPED.glob("*.md") if page.stem != "README"]
    assert len(pages) >= 12
    for page in pages:
        words = page.read_text(encoding="utf-8").split("\n\n")[3]
        assert page.stem.partition("_")[0] in PAGES
        assert re.fullmatch(r"Models \(SHA-256\): .* Data: .* Seeds: .* Spread: .*\.", words), page


def test_a_model_of_ones_own_is_named_instead_of_the_bundled_one(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"weights")
    own, bundled = describe("face", tmp_path / "mine.safetensors"), describe("face")
    assert own.startswith("Models (SHA-256): mine.safetensors 9a12")
    assert own.partition(",")[2] == bundled.partition(",")[2]
    assert describe("unknown") == ""


def test_the_shipped_first_page_is_true() -> None:
    page = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert page.count("): `") >= 10
    assert quote_figures(page, SHIPPED) == page


def test_the_readmes_ten_figures_are_true() -> None:
    page = (SHIPPED.parents[1] / "README.md").read_text(encoding="utf-8")
    assert page.count("](docs/results/") - page.count("](docs/results/README.md)") == 10
    assert quote_figures(page, SHIPPED) == page


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text("old")
    with pytest.raises(FaceLatentsError, match="docs/results"):
        write_section(file, "face", "Face", "measure", "")
    assert file.read_text() == "old"


def test_nested_figures_become_dotted_rows() -> None:
    text = table({"recon": {"psnr": 27.31234, "n": 3}, "range": [1.0, 2.5], "runs": [{"a": "x"}]})
    assert "| `recon.psnr` | 27.31 |" in text
    assert "| `recon.n` | 3 |" in text
    assert "| `range` | 1, 2.5 |" in text
    assert "| `runs.0.a` | x |" in text


def test_another_model_s_results_leave_those_of_the_bundled_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Evaluation(("lsd", "Spectra"), LsdEvaluation, lambda *_: {"figure": 1})
    monkeypatch.setitem(commands.EVALUATIONS, "lsd", measured)
    given = ["evaluate", "lsd", "--results", str(tmp_path), "--data", str(tmp_path)]
    assert main(given) == 0
    bundled = (tmp_path / "lsd.md").read_text(encoding="utf-8")
    model = tmp_path / "my" / "gan.safetensors"
    model.parent.mkdir()
    model.write_bytes(b"weights")
    told = ["encoders=/my/e.safetensors", "--model", str(model)]
    assert main([*given[:2], *told, *given[2:]]) == 0
    assert (tmp_path / "lsd.md").read_text(encoding="utf-8") == bundled
    other = (tmp_path / "lsd_gan.md").read_text(encoding="utf-8")
    assert other.startswith(
        "# Spectra: gan\n\n`face-latents evaluate lsd encoders=FILE --data DIR "
    )
    assert "--model gan.safetensors --results docs/results`" in other
    assert "Models (SHA-256): gan.safetensors " in other
    assert "basis_digits" in bundled
    assert "basis_digits" not in other  # it is the bundled model's
    monkeypatch.setitem(commands.EVALUATIONS, "lsd", measured._replace(needs_model=True))
    assert main([*given[:2], *told, *given[2:]]) == 0
    assert (tmp_path / "lsd.md").read_text(encoding="utf-8").startswith("# Spectra\n")
