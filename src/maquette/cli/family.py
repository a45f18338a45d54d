"""An asset's lineage, for the eye and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from maquette.cli.screen import console, say
from maquette.core import money

if TYPE_CHECKING:
    from rich.tree import Tree

    from maquette.services.keeping import Relation, Shown


def print_lineage(shown: Shown) -> None:
    """Draw the tree: what it was made from above, what was made from it below."""
    from rich.text import Text  # noqa: PLC0415 - `--help` need not wait for it
    from rich.tree import Tree  # noqa: PLC0415 - as above

    asset, blob = shown.asset, shown.blob
    say(f"{asset.kind} {asset.name!r}  {asset.id}")
    say(f"  {blob.width_px}x{blob.height_px} {blob.media_type}, {blob.size_bytes} bytes")
    say(f"  sha256 {asset.digest}")
    say(f"  cost   {money.show(money.from_nano(asset.cost_nano))}")
    for path in shown.files:
        say(f"  file   {path}")
    for name, value in asset.made_by.items():
        say(f"  {name}: {value}")
    for title, relations in (("made from", shown.parents), ("made into", shown.children)):
        tree = Tree(Text(title if relations else f"{title}: nothing"))
        _grow(tree, relations)
        console().print(tree)


def _grow(tree: Tree, relations: Sequence[Relation]) -> None:
    from rich.text import Text  # noqa: PLC0415 - as above

    for one in relations:
        words = f"{one.role}: {one.asset.kind} {one.asset.name!r} {one.asset.id[:8]}"
        _grow(tree.add(Text(words)), one.further)


def lineage_document(shown: Shown) -> dict[str, Any]:
    return {
        "asset": shown.asset.id,
        "kind": shown.asset.kind,
        "name": shown.asset.name,
        "sha256": shown.asset.digest,
        "made_by": shown.asset.made_by,
        "cost_usd": str(money.from_nano(shown.asset.cost_nano)),
        "files": list(shown.files),
        "parents": _documents(shown.parents),
        "children": _documents(shown.children),
    }


def _documents(relations: Sequence[Relation]) -> list[dict[str, Any]]:
    return [
        {
            "asset": one.asset.id,
            "role": one.role,
            "kind": one.asset.kind,
            "name": one.asset.name,
            "further": _documents(one.further),
        }
        for one in relations
    ]
