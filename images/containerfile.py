"""Writes the Containerfiles from image.yaml, for Docker, Podman and BuildKit.

They run the same scripts on the same lists as images/build.py. `FROM` takes any Debian bookworm:
pass `--build-arg BASE=...@sha256:...` to pin it.
"""

import json
from collections.abc import Iterable, Iterator

from images.recipe import SUITE, Recipe

_HEADER = """\
# syntax=docker/dockerfile:1
# Written by `python -m images.build containerfiles` from image.yaml; do not edit.
# From the repository's root: docker build -f images/{name}/Containerfile -t {tag} .
ARG BASE=debian:{suite}-slim
"""
_APT = "apt-get update -q && apt-get install -qy --no-install-recommends"
_COMPILE = "python3 -m compileall -q --invalidation-mode unchecked-hash -s /layer -p /"


def text(recipe: Recipe) -> str:
    """Return the Containerfile of an image."""
    header = _HEADER.format(name=recipe.name, tag=f"ringfence-{recipe.name}", suite=SUITE)
    stages = [header, *_wheel_stages(recipe), *_system(recipe), "\n".join(_top(recipe))]
    return "\n".join(stages) + "\n"


def _wheel_stages(recipe: Recipe) -> Iterator[str]:
    lock, target = recipe.python.lock, recipe.python.target
    yield _lines(
        "FROM ${BASE} AS pip",
        f"RUN {_APT} python3-pip",
        "COPY images/wheels.py /build/",
    )
    yield _lines(
        "FROM pip AS wheels",
        f"COPY images/{recipe.name}/{lock} /build/",
        f"RUN python3 /build/wheels.py /build/{lock} /layer {target} \\",
        f"    && if [ -d /layer{target} ]; then {_COMPILE} /layer{target}; fi",
    )
    if recipe.project:
        yield _lines(
            "FROM pip AS project",
            "COPY pyproject.toml LICENSE /src/",
            "COPY operator /src/operator",
            "RUN touch /src/README.md && python3 -m pip wheel -q --no-deps -w /build /src \\",
            f"    && python3 /build/wheels.py /build/ringfence-*.whl /layer {target} \\",
            f"    && {_COMPILE} /layer{target}",
        )


def _system(recipe: Recipe) -> Iterator[str]:
    script = recipe.script.name
    packages = _list(recipe.debian.packages)
    if recipe.debian.install == "full":
        yield _lines(
            "FROM ${BASE}",
            f"COPY images/{script} /tmp/",
            f"RUN {_APT} \\\n{packages} \\\n    && sh /tmp/{script}",
        )
        return
    yield _lines(
        "FROM ${BASE} AS system",
        f"COPY images/{script} /build/",
        f"RUN apt-get update -q && sh /build/{script} /image \\\n{packages}",
    )
    yield "FROM scratch\nCOPY --from=system /image/ /"


def _top(recipe: Recipe) -> Iterator[str]:
    yield "COPY --from=wheels /layer/ /"
    if recipe.project:
        yield "COPY --from=project /layer/ /"
    for path, file in recipe.files.items():
        yield f"COPY --chmod={file.mode} images/{recipe.name}/{file.source} {path}"
    if recipe.links:
        links = [f"ln -s {destination} {path}" for path, destination in recipe.links.items()]
        yield "RUN " + " \\\n    && ".join(links)
    for name, value in {**recipe.labels}.items():
        yield f"LABEL {name}={json.dumps(value)}"
    for name, value in recipe.env.items():
        yield f"ENV {name}={json.dumps(value)}"
    yield f"WORKDIR {recipe.workdir}"
    yield f"USER {recipe.user}"
    yield f"ENTRYPOINT {json.dumps(recipe.entrypoint)}"
    yield f"CMD {json.dumps(recipe.command)}"


def _list(packages: Iterable[str]) -> str:
    return " \\\n".join(f"        {package}" for package in packages)


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"
