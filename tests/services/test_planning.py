"""`dry`: orders become frozen jobs and a price; nothing is written or sent."""

from __future__ import annotations

import json
import pickle
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from maquette.core.errors import (
    BadParameter,
    CapabilityMissing,
    Conflict,
    FileMissing,
    NothingToDo,
    PriceUnknown,
    UnknownPlugin,
    UnsupportedImage,
)
from maquette.core.findings import GuardRules
from maquette.core.money import parse_usd
from maquette.core.pipeline import (
    BackgroundStep,
    ColourStep,
    PostChain,
    RefineStep,
    RunOrder,
    UpscaleStep,
)
from maquette.core.requests import digest_of
from maquette.services import inputs, planning, starting
from maquette.services.chain import Own, resolved
from maquette.services.planning import Plan
from maquette.testing.scripted import Books
from tests.conftest import Opener
from tests.services.conftest import noise


@pytest.fixture
def planned(open_studio: Opener, scenes: Path, root: Path) -> Any:
    """Plan a run over the two scenes."""

    async def plan(**more: Any) -> Plan:
        values: dict[str, Any] = {
            "project": "demo",
            "input": scenes,
            "provider": "scripted",
            "model": "paid",
            "prompt": "a test",
        }
        values.update(more)
        given = {name: value for name, value in values.items() if value is not None}
        async with open_studio() as studio:
            return await planning.plan(studio, RunOrder(**given), root)

    return plan


@pytest.fixture
def manifest(tmp_path: Path) -> Any:
    def write(**content: Any) -> Path:
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps(content))
        return path

    return write


async def test_a_plan_writes_and_sends_nothing(
    planned: Any, books: Books, root: Path, scenes: Path
) -> None:
    """LAB-1."""
    plan = await planned()
    assert [job.spec.scene for job in plan.jobs] == ["coast", "dunes"]
    assert not books.entries()
    assert not root.exists()
    assert sorted(path.name for path in scenes.iterdir()) == ["coast.png", "dunes.png"]


async def test_a_job_names_its_source_by_its_bytes(planned: Any, scenes: Path) -> None:
    plan = await planned()
    source = plan.jobs[0].spec.source
    assert source.digest == digest_of((scenes / "coast.png").read_bytes())
    assert (source.width_px, source.height_px) == (32, 24)


@pytest.mark.parametrize(
    ("candidates", "calls"), [(1, (1,)), (2, (2,)), (3, (2, 1)), (6, (2, 2, 2))]
)
async def test_candidates_are_split_into_calls(
    planned: Any, candidates: int, calls: tuple[int, ...]
) -> None:
    """LAB-6, D4: as many pictures a call as the model makes."""
    plan = await planned(candidates=candidates)
    assert {job.spec.calls for job in plan.jobs} == {calls}
    assert plan.calls == 2 * len(calls)


async def test_the_price_is_the_sum_of_the_estimates(planned: Any) -> None:
    """LAB-1, LAB-14: two scenes of three pictures of four cents."""
    plan = await planned(candidates=3)
    assert [job.worst_case for job in plan.jobs] == [parse_usd("0.12")] * 2
    assert plan.worst_case == parse_usd("0.24")


async def test_a_free_model_costs_nothing(planned: Any) -> None:
    assert (await planned(model="free")).worst_case == 0


async def test_a_model_without_a_price_cannot_be_planned(planned: Any) -> None:
    """D5."""
    with pytest.raises(PriceUnknown):
        await planned(model="unpriced")


async def test_the_ceiling_on_candidates_holds(planned: Any) -> None:
    """LAB-6: six, unless one says so."""
    with pytest.raises(BadParameter, match="--allow-many-candidates"):
        await planned(candidates=7)


@pytest.mark.parametrize("more", [{"max_candidates": 7}, {"allow_many_candidates": True}])
async def test_the_ceiling_on_candidates_can_be_raised(planned: Any, more: dict[str, Any]) -> None:
    """LAB-6: both ways."""
    assert (await planned(candidates=7, **more)).jobs[0].spec.candidates == 7


async def test_the_manifests_candidates_meet_the_ceiling_too(planned: Any, manifest: Any) -> None:
    """LAB-2, LAB-6."""
    with pytest.raises(BadParameter, match="'dunes'"):
        await planned(manifest=manifest(scenes={"dunes": {"candidates": 7}}))


async def test_a_manifest_overrides_per_scene(planned: Any, manifest: Any) -> None:
    """LAB-2: prompt, size, candidates, seed, guard and post chain of one scene."""
    override = {
        "prompt": "stormy",
        "size": [64, 48],
        "candidates": 3,
        "seed": 5,
        "guard": {"enforce_grayscale": True},
        "post": {"upscale": {"scale": 4}},
    }
    plan = await planned(manifest=manifest(scenes={"dunes": override}))
    coast, dunes = (job.spec for job in plan.jobs)
    assert (dunes.request.prompt, dunes.request.size, dunes.request.seed) == (
        "stormy",
        (64, 48),
        5,
    )
    assert dunes.candidates == 3
    assert dunes.guard == GuardRules(enforce_grayscale=True)
    assert dunes.post == PostChain(upscale=UpscaleStep(backend="resample", scale=4))
    assert (coast.request.prompt, coast.request.size, coast.candidates) == ("a test", "source", 1)
    assert coast.post == PostChain()


async def test_the_manifests_defaults_fill_what_was_left_open(planned: Any, manifest: Any) -> None:
    """LAB-2: the prompt may come from the manifest."""
    path = manifest(prompt="from the file", candidates=2, post={"colour": {}})
    plan = await planned(manifest=path, prompt=None)
    assert {job.spec.request.prompt for job in plan.jobs} == {"from the file"}
    assert {job.spec.candidates for job in plan.jobs} == {2}
    assert {job.spec.post.names() for job in plan.jobs} == {("colour",)}


async def test_scene_beats_command_line_beats_manifest(planned: Any, manifest: Any) -> None:
    """LAB-2: the order of precedence."""
    path = manifest(
        prompt="file", candidates=4, scenes={"dunes": {"prompt": "scene", "candidates": 5}}
    )
    plan = await planned(manifest=path, prompt="line", candidates=3)
    assert [(job.spec.request.prompt, job.spec.candidates) for job in plan.jobs] == [
        ("line", 3),
        ("scene", 5),
    ]


async def test_the_command_line_wins_even_with_a_default_value(planned: Any, manifest: Any) -> None:
    """LAB-2: saying `--candidates 1` is not the same as saying nothing."""
    path = manifest(candidates=4)
    assert (await planned(manifest=path, candidates=1)).jobs[0].spec.candidates == 1
    assert (await planned(manifest=path)).jobs[0].spec.candidates == 4


async def test_a_scene_can_turn_the_post_chain_off(planned: Any, manifest: Any) -> None:
    """LAB-2: an empty chain is an answer, not a gap."""
    path = manifest(scenes={"dunes": {"post": {}}})
    plan = await planned(manifest=path, post=PostChain(colour=ColourStep()))
    assert [job.spec.post.names() for job in plan.jobs] == [("colour",), ()]


async def test_a_scene_may_clear_the_prompt(planned: Any, manifest: Any) -> None:
    plan = await planned(manifest=manifest(scenes={"dunes": {"prompt": ""}}))
    assert [job.spec.request.prompt for job in plan.jobs] == ["a test", ""]


async def test_a_manifest_brings_scenes_of_its_own(
    planned: Any, manifest: Any, tmp_path: Path
) -> None:
    """LAB-2: `input` is relative to the manifest."""
    (tmp_path / "moon.png").write_bytes(noise(3))
    path = manifest(scenes={"any": {"input": "moon.png", "prompt": "night"}})
    plan = await planned(manifest=path)
    told = {job.spec.scene: job.spec.request.prompt for job in plan.jobs}
    assert told == {"coast": "a test", "dunes": "a test", "moon": "night"}


async def test_a_manifests_scene_that_matches_nothing_is_said(planned: Any, manifest: Any) -> None:
    with pytest.raises(BadParameter, match="Did you mean 'coast'"):
        await planned(manifest=manifest(scenes={"coats": {"prompt": "x"}}))


async def test_a_manifests_wrong_key_is_said_with_its_place(planned: Any, manifest: Any) -> None:
    with pytest.raises(BadParameter, match=r"scenes\.coast\.promt.*did you mean 'prompt'"):
        await planned(manifest=manifest(scenes={"coast": {"promt": "x"}}))


@pytest.mark.parametrize("text", ["{", "[1]", '{"candidates": 0}', '{"size": "huge"}'])
async def test_a_broken_manifest_is_refused(planned: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(BadParameter, match=r"manifest\.json"):
        await planned(manifest=path)


async def test_a_manifest_that_is_not_there_is_said(planned: Any, tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="--manifest"):
        await planned(manifest=tmp_path / "gone.json")


async def test_style_references_are_in_every_request(planned: Any, picture: Path) -> None:
    """LAB-2."""
    plan = await planned(style_refs=(picture,))
    for job in plan.jobs:
        roles = [one.role for one in job.spec.request.inputs]
        assert roles == ["init", "reference"]
        assert job.spec.request.by_role("reference")[0].digest == digest_of(picture.read_bytes())


async def test_a_scenes_references_replace_the_runs(
    planned: Any, manifest: Any, picture: Path
) -> None:
    """LAB-2: none at all, too."""
    path = manifest(refs=[str(picture)], scenes={"dunes": {"refs": []}})
    plan = await planned(manifest=path)
    assert [len(job.references) for job in plan.jobs] == [1, 0]


async def test_more_references_than_the_model_takes_are_refused(
    planned: Any, tmp_path: Path
) -> None:
    """D11."""
    for number in range(3):
        (tmp_path / f"style{number}.png").write_bytes(noise(number))
    refs = tuple(tmp_path / f"style{number}.png" for number in range(3))
    with pytest.raises(CapabilityMissing, match="at most 2"):
        await planned(style_refs=refs)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"negative_prompt": "rain"}, "a negative prompt"),
        ({"size": (4096, 4096)}, "smaller size"),
        ({"options": {"quality": "high"}}, "option 'quality'"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_before_anything_is_sent(
    planned: Any, books: Books, more: dict[str, Any], words: str
) -> None:
    """D11: nothing is dropped silently."""
    with pytest.raises((CapabilityMissing, BadParameter), match=words):
        await planned(**more)
    assert not books.entries()


@pytest.mark.parametrize(
    ("post", "error"),
    [
        (PostChain(upscale=UpscaleStep(backend="magic")), UnknownPlugin),
        (PostChain(background=BackgroundStep(backends=("classical", "magic"))), UnknownPlugin),
        (PostChain(colour=ColourStep(profile="no_such_look")), BadParameter),
    ],
)
async def test_a_wrong_post_chain_is_found_while_planning(
    planned: Any, post: PostChain, error: type[Exception]
) -> None:
    """LAB-8: not after the pictures were paid for."""
    with pytest.raises(error):
        await planned(post=post)


async def test_a_scenes_wrong_post_chain_is_found_too(planned: Any, manifest: Any) -> None:
    path = manifest(scenes={"dunes": {"post": {"colour": {"profile": "no_such_look"}}}})
    with pytest.raises(BadParameter):
        await planned(manifest=path)


async def test_the_runs_own_model_refines_by_the_runs_own_options(
    planned: Any, open_studio: Opener
) -> None:
    """LAB-9: a run at low quality is not refined at the dearest."""
    chain = PostChain(background=BackgroundStep(backends=("classical",)))
    plan = await planned(post=chain)
    assert plan.chain_calls == 2
    own = Own("scripted", plan.profile, confirmed=True, options={"quality": "low"})
    async with open_studio() as studio:
        step = resolved(studio, chain, own).post.background
        assert step is not None and step.refine.options == {"quality": "low"}
        named = PostChain(background=BackgroundStep(refine=RefineStep(model="scripted:free")))
        other = resolved(studio, named, own).post.background
        assert other is not None and other.refine.options == {}


async def test_a_provider_without_models_says_what_it_needs(planned: Any) -> None:
    with pytest.raises(CapabilityMissing, match=r"'diffusers' has no model.*diffusers"):
        await planned(provider="diffusers", model="sd")


async def test_the_plan_names_the_backends_and_what_is_left_out(planned: Any) -> None:
    """LAB-9, LAB-10."""
    chain = PostChain(background=BackgroundStep(), upscale=UpscaleStep())
    notes = " ".join((await planned(post=chain)).notes)
    assert "background removal: classical" in notes
    assert "refine pass: scripted:paid" in notes
    proofs = " ".join((await planned(post=chain, provider="proof", model="proof")).notes)
    assert "refine pass left out: no model was named for it" in proofs
    assert "upscale: resample" in notes


async def test_a_prompt_is_needed_where_a_model_is_asked(planned: Any) -> None:
    """LAB-2."""
    with pytest.raises(BadParameter, match="no prompt"):
        await planned(prompt=None)


async def test_without_input_the_roots_scenes_are_taken(
    planned: Any, root: Path, scenes: Path
) -> None:
    """LAB-2: `<root>/scenes`."""
    root.mkdir()
    scenes.rename(root / "scenes")
    plan = await planned(input=None)
    assert [job.spec.scene for job in plan.jobs] == ["coast", "dunes"]


async def test_without_any_scene_it_fails_with_the_way_out(planned: Any) -> None:
    """LAB-2."""
    with pytest.raises(NothingToDo, match="--input FILE_OR_DIR or --scene-refs"):
        await planned(input=None)


async def test_scene_references_are_paths_or_names(
    planned: Any, root: Path, scenes: Path, picture: Path
) -> None:
    """LAB-2: `--scene-refs`."""
    root.mkdir()
    scenes.rename(root / "scenes")
    plan = await planned(input=None, scene_refs=(picture, Path("dunes"), Path("coast.png")))
    assert [job.spec.scene for job in plan.jobs] == ["given", "dunes", "coast"]


async def test_a_scene_reference_that_is_nothing_is_said(planned: Any) -> None:
    with pytest.raises(FileMissing, match="'nowhere'"):
        await planned(input=None, scene_refs=(Path("nowhere"),))


async def test_a_picture_that_cannot_be_read_is_found_while_planning(
    planned: Any, scenes: Path
) -> None:
    (scenes / "broken.png").write_bytes(b"no picture")
    with pytest.raises(UnsupportedImage, match=r"broken\.png"):
        await planned()


async def test_two_scenes_of_one_name_are_told_apart(planned: Any, scenes: Path) -> None:
    (scenes / "coast.jpg").write_bytes(noise(4))
    names = [job.spec.scene for job in (await planned()).jobs]
    assert len(names) == len(set(names)) == 3


async def test_a_scenes_name_is_safe_in_every_file_system(planned: Any, tmp_path: Path) -> None:
    """LAB-4."""
    path = tmp_path / "día: <noche>?.png"
    path.write_bytes(noise(2))
    assert (await planned(input=path)).jobs[0].spec.scene == "día_ _noche__"


async def test_a_model_is_named_with_its_provider(planned: Any) -> None:
    plan = await planned(provider=None, model="scripted:free")
    assert (plan.provider, plan.profile.id) == ("scripted", "free")


async def test_a_model_is_found_by_its_own_name(planned: Any) -> None:
    assert (await planned(provider=None, model="ticketed")).provider == "scripted"


async def test_where_a_real_provider_is_ready_a_person_chooses(planned: Any) -> None:
    """D9."""
    with pytest.raises(BadParameter, match="say which"):
        await planned(provider=None, model=None)


async def test_a_provider_of_several_models_needs_one_named(planned: Any) -> None:
    with pytest.raises(BadParameter, match="name one of paid"):
        await planned(model=None)


@pytest.mark.parametrize("model", ["scripted:pade", "nothing:paid", "pade"])
async def test_an_unknown_model_is_refused(planned: Any, model: str) -> None:
    with pytest.raises((BadParameter, UnknownPlugin)):
        await planned(provider=None, model=model)


async def test_one_seed_is_drawn_where_none_is_given(planned: Any) -> None:
    """LAB-12: and it is in the frozen request, so that a replay has it."""
    seeds = {job.spec.request.seed for job in (await planned()).jobs}
    assert len(seeds) == 1 and None not in seeds


def named(*paths: str) -> list[str]:
    return list(inputs.scene_names([Path(path) for path in paths]))


def test_a_scene_called_like_anothers_candidate_is_told_apart() -> None:
    """LAB-6: `coast.c2.png` is the second picture of `coast`."""
    assert named("coast.png", "coast.c2.png") == ["coast", "coast-c2"]
    assert named("coast.C2.png", "Coast.png") == ["coast-C2", "Coast"]


def test_a_scene_called_like_nobodys_candidate_keeps_its_name() -> None:
    assert named("coast.c2.png", "dunes.png") == ["coast.c2", "dunes"]


def test_what_only_then_looks_like_a_candidate_is_refused() -> None:
    with pytest.raises(BadParameter, match="like a candidate of the scene 'coast-jpg'"):
        named("coast.png", "coast.jpg", "coast-jpg.c1.png")


async def test_a_candidate_never_takes_another_scenes_name(planned: Any, scenes: Path) -> None:
    """LAB-6."""
    (scenes / "coast.c2.png").write_bytes(noise(4))
    names = [job.spec.scene for job in (await planned(candidates=2)).jobs]
    assert names == ["coast-c2", "coast", "dunes"]


def test_names_that_differ_by_case_alone_are_the_same() -> None:
    """They are one file on the disks of macOS and Windows."""
    assert named("a/Coast.png", "b/coast.jpg") == ["Coast", "coast-jpg"]
    with pytest.raises(BadParameter, match=r"Two scenes.*rename"):
        named("a/Coast.png", "b/coast.png", "c/COAST.png")


def test_names_that_differ_by_composition_alone_are_the_same() -> None:
    """macOS writes `é` as two characters."""
    two = unicodedata.normalize("NFD", "café")
    assert named(f"{two}.png") == ["café"]
    assert named("café.png", f"{two}.jpg") == ["café", "café-jpg"]


@pytest.mark.parametrize("name", ["con", "NUL", "com1", "Lpt9", "aux.old", "prn ", "com¹"])
def test_a_name_that_windows_keeps_for_itself_is_changed(name: str) -> None:
    assert inputs.clean_name(name) == f"_{name.strip()}"


@pytest.mark.parametrize("name", ["concert", "com10", "nullify", "old.con"])
def test_a_name_that_only_resembles_one_stays(name: str) -> None:
    assert inputs.clean_name(name) == name


@pytest.mark.parametrize("letter", ["a", "é", "海", "🌊"])
def test_a_scenes_name_leaves_room_for_the_longest_file_name(letter: str) -> None:
    """LAB-4: 255 bytes, in whatever script."""
    name = inputs.clean_name(letter * 300)
    longest = f"{name}.20260301-123045-abcd.c99.20260301-123045-99.png"
    assert name and set(name) <= {letter, "_"}
    assert len(longest.encode()) <= 255


async def test_a_plan_does_not_hold_the_pictures(planned: Any, scenes: Path) -> None:
    """A thousand scenes must fit into memory: the bytes are read again where they are needed."""
    plan: Plan = await planned()
    data = (scenes / "coast.png").read_bytes()
    assert len(pickle.dumps(plan.jobs[0].source)) < len(data)
    assert plan.jobs[0].source.read() == data


async def test_a_picture_that_changed_after_the_plan_is_refused(
    planned: Any, open_studio: Opener, scenes: Path, books: Books
) -> None:
    """LAB-1: what was shown is what is paid for."""
    plan = await planned()
    (scenes / "coast.png").write_bytes(noise(4))
    async with open_studio() as studio:
        with pytest.raises(Conflict, match=r"coast\.png.*was changed"):
            await starting.start(studio, plan, starting.Spending(confirmed=True))
    assert not books.entries()
