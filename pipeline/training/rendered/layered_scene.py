"""Random layered scenes: background, moving objects and camera motion."""

import math

import msgspec
import torch
from torch import Tensor

from pipeline.training.rendered.draw import uniform
from pipeline.training.rendered.renderer import Share
from pipeline.training.rendered.scene_batch import Layer, Scenes, choose, chunks, stacked
from pipeline.training.rendered.scene_layers import Path, Shape

GROUPS, MEMBERS = 3, 3
"""Layers in front of the background form groups: a body with limbs, or independent objects."""
_NEARER = (1.0, 0.5)  # multiples of plane_share, one for each nearer part of the scene
FIRST_THING = 1 + len(_NEARER)
"""Index of the first object layer; layers before it are the background and nearer parts of it."""
_REFERENCE = 96.0  # half of 192 px, the frame width for which speeds are given in pixels


class LayeredScene(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Content of layered scenes."""

    standing_share: Share = 0.45
    """Share of clips with a static camera; it shakes in half of them, as does a moving camera."""
    following_share: Share = 0.35
    """Share of clips with objects and a moving camera in which it keeps the first object near the centre."""
    parallax_share: Share = 0.5
    """Share of clips with a moving camera in which nearer parts move faster; in others it only rotates."""
    distant_share: Share = 0.25
    """Share of clips without a followed object whose objects are small and upright, like distant people."""
    empty_share: Share = 0.15
    """Share of clips without moving objects."""
    fixed_share: Share = 0.3
    """Share of layers that are static parts of the scene."""
    swaying_share: Share = 0.12
    """Share of layers that are leaves or water, which move in place."""
    body_share: Share = 0.4
    """Share of groups that are a body with swinging limbs."""
    bare_share: Share = 0.6
    """Share of layers that have hardly any texture in parts, like walls, roads and sky."""
    company_share: Share = 0.25
    """Share of groups whose objects move side by side, like cars and people."""
    plane_share: Share = 0.4
    """Share of clips with a nearer part of the scene; independently, half as many get another one."""
    shadow_share: Share = 0.5
    """Share of objects that cast a shadow."""
    blur_share: Share = 0.25
    """Share of clips with motion blur."""
    rolling_share: Share = 0.3
    """Share of clips with a rolling shutter."""
    cover_share: Share = 0.04
    """Share of clips with objects in which a large one passes close to the camera."""
    rain_share: Share = 0.06
    """Share of clips with rain or snow."""
    overlay_share: Share = 0.12
    """Share of clips with a burnt-in logo or clock."""
    dark_share: Share = 0.15
    """Share of clips in low light."""
    noisy_share: Share = 0.12
    """Share of clips with the noise of a cheap camera at high gain."""
    compressed_share: Share = 0.25
    """Share of clips with blocking artefacts of strong compression."""
    skipped_share: Share = 0.2
    """Share of clips in which static blocks repeat the previous frame, as in video codecs."""
    encoded_share: Share = 0.15
    """Share of clips encoded with a real codec, JPEG or H.264."""


class _Maker:
    """Random numbers of one batch, and its sample times."""

    def __init__(self, n: int, times: Tensor, aspect: float, generator: torch.Generator) -> None:
        self.n, self.times, self.aspect, self.generator = n, times, aspect, generator
        self.jitter_at = times.round()

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int) -> Tensor:
        return uniform(self.generator, (self.n, *shape), low, high)

    def log_uniform(self, low: float, high: float) -> Tensor:
        return self.uniform(math.log(low), math.log(high)).exp()

    def chance(self, share: float) -> Tensor:
        return (self.uniform() < share).float()

    def sign(self) -> Tensor:
        return self.chance(0.5) * 2 - 1

    def direction(self) -> Tensor:
        angle = self.uniform(0, 2 * math.pi)
        return torch.polar(torch.ones_like(angle), angle)

    def per_frame(self, *shape: int) -> Tensor:
        """Normal random numbers ``(n, S, ...)``, equal for all times of one frame."""
        frames = int(self.jitter_at.abs().max()) + 1
        drawn = torch.randn((self.n, frames, *shape), generator=self.generator, device=self.times.device)
        return drawn[:, (-self.jitter_at).long()]

    def travelled(self) -> Tensor:
        """Time with random acceleration, ``(n, S)``, 0 at the newest frame."""
        return self.times * (1 + self.uniform(-0.4, 0.4)[:, None] * self.times / 2)


def random_scenes(
    n: int, times: Tensor, aspect: float, options: LayeredScene, generator: torch.Generator
) -> Scenes:
    """Draws random scenes.

    Args:
        n: Number of scenes.
        times: ``(S,)`` in frames, 0 for the newest, -1 for the one before ...; fractions for motion blur.
        aspect: Height divided by width of the frames.
        options: Content of the scenes.
        generator: Random generator.
    """
    make = _Maker(n, times, aspect, generator)
    turn, shift, skew, moving = _camera(make, options)
    parallax = make.chance(options.parallax_share)
    planes = [_plane(make, turn, shift, parallax, share * options.plane_share) for share in _NEARER]
    density = make.uniform() * (1 - make.chance(options.empty_share))
    following = moving * make.chance(options.following_share) * (density > 0)
    distant = make.chance(options.distant_share) * (1 - following)
    things = _things(make, (turn, shift), density, (following, distant), options)
    things[-1] = choose(make.chance(options.cover_share) * (density > 0), _passer(make), things[-1])
    layers = [_background(make, turn, shift, moving * parallax), *planes, *things]
    return Scenes(layers, (torch.view_as_real(turn), torch.view_as_real(shift)), skew)


def _things(
    make: _Maker,
    camera: tuple[Tensor, Tensor],
    density: Tensor,
    kinds: tuple[Tensor, Tensor],
    options: LayeredScene,
) -> list[Layer]:
    """All groups, drawn as one large batch, because many small tensors would be slower than rendering."""
    count = GROUPS * MEMBERS
    all_ = _Maker(make.n * count, make.times, make.aspect, make.generator)
    following, distant = kinds
    density = torch.where(distant > 0, density.sqrt(), density)
    turn, shift, wanted, far = (x.repeat(count, *(1,) * (x.ndim - 1)) for x in (*camera, density, distant))
    follows = torch.cat((following, torch.zeros_like(following).repeat(count - 1)))
    things = chunks(_thing(all_, (turn, shift), wanted, (follows, far), options), count)
    bodies = [things[group * MEMBERS] for group in range(GROUPS) for _ in range(MEMBERS - 1)]
    parts = _Maker(make.n * len(bodies), make.times, make.aspect, make.generator)
    others = [things[group * MEMBERS + member] for group in range(GROUPS) for member in range(1, MEMBERS)]
    limbs = iter(chunks(_limb(parts, stacked(bodies)), len(bodies)))
    beside = iter(chunks(_companion(parts, stacked(bodies), stacked(others)), len(bodies)))
    for group in range(GROUPS):
        kind = make.uniform()
        body = (kind < options.body_share).float()
        company = (kind > 1 - options.company_share).float() * (1 - body)
        for member in range(1, MEMBERS):
            number = group * MEMBERS + member
            alone = choose(company, next(beside), things[number])
            things[number] = choose(body, next(limbs), alone)
    return things


def _camera(make: _Maker, options: LayeredScene) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Factor and offset ``(n, S)`` from scene to screen, skew ``(n, S, 2)``, moving flags ``(n,)``."""
    moving = 1 - make.chance(options.standing_share)
    speed = make.log_uniform(0.3, 22) / _REFERENCE * moving
    growth = make.sign() * make.log_uniform(0.002, 0.06) * moving * make.chance(0.35)
    roll = make.sign() * make.log_uniform(0.002, 0.09) * moving * make.chance(0.35)
    way = make.travelled()
    shakes = make.chance(0.5) * make.log_uniform(0.1, 6) / _REFERENCE
    jitter = torch.view_as_complex(make.per_frame(2)) * shakes[:, None]
    jitter_roll = make.per_frame() * (shakes * make.uniform(0, 0.3))[:, None]
    turn = torch.polar((growth[:, None] * way).exp(), roll[:, None] * way + jitter_roll)
    velocity = speed * make.direction()
    shift = velocity[:, None] * way + jitter
    trembling = torch.view_as_complex(make.per_frame(2)) * shakes[:, None]
    reading = make.uniform(0.2, 0.9) * make.chance(options.rolling_share) / (2 * make.aspect)
    skew = torch.view_as_real(velocity[:, None] + trembling) * reading[:, None, None]
    return turn, shift, skew, moving


def _background(make: _Maker, turn: Tensor, shift: Tensor, parallax: Tensor) -> Layer:
    """A layer that covers everything; parts of it may be nearer, which bends its motion."""
    depth = make.uniform(0, 0.6) * make.chance(0.7) * parallax
    waves = _waves(make, 0.8, 5.0)
    bend = _invertible(torch.view_as_real(shift - shift[:, -1:]) * depth[:, None, None], waves)
    path = Path(*_real(turn, shift), bend, torch.zeros_like(bend), waves)
    shape = _outline(make, torch.zeros_like(depth), torch.zeros_like(depth))
    return Layer(
        shape._replace(opacity=torch.ones_like(depth)), path, torch.zeros_like(depth), _no_shadow(depth)
    )


def _plane(make: _Maker, turn: Tensor, shift: Tensor, parallax: Tensor, share: float) -> Layer:
    """A large, nearer part of the scene that moves faster with parallax."""
    size = make.log_uniform(0.15, 1.5)
    centre = torch.complex(make.uniform(-1.3, 1.3), make.uniform(-1.3, 1.3) * make.aspect)
    nearer = (1 + parallax * make.uniform(0.05, 0.9))[:, None]
    passed = shift[:, -1:] + (shift - shift[:, -1:]) * nearer
    place = passed + turn * centre[:, None]
    bend = torch.zeros((*place.shape, 2), device=place.device)
    path = Path(*_real(turn, place), bend, bend, _waves(make, 1.0, 3.0))
    shape = _outline(make, size, size * make.log_uniform(0.5, 2.0))
    opacity = make.chance(share)
    return Layer(shape._replace(opacity=opacity), path, torch.zeros_like(opacity), _no_shadow(opacity))


def _thing(
    make: _Maker,
    camera: tuple[Tensor, Tensor],
    density: Tensor,
    kinds: tuple[Tensor, Tensor],
    options: LayeredScene,
) -> Layer:
    """A moving object, a static part of the scene, or swaying leaves."""
    (turn, shift), (follows, far) = camera, kinds
    kind = make.uniform()
    fixed = (kind < options.fixed_share).float() * (1 - follows)
    sways = ((kind > 1 - options.swaying_share).float()) * (1 - follows)
    free = (1 - fixed) * (1 - sways)
    size = torch.where(follows > 0, make.log_uniform(0.1, 0.6), make.log_uniform(0.035, 0.5) * (1 + sways))
    size = torch.where(far > 0, make.log_uniform(0.02, 0.09) * (1 + sways), size)
    height = size * torch.where(far > 0, make.log_uniform(1.0, 3.0), make.log_uniform(0.4, 2.5))
    centre = torch.complex(make.uniform(-1.05, 1.05), make.uniform(-1.05, 1.05) * make.aspect)
    centre = centre * (1 - 0.6 * follows)
    fast = torch.where(far > 0, make.log_uniform(0.3, 6), make.log_uniform(0.25, 26) * (1 - 0.7 * follows))
    speed = fast / _REFERENCE * free
    spin = make.sign() * make.log_uniform(0.003, 0.3) * free * make.chance(0.4)
    spin, growth = (
        spin * (1 - 0.7 * far),
        make.sign() * make.log_uniform(0.003, 0.08) * free * make.chance(0.4),
    )
    way = make.travelled()
    own = torch.polar((growth[:, None] * way).exp(), make.uniform(-0.4, 0.4)[:, None] + spin[:, None] * way)
    place = centre[:, None] + (speed * make.direction())[:, None] * way
    with_camera = follows[:, None] > 0
    factor = torch.where(with_camera, own * turn[:, -1:], turn * own)
    offset = torch.where(with_camera, turn[:, -1:] * place + shift[:, -1:], turn * place + shift)
    swing = make.log_uniform(0.3, 5) / _REFERENCE * sways
    bending = make.sign() * make.log_uniform(0.3, 8) / _REFERENCE * free * make.chance(0.4)
    phases = torch.sin(make.uniform(0.5, 2.5)[:, None] * make.times + make.uniform(0, 6.3)[:, None])
    amount = (swing[:, None] * phases + bending[:, None] * way)[..., None]
    bend = amount * torch.view_as_real(make.direction())[:, None]
    scrolls = sways * make.chance(0.4) * make.log_uniform(0.3, 12) / _REFERENCE
    scroll = (scrolls[:, None] * way)[..., None] * torch.view_as_real(make.direction())[:, None]
    waves = torch.where(sways[:, None, None] > 0, _waves(make, 0.12, 0.5), _waves(make, 0.5, 2.0))
    bend = _invertible(bend, waves)
    seen = torch.maximum((make.uniform() < density).float(), follows)
    shape = _outline(make, size, height)._replace(opacity=seen)
    shadow = torch.stack(
        (
            make.uniform(0.25, 0.75) * make.chance(options.shadow_share) * (1 - sways),
            make.uniform(-1.4, 1.4),
            make.uniform(-0.3, 1.0),
        ),
        dim=1,
    )
    return Layer(shape, Path(*_real(factor, offset), bend, scroll, waves), free, shadow)


def _limb(make: _Maker, body: Layer) -> Layer:
    """A swinging limb at the edge of a body."""
    reach = body.shape.radius
    length, breadth = reach.amax(dim=1) * make.uniform(0.5, 1.1), reach.amin(dim=1) * make.uniform(0.25, 0.5)
    joint = torch.complex(reach[:, 0] * make.uniform(-0.7, 0.7), reach[:, 1] * make.uniform(-0.8, 0.9))
    moves = body.moves
    swing = make.log_uniform(0.02, 0.5) * make.sign() * moves
    angle = make.uniform(0, 2 * math.pi)[:, None] + swing[:, None] * make.travelled()
    rotation = torch.polar(torch.ones_like(angle), angle)
    factor, offset = (torch.view_as_complex(x.contiguous()) for x in (body.path.turn, body.path.shift))
    hangs = joint[:, None] - rotation * torch.complex(torch.zeros_like(length), -0.8 * length)[:, None]
    still = torch.zeros_like(body.path.bend)
    path = Path(*_real(factor * rotation, factor * hangs + offset), still, still, body.path.wave)
    shape = _outline(make, breadth, length)._replace(opacity=body.shape.opacity)
    return Layer(shape, path, moves, body.shadow * torch.tensor([0.5, 1, 1], device=moves.device))


def _companion(make: _Maker, first: Layer, own: Layer) -> Layer:
    """An object next to the first one of its group, with nearly the same motion and a gap between."""
    apart = (first.shape.radius + own.shape.radius).mean(dim=1) * make.uniform(0.9, 2.2)
    drift = (make.log_uniform(0.02, 3) / _REFERENCE * first.moves)[:, None] * make.travelled()
    beside = (apart * make.direction())[:, None] + drift * make.direction()[:, None]
    path = first.path._replace(shift=first.path.shift + torch.view_as_real(beside))
    shape = own.shape._replace(opacity=first.shape.opacity)
    return Layer(shape, path, first.moves, own.shadow)


def _passer(make: _Maker) -> Layer:
    """A large object that passes close to the camera, such as a hand, a van or a bird."""
    size = make.log_uniform(0.5, 1.6)
    way = make.travelled() - make.uniform(-2.0, 1.0)[:, None]
    side = make.direction()
    place = (make.log_uniform(4, 60) / _REFERENCE * side)[:, None] * way
    aside = torch.complex(-side.imag, side.real) * make.uniform(-0.8, 0.8)
    turn = torch.polar(torch.ones_like(way), make.uniform(0, 6.3)[:, None].expand_as(way))
    still = torch.zeros((*way.shape, 2), device=way.device)
    path = Path(*_real(turn, place + aside[:, None]), still, still, _waves(make, 1.0, 3.0))
    shape = _outline(make, size, size * make.log_uniform(0.4, 2.5))
    return Layer(shape, path, torch.ones_like(size), _no_shadow(size))


def _outline(make: _Maker, half_width: Tensor, half_height: Tensor) -> Shape:
    round_ = make.chance(0.6)
    power = torch.where(round_ > 0, make.uniform(1.7, 2.6), make.uniform(3, 8))
    wobble = make.uniform(0, 1, 3) ** 2 * torch.tensor([0.25, 0.2, 0.12], device=power.device)
    wobble = wobble * make.chance(0.7)[:, None]
    radius = torch.stack((half_width, half_height), dim=1)
    return Shape(radius, power, wobble, make.uniform(0, 6.3, 3), torch.ones_like(power))


def _waves(make: _Maker, shortest: float, longest: float) -> Tensor:
    """Two waves of random direction and length, ``(n, 2, 3)``."""
    parts = []
    for _ in range(2):
        number = 2 * math.pi / make.log_uniform(shortest, longest)
        angle = make.uniform(0, 2 * math.pi)
        parts.append(torch.stack((number * angle.cos(), number * angle.sin(), make.uniform(0, 6.3)), dim=1))
    return torch.stack(parts, dim=1)


def _invertible(bend: Tensor, waves: Tensor) -> Tensor:
    """Amplitudes limited so that the wave can be inverted: its slope stays below 0.4."""
    slope = waves[:, :, :2].square().sum(dim=2).sqrt().amax(dim=1)
    largest = bend.square().sum(dim=2).sqrt().amax(dim=1)
    return bend * (0.4 / (slope * largest).clamp_min(0.4))[:, None, None]


def _real(factor: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    return torch.view_as_real(factor), torch.view_as_real(offset)


def _no_shadow(like: Tensor) -> Tensor:
    return torch.zeros((len(like), 3), device=like.device)
