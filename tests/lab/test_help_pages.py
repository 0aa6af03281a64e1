"""The help pages state inputs and outputs as the nodes' tooltips do."""

from __future__ import annotations

from face_latents.lab import help_pages


def test_the_pages_are_what_the_command_writes():
    for file, text in help_pages.pages().items():
        assert file.read_text(encoding="utf-8") == text, (
            f"{file.name} is not up to date: run python -m face_latents.lab.help_pages"
        )


def test_text_written_by_hand_stays():
    written = (
        "# Lerp\n\nMine.\n\n## Inputs\n\n- old\n\n## Outputs\n\n- old\n\n## Good to know\n\n- x\n"
    )
    text = help_pages.page("FaceLatentsLerp", written)
    assert text.startswith("# Lerp\n\nMine.\n\n## Inputs\n\n- **a** (FACE_LATENT): ")
    assert text.endswith("\n\n## Good to know\n\n- x\n")
    assert "- old" not in text
    assert help_pages.page("FaceLatentsLerp", text) == text


def test_a_new_node_gets_a_page():
    text = help_pages.page("FaceLatentsMorph")
    assert text.startswith("# Morph\n\nMakes an animation")
    assert "\n\n## Inputs\n\n" in text
    assert "\n- **easing** (choice, optional): Speed" in text
    assert text.endswith("\n")


def test_inputs_that_are_alike_share_a_line():
    text = help_pages.page("FaceLatentsAttributeSheet")
    assert (
        "- **direction_2**, **direction_3**, **direction_4** (FACE_DIRECTION, optional): " in text
    )
