"""The figures of `evaluate lsd` as readable Markdown tables; every best is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...results import markdown_table

Figures = Mapping[str, Any]

_MEASURES = {"accuracy": ("Held-out accuracy", 3), "psnr": ("PSNR, dB", 2), "ssim": ("SSIM", 3)}
_METHODS = {
    "noisy": "damaged input",
    "median": "median filter",
    "total_variation": "total variation",
    "non_local_means": "non-local means",
    "decode": "plain decode of the code",
    "pca_top_k": "PCA top-k, equal k",
    "pca_leading_k": "PCA first k, equal k",
    "random_top_k": "random top-k, equal k",
    "pca_best_k": "PCA top-k, own best k",
    "random_best_k": "random top-k, own best k",
    "paper_top_k": "paper's top-k, own best k",
    "lsd_one_setting": "LSD, one setting for all",
    "lsd": "LSD, setting per noise",
}
_ROTATIONS = {
    "rotate": "rotation (ours)",
    "rotate_paper_basis": "rotation in the paper's basis",
    "paper_rank_1": "paper's rank-1 operator",
    "lerp_to_mean": "lerp to the class mean, t = 1",
    "lerp_matched": "lerp stopped at equal success",
    "nothing": "no change (upper end of style)",
    "exchange": "another writer's digit (lower end)",
}
_ROTATION_COLUMNS = {
    "success_rate": "success",
    "worst_pair": "worst pair",
    "style_survival": "style survival",
    "complement": "complement",
    "thickness": "thickness",
    "slant": "slant",
    "complement_distance": "complement distance",
    "monotonic_paths": "monotonic paths",
    "successful_paths": "and successful",
}
_RANKS = (1, 2, 3, 5, 10)
_RIVALS = ("decode", "pca_top_k", "random_top_k", "pca_best_k", "paper_top_k")


def report(figures: Figures) -> str:
    """All tables, separated by paragraphs that say what they hold.

    Args:
        figures: of `evaluate_lsd`.
    """
    encoders = figures["encoders"]
    parts = [_setup(figures), _claims(figures["claims"]), *_basis(figures)]
    for key, encoder in encoders.items():
        found = figures[_of("denoise", key)]
        parts += [*_denoising(found, encoder), _settings(found)]
        if not key:
            parts.append(f"One setting for all: {figures['denoise_one_setting']}.")
        parts += [
            f"LSD against others on the same digits, {encoder}: digits that LSD alone reads right, "
            "less those that the other alone reads right, with McNemar's p; how far LSD's PSNR is "
            "ahead, in dB, with its interval of 95%. With ten noises, a p above 0.005 is no find:",
            _paired(found),
        ]
    parts += [*_by_k(figures["denoise_by_k"]), _clipping(figures["denoise_clipping"])]
    for key, encoder in encoders.items():
        turned = figures[_of("rotation", key)]
        parts += [
            f"Rotation, {encoder}. The last two columns: how far the rotation (ours) is ahead on "
            "the same digits, with intervals of 95%:",
            _rotation(turned),
        ]
    return "\n\n".join(parts)


def _of(part: str, key: str) -> str:
    """Key of a part of the figures, of the model's own encoder ("") or of another one."""
    return f"{part}_{key}" if key else part


def _setup(figures: Figures) -> str:
    counts, notes = figures["counts"], figures["notes"]
    denoise, clean = counts["denoise"], counts["clean"]
    lines = [
        f"Test digits: {counts['readings']} for the readings; {denoise['test']} per seed for "
        f"denoising ({denoise['slow']} for total variation and non-local means, {clean['test']} "
        f"with other encoders); {counts['per_label']} per label for rotation. Settings chosen "
        f"on {denoise['tune']} training digits. Seeds {figures['seeds']}; "
        f"{figures['seconds']:.0f} s. Basis: {figures['basis_used']}.",
        *(f"- {name.replace('_', ' ')}: {text}." for name, text in notes.items()),
    ]
    return "\n\n".join([lines[0], "\n".join(lines[1:])])


def _claims(claims: Sequence[Figures]) -> str:
    rows = [
        (
            claim["claim"],
            claim["aim"],
            _text(claim["figure"], 4),
            claim.get("seeds_ahead", ""),
            "yes" if claim["met"] else "NO",
        )
        for claim in claims
    ]
    return markdown_table(("aim", "wanted", "measured", "seeds ahead", "met"), rows)


def _basis(figures: Figures) -> list[str]:
    basis, sides = figures["basis"], tuple(figures["basis"]["rank"])
    rows = [
        (name.replace("_", " "), *(_text(basis[name][side], 7) for side in sides))
        for name in (
            "rank",
            "condition",
            "raw_condition",
            "orthogonality_error",
            "reconstruction_error",
            "labels_one_to_one",
            "minus_keeps_label",
        )
    ]
    head = ("figure", *(side.replace("_", ", ") + " completion" * ("_" in side) for side in sides))
    tables = ["Basis, the paper's construction and ours:", markdown_table(head, rows)]
    for key, encoder in figures["encoders"].items():
        rows = _reading_rows(figures[_of("readings", key)], sides)
        tables += [f"Readings, kept apart, {encoder}:", markdown_table(head, rows)]
    return tables


def _reading_rows(readings: Figures, sides: Sequence[str]) -> list[tuple[str, ...]]:
    curves = readings["rank_cumulative"]
    rules = readings["accuracy_by_rule"]
    values = {  # by side
        "in a label slot (1 - gibberish)": readings["in_label_slots"],
        "energy in the label subspace": readings["energy"],
    }
    for r in (r for r in _RANKS if r <= len(curves["ours"])):
        curve = {side: curves[side][r - 1] for side in sides}
        values[f"label among the {r} largest of all"] = curve
    for rule in rules["ours"]:
        accuracy = {side: rules[side][rule] for side in sides}
        values[f"accuracy by {rule.replace('_', ' ')}"] = accuracy
    values["classifier accuracy, own rule"] = readings["classifier_accuracy"]
    return [(name, *(f"{found[side]:.4f}" for side in sides)) for name, found in values.items()]


def _denoising(denoise: Figures, encoder: str) -> list[str]:
    levels = [(noise, level) for noise, found in denoise.items() for level in found]
    first = denoise[levels[0][0]][levels[0][1]]
    names = [name for name in _METHODS if name in first]
    tables = []
    for measure, (title, digits) in _MEASURES.items():
        rows = []
        for name in names:
            found = [denoise[noise][level][name] for noise, level in levels]
            pairs = ((one[measure], one["spread"][measure]) for one in found)
            cells = (f"{value:.{digits}f} ± {spread:.{digits}f}" for value, spread in pairs)
            rows.append((_METHODS[name], *cells))
        rows.append(("best", *(_best(denoise[n][level], measure) for n, level in levels)))
        head = ("method", *(f"{noise.replace('_', ' ')} {level}" for noise, level in levels))
        tables += [
            f"{title}, {encoder}; mean and spread over the seeds:",
            markdown_table(head, rows),
        ]
    return tables


def _paired(denoise: Figures) -> str:
    first = next(iter(next(iter(denoise.values())).values()))
    names = [name for name in _RIVALS if name in first]
    rows = []
    for noise, levels in denoise.items():
        for level, methods in levels.items():
            cells = []
            for name in names:
                found = methods[name]["against_lsd"]
                read, ahead = found["accuracy"], found["psnr"]
                cells += [
                    f"{read['first_only']} - {read['second_only']}, p {read['p']:.2g}",
                    _interval(ahead, 2),
                ]
            rows.append((f"{noise.replace('_', ' ')} {level}", *cells))
    titles = [(f"{_METHODS[name]}: read right", "PSNR") for name in names]
    return markdown_table(("noise", *(text for pair in titles for text in pair)), rows)


def _interval(found: Figures, digits: int) -> str:
    low, high = (f"{found[end]:+.{digits}f}" for end in ("low", "high"))
    return f"{found['mean']:+.{digits}f} ({low} to {high})"


def _best(found: Figures, measure: str) -> str:
    """The method with the highest figure, where no other one comes within the spread of either."""
    best = max(found, key=lambda name: found[name][measure])
    spread = {name: one["spread"][measure] for name, one in found.items()}
    near = [
        name
        for name, one in found.items()
        if found[best][measure] - one[measure] <= max(spread[best], spread[name])
    ]
    return _METHODS[best] if near == [best] else f"none: {len(near)} within the spread"


def _settings(denoise: Figures) -> str:
    columns = {
        "lsd": "LSD",
        "pca_best_k": "PCA, own best",
        "median": "median",
        "total_variation": "total variation",
        "non_local_means": "non-local means",
    }
    rows = []
    for noise, levels in denoise.items():
        for level, methods in levels.items():
            used = [n for n in columns if n in methods]
            texts = (methods[name]["setting"] for name in used)
            rows.append((f"{noise.replace('_', ' ')} {level}", *texts))
    head = ("settings chosen on training digits", *(columns[name] for name in used))
    return markdown_table(head, rows, len(head))


def _by_k(by_k: Figures) -> list[str]:
    tables = []
    for noise, methods in by_k.items():
        counts = list(dict.fromkeys(k for found in methods.values() for k in found))
        counts.sort(key=int)
        rows = []
        for name, found in methods.items():
            cells = (
                f"{found[k]['accuracy']:.3f} / {found[k]['psnr']:.1f}" if k in found else ""
                for k in counts
            )
            rows.append((name.replace("_", " "), *cells))
        head = ("method", *(f"k = {k}" for k in counts))
        title = f"Accuracy / PSNR against k, {noise}, length restored, one seed:"
        tables += [title, markdown_table(head, rows)]
    return tables


def _clipping(clipping: Figures) -> str:
    rows = [
        (
            f"sigma {level}",
            *(
                f"{found[side]['accuracy']:.3f} / {found[side]['psnr']:.2f}"
                for side in ("clipped", "not_clipped")
            ),
        )
        for level, found in clipping.items()
    ]
    head = ("accuracy / PSNR of the input", "clipped to [0, 1]", "not clipped")
    return markdown_table(head, rows)


def _rotation(rotation: Figures) -> str:
    rows = []
    for name, title in _ROTATIONS.items():
        found = rotation[name]
        values = [{**found, **found["style_parts"]}.get(key) for key in _ROTATION_COLUMNS]
        title = f"{title} (t = {found['share']:g})" if "share" in found else title
        against = found.get("against_rotate", {})
        ahead = (
            _interval(against[key], 3) if key in against else ""
            for key in ("success_rate", "style_survival")
        )
        cells = ("" if value is None else f"{value:.3f}" for value in values)
        rows.append((title, *cells, *ahead))
    head = (*_ROTATION_COLUMNS.values(), "ours ahead: success", "style")
    return markdown_table(("90 degrees, all ordered pairs", *head), rows)


def _text(value: Any, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
