"""Readings: planted ages and expressions are found, and mirrored faces have mirrored ones."""

from __future__ import annotations

import torch
from face_latents.lab.training.face.directions import Observed
from face_latents.lab.training.face.labels import LABELS
from face_latents.lab.training.face.readings import fit_age, fit_expressions, fit_presence
from face_latents.models.architectures.face.net import POSES
from face_support import COUNT, SCORES, SHAPES, small_net

FACES = 4000


def observed(codes: torch.Tensor) -> Observed:
    """Faces without labels and poses, but for their ages."""
    labels, nothing = torch.zeros(FACES, len(LABELS)), torch.zeros(1)
    generator = torch.Generator().manual_seed(1)
    labels += 0.1 * torch.randn(labels.shape, generator=generator)
    poses = 0.1 * torch.randn(FACES, 6, generator=generator)
    return Observed(labels, poses, nothing, codes, nothing)


def random_codes() -> torch.Tensor:
    return torch.randn(FACES, COUNT, generator=torch.Generator().manual_seed(0))


def test_the_age_is_read_as_it_was_planted() -> None:
    net, codes = small_net(), random_codes()
    seen = observed(codes)
    planted = torch.linspace(1, 3, COUNT) * (net.parity > 0)
    planted[:POSES] = 0
    seen.labels[:, LABELS.index("age")] = 40 + codes @ planted
    reading = fit_age(net, seen)
    assert reading.unit == "years"
    error = reading.of(codes) - seen.labels[:, LABELS.index("age")]
    assert error.abs().mean() < 0.25 * seen.labels[:, LABELS.index("age")].std()
    assert reading.weights[:POSES].abs().max() == 0
    torch.testing.assert_close(reading.of(net.mirror(codes)), reading.of(codes))


def test_an_expression_is_told_from_how_a_face_is_built() -> None:
    # Two scores move the first symmetric shape and look; the rest of the codes is the person.
    net, codes, names = small_net(), 0.3 * random_codes(), SCORES[1:]
    even = [i for i in range(POSES, COUNT) if net.parity[i] > 0]
    scores = torch.rand(FACES, len(names), generator=torch.Generator().manual_seed(2))
    jaw = names.index("jawOpen")
    codes[:, even[0]] += 3 * scores[:, jaw]
    codes[:, even[-1]] -= scores[:, jaw]
    expressions = fit_expressions(net, observed(codes), names, scores)
    calm, open_mouth = codes[:1].clone(), codes[1:2].clone()
    calm[0, even[0]], open_mouth[0, even[0]] = 0.0, 3.0
    change = expressions.change(calm, open_mouth)[0]
    assert change[even[0]] > 2
    assert -1.2 < change[even[-1]] < -0.6
    assert change[:POSES].abs().max() == 0
    others = [i for i in range(POSES, COUNT) if i not in (even[0], even[-1])]
    assert change[others].abs().max() < 0.2 * change[even[0]]
    assert expressions.readings[:, POSES + SHAPES :].abs().max() == 0
    mirrored = expressions.change(net.mirror(calm), net.mirror(open_mouth))
    torch.testing.assert_close(net.mirror(mirrored)[0], change, atol=1e-4, rtol=1e-3)


def test_glasses_are_read_whatever_else_is_edited() -> None:
    net, codes = small_net(), random_codes()
    seen = observed(codes)
    even = [i for i in range(POSES + SHAPES, COUNT) if net.parity[i] > 0]
    directions = {name: torch.zeros(COUNT) for name in ("glasses", "beard", "age")}
    directions["glasses"][even[-1]] = directions["beard"][even[-2]] = 1.0
    directions["age"][even] = 0.5
    for name in ("glasses", "beard"):
        seen.labels[:, LABELS.index(name)] = 0.3 + codes @ directions[name]
    readings = fit_presence(net, seen, directions)
    for name, reading in readings.items():
        assert reading.least == 0
        error = reading.of(codes) - seen.labels[:, LABELS.index(name)]
        assert error.std() < 0.7
        gained = {n: float(reading.of(v[None])) - reading.zero for n, v in directions.items()}
        assert gained.pop(name) > 0.3
        assert max(abs(gain) for gain in gained.values()) < 1e-4
