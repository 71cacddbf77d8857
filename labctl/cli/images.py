"""labctl images: the container images of the nodes."""

from dataclasses import asdict
from typing import Annotated

import typer

from labctl.cli.console import out, out_json, say, table
from labctl.cli.params import Json
from labctl.events import Event

__all__ = ["app"]

app = typer.Typer(help="Build and list the container images.")

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Images to build; all if none is named.")
]


@app.command("build")
def build(
    names: Names = None,
    base: Annotated[
        str,
        typer.Option(
            "--base", metavar="IMAGE", help="Debian base image, for example for another version of FRR."
        ),
    ] = "debian:bookworm-slim",
    json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the output of the build.")] = False,
) -> None:
    """Build the images that nodes run in under containerlab.

    The tag of the images is the version of labctl. The engine reuses layers that exist.
    """
    from labctl.runtime.containerlab.images import build as build_images

    def tell(event: Event) -> None:
        if event.kind == "image.building":
            say(f"building {event.data['image']}")
        elif event.kind == "image.built":
            say(f"built {event.data['image']} in {event.data['seconds']} s")
        elif event.kind == "image.output" and verbose:
            say(str(event.data["line"]))

    built = build_images(names or (), tell, base=base)
    if json:
        out_json([asdict(image) for image in built])


@app.command("ls")
def ls(json: Json = False) -> None:
    """List the images, and which of them the Docker engine has."""
    from labctl.runtime.containerlab.images import shipped

    images = shipped()
    if json:
        out_json([asdict(image) for image in images])
        return
    rows = [
        [image.name, image.reference, f"{image.size / 1e6:.0f} MB" if image.built else "not built"]
        for image in images
    ]
    out(table(["NAME", "IMAGE", "SIZE"], rows))
