"""Cars and vans with random proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sast_ros_training.simulation import car_body
from sast_ros_training.simulation.car_body import both, CAR, Finish, glass, paint, Profile
from sast_ros_training.simulation.mesh import Body, box, merge, Mesh
from sast_ros_training.simulation.rig import RiggedBody, rolling, Skin

_Range = tuple[float, float]


@dataclass(frozen=True)
class _Style:
    """
    Ranges of a kind of car.

    length, height, radius (of the wheels), clearance in metres; cowl, screen_top, roof_end,
    rear_base: from the front as shares of the length; belt: share of the height, nose and tail:
    of the belt's; doors on a side; blind: side panes of sheet metal; width: share of the length;
    tumble: width of the roof as a share of the width at the belt.
    """

    length: _Range
    height: _Range
    radius: _Range
    clearance: _Range
    cowl: _Range
    screen_top: _Range
    roof_end: _Range
    rear_base: _Range
    belt: _Range
    nose: _Range
    tail: _Range
    doors: int
    blind: int
    width: _Range
    tumble: _Range


# fmt: off
#: How often a style is drawn, and its ranges in the order of the fields.
_STYLES: dict[str, tuple[float, _Style]] = {
    'hatchback': (0.24, _Style(
        (3.75, 4.4), (1.42, 1.55), (0.29, 0.33), (0.15, 0.19), (0.24, 0.285), (0.41, 0.45),
        (0.86, 0.92), (0.955, 0.985), (0.58, 0.64), (0.72, 0.82), (0.93, 0.99),
        2, 0, (0.385, 0.425), (0.76, 0.85))),
    'sedan': (0.2, _Style(
        (4.3, 5.1), (1.38, 1.5), (0.3, 0.34), (0.14, 0.18), (0.26, 0.31), (0.41, 0.46),
        (0.7, 0.76), (0.83, 0.88), (0.58, 0.63), (0.7, 0.8), (0.93, 1.06),
        2, 0, (0.385, 0.425), (0.76, 0.85))),
    'estate': (0.13, _Style(
        (4.4, 4.95), (1.4, 1.52), (0.3, 0.34), (0.14, 0.18), (0.26, 0.29), (0.41, 0.45),
        (0.9, 0.945), (0.965, 0.985), (0.58, 0.63), (0.7, 0.8), (0.93, 0.99),
        3, 0, (0.385, 0.425), (0.76, 0.85))),
    'suv': (0.18, _Style(
        (4.1, 5), (1.58, 1.9), (0.34, 0.39), (0.2, 0.27), (0.23, 0.27), (0.36, 0.41),
        (0.88, 0.94), (0.955, 0.985), (0.57, 0.63), (0.78, 0.9), (0.95, 1),
        3, 0, (0.385, 0.425), (0.8, 0.88))),
    'mpv': (0.06, _Style(
        (4.2, 4.8), (1.58, 1.78), (0.3, 0.34), (0.15, 0.19), (0.17, 0.21), (0.35, 0.4),
        (0.91, 0.95), (0.97, 0.985), (0.55, 0.6), (0.74, 0.84), (0.95, 1),
        3, 0, (0.385, 0.425), (0.76, 0.85))),
    'pickup': (0.05, _Style(
        (4.9, 5.3), (1.7, 1.85), (0.36, 0.41), (0.24, 0.3), (0.24, 0.27), (0.36, 0.39),
        (0.6, 0.64), (0.63, 0.66), (0.57, 0.62), (0.86, 0.94), (0.98, 1.02),
        2, 0, (0.35, 0.37), (0.76, 0.85))),
    'sports': (0.06, _Style(
        (3.9, 4.6), (1.2, 1.34), (0.31, 0.35), (0.11, 0.14), (0.33, 0.4), (0.5, 0.55),
        (0.66, 0.74), (0.88, 0.95), (0.6, 0.66), (0.78, 0.86), (0.98, 1.08),
        1, 0, (0.4, 0.44), (0.76, 0.85))),
    'city': (0.08, _Style(
        (3.3, 3.7), (1.44, 1.6), (0.27, 0.3), (0.14, 0.18), (0.17, 0.22), (0.35, 0.4),
        (0.92, 0.96), (0.97, 0.985), (0.57, 0.62), (0.76, 0.86), (0.95, 1),
        1, 0, (0.43, 0.47), (0.76, 0.85))),
}
_VANS: dict[str, tuple[float, _Style]] = {
    'delivery': (0.35, _Style(
        (3.9, 4.7), (1.75, 1.95), (0.3, 0.33), (0.15, 0.2), (0.19, 0.23), (0.34, 0.38),
        (0.97, 0.98), (0.978, 0.985), (0.56, 0.6), (0.76, 0.84), (0.97, 1),
        2, 1, (0.38, 0.4), (0.88, 0.93))),
    'transporter': (0.4, _Style(
        (4.9, 6.2), (1.95, 2.75), (0.32, 0.36), (0.18, 0.24), (0.12, 0.16), (0.22, 0.27),
        (0.975, 0.98), (0.98, 0.985), (0.46, 0.52), (0.8, 0.9), (0.97, 1),
        3, 2, (0.33, 0.38), (0.88, 0.94))),
    'minibus': (0.25, _Style(
        (4.7, 5.9), (1.9, 2.3), (0.32, 0.35), (0.18, 0.22), (0.13, 0.17), (0.24, 0.29),
        (0.965, 0.975), (0.975, 0.985), (0.5, 0.55), (0.8, 0.88), (0.97, 1),
        3, 0, (0.34, 0.38), (0.86, 0.92))),
}
# fmt: on


def make_car(rng: np.random.Generator, lights: bool = False) -> Body:
    """
    Return a random passenger car.

    ``lights``: head and tail lamps are on.
    """
    return _build(rng, _chosen(rng, _STYLES), lights)


def make_van(rng: np.random.Generator, lights: bool = False) -> Body:
    """Return a random delivery van, transporter or minibus."""
    return _build(rng, _chosen(rng, _VANS), lights)


def _chosen(rng: np.random.Generator, styles: dict[str, tuple[float, _Style]]) -> str:
    weights = np.array([weight for weight, _ in styles.values()])
    return str(rng.choice(list(styles), p=weights / weights.sum()))


def _finish(rng: np.random.Generator, panes: int, lights: bool) -> Finish:
    colour = paint(rng)
    trim = float(rng.uniform(0.02, 0.07))
    side = glass(rng)
    alike = rng.random() < 0.6
    return Finish(
        paint=colour,
        roof=colour if rng.random() < 0.85 else paint(rng),
        trim=trim,
        bumper=trim if rng.random() < 0.15 else colour,
        seam=max(0.02, colour * float(rng.uniform(0.1, 0.5))),
        screen=glass(rng),
        rear_screen=glass(rng),
        panes=tuple(
            float(side * rng.uniform(0.8, 1.2)) if alike else glass(rng) for _ in range(panes)
        ),
        pillar=colour if rng.random() < 0.4 else trim,
        grille=trim if rng.random() < 0.7 else float(rng.uniform(0.1, 0.7)),
        headlight=float(rng.choice((0.9, 0.6, 0.35, 0.12)) * rng.uniform(0.8, 1.05)),
        tail_light=float(rng.uniform(0.06, 0.35)),
        plate=float(rng.choice((0.85, 0.75, 0.55, 0.1), p=(0.55, 0.2, 0.2, 0.05))),
        sky=float(rng.choice((0.0, 1.0)) * rng.uniform(0.02, 0.3)),
        dusk=float(rng.uniform(0.6, 1.0)),
        head_emission=float(rng.uniform(2, 8)) if lights else 0.0,
        tail_emission=float(rng.uniform(0.3, 1.2)) if lights else 0.0,
    )


def _build(rng: np.random.Generator, name: str, lights: bool) -> Body:
    style = (_STYLES | _VANS)[name][1]
    draw = rng.uniform
    length, height = float(draw(*style.length)), float(draw(*style.height))
    radius = float(draw(*style.radius))
    half = length / 2
    belt = float(draw(*style.belt)) * height
    front_axle = half - float(draw(0.17, 0.21)) * length
    rear_axle = -half + float(draw(0.16, 0.22)) * length
    profile = Profile(
        length=length,
        width=float(np.clip(draw(*style.width) * length, 1.5, 2.1)),
        height=height,
        wheels=(front_axle, rear_axle),
        radius=radius,
        nose=belt * float(draw(*style.nose)),
        tail=belt * float(draw(*style.tail)),
        cowl=half - float(draw(*style.cowl)) * length,
        screen_top=half - float(draw(*style.screen_top)) * length,
        roof_end=half - float(draw(*style.roof_end)) * length,
        rear_base=half - float(draw(*style.rear_base)) * length,
        belt=belt,
        clearance=float(draw(*style.clearance)),
        taper=(float(draw(0.74, 0.9)), float(draw(0.8, 0.94))),
        tumble=float(draw(*style.tumble)),
        arc=float(draw(0.0, 0.02) if name in _VANS else draw(0.02, 0.11)),
        bow=float(draw(0.06, 0.18)),
    )
    doors = style.doors if style.doors != 2 or rng.random() < 0.8 else 1
    finish = _finish(rng, doors + 1, lights)
    pillars = _pillars(profile, doors)
    van = name in _VANS
    skin = Skin(5)
    pieces = [
        car_body.sides(profile, finish, _band(rng, name, finish)),
        car_body.lids(
            profile, min(finish.paint + finish.sky, 0.92), 0.05 if name == 'pickup' else None
        ),
        car_body.front(profile, finish, rng.random() < 0.7, float(draw(0.14, 0.3))),
        car_body.rear(profile, finish, float(draw(0.18, 0.36)), rng.random() < 0.4),
        car_body.greenhouse(
            profile,
            finish,
            pillars,
            0.12 if van else float(draw(0.1, 0.35)),
            (0.12, 0.88) if rng.random() < 0.9 or not style.blind else (0.5, 0.5),
            style.blind,
        ),
        car_body.underbody(profile),
        car_body.mirrors(profile, finish.paint if rng.random() < 0.6 else finish.trim),
    ]
    pieces += _details(rng, profile, finish, pillars, van)
    skin.add(merge(pieces), 0)
    rubber = float(draw(0.02, 0.07))
    alloy = (
        int(rng.choice((5, 5, 6))),
        rubber,
        float(rng.choice((0.75, 0.5, 0.3, 0.06)) * draw(0.85, 1.1)),
        float(draw(0.02, 0.12)),
        float(draw(0.6, 0.78)),
    )
    tread = float(draw(0.17, 0.25))
    rim = car_body.wheel(radius, tread, *alloy)
    centres = []
    for axle in profile.wheels:
        for side in (1, -1):
            centre = (axle, side * (profile.width / 2 - 0.03 - tread / 2), radius)
            centres.append(centre)
            skin.add((rim if side > 0 else rim.mirrored()).moved(centre), len(centres))
    motions = [car_body.springs(rng, length), rolling(centres, radius)]
    return RiggedBody(skin, motions, CAR, (2.0, 18.0))


def _pillars(profile: Profile, doors: int) -> tuple[float, ...]:
    """``doors`` pillars between the A pillar and the last one."""
    start = profile.screen_top - 0.1
    end = profile.roof_end + 0.25
    shares = {1: (0.62,), 2: (0.4, 0.8), 3: (0.28, 0.64)}[doors]
    if doors == 2:
        shares = (0.42,)
    return tuple(start + (end - start) * share for share in shares)


def _band(rng: np.random.Generator, name: str, finish: Finish) -> float | None:
    chance = {'suv': 0.45, 'pickup': 0.3}.get(name, 0.06)
    if rng.random() > chance:
        return None
    return finish.trim if rng.random() < 0.7 else paint(rng)


def _details(
    rng: np.random.Generator,
    profile: Profile,
    finish: Finish,
    pillars: tuple[float, ...],
    van: bool,
) -> list[Mesh]:
    """Seams, handles, mouldings, roof rails and roof boxes."""
    front_seam = min(profile.cowl - 0.05, profile.wheels[0] - 1.2 * profile.radius)
    pieces = [car_body.seam(profile, front_seam, finish.seam)]
    for x in pillars:
        if x > profile.wheels[1] + 1.2 * profile.radius:
            pieces.append(car_body.seam(profile, x, finish.seam))
            pieces.append(
                car_body.handle(profile, x + 0.18, finish.seam if rng.random() < 0.6 else 0.7)
            )
    rear_seam = profile.wheels[1] + 1.2 * profile.radius
    if len(pillars) > 0 and rear_seam < pillars[-1] - 0.3:
        pieces.append(car_body.seam(profile, rear_seam, finish.seam))
    if rng.random() < 0.3:
        shade = finish.trim if rng.random() < 0.6 else paint(rng)
        wide = float(rng.uniform(0.03, 0.12))
        height = float(rng.uniform(0.3, 0.7))
        span = (profile.wheels[0] - 1.2 * profile.radius, rear_seam)
        pieces.append(car_body.strip(profile, *span, height, wide, shade))
    top = profile.height
    if rng.random() < 0.25 and not van:
        y = 0.4 * profile.width * profile.tumble
        span = profile.screen_top - 0.25, profile.roof_end + 0.15
        if span[0] - span[1] > 0.6:
            middle = ((span[0] + span[1]) / 2, y, top + 0.01)
            rail = box((span[0] - span[1], 0.04, 0.05), middle, float(rng.choice((0.04, 0.6))))
            pieces.append(both(rail))
    if rng.random() < 0.06:
        size = rng.uniform((1.0, 0.5, 0.25), (1.9, 0.8, 0.4))
        x = (profile.screen_top + profile.roof_end) / 2
        pieces.append(box(size, (x, 0, top + size[2] / 2 + 0.05), paint(rng), 0.0, 0.85))
    elif rng.random() < 0.06:
        x = profile.screen_top - 0.4
        pieces.append(box((0.15, 0.4, 0.14), (x, 0, top + 0.06), 0.85, 0.0, 0.8))
    return pieces
