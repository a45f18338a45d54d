"""All tools. A surface for agents is made from these, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maquette.agent import following, looking, making, tells, wants
from maquette.agent.call import Answer, Call, Tool
from maquette.core.people import Scope

_PAID = (
    "Free work begins at once. For what costs money nothing is sent: you get the price and a "
    "`confirmation`; show a person the price and call `confirm` when they agree."
)

TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        "list_models",
        "List models",
        "The models that are ready: what each makes, its limits, options, price and end.",
        wants.ListModels,
        tells.ModelsTold,
        Scope.READ,
        looking.list_models,
    ),
    Tool(
        "plan",
        "Plan",
        "What a call of generate, edit, inpaint or post_process would send, and the most that it "
        "costs. Free; nothing is sent.",
        wants.Plan,
        tells.PlanTold,
        Scope.READ,
        making.plan,
    ),
    Tool(
        "generate",
        "Generate pictures",
        f"Make pictures from words. {_PAID}",
        wants.Generate,
        tells.JobTold,
        Scope.WRITE,
        making.TOOLS["generate"],
        makes=True,
    ),
    Tool(
        "edit",
        "Edit a picture",
        f"Make pictures from a picture, more pictures as examples, and words. {_PAID}",
        wants.Edit,
        tells.JobTold,
        Scope.WRITE,
        making.TOOLS["edit"],
        makes=True,
    ),
    Tool(
        "inpaint",
        "Change a part of a picture",
        "Change a picture inside a mask, an asset of the picture's own size; outside it every "
        f"pixel stays as it was. {_PAID}",
        wants.Inpaint,
        tells.JobTold,
        Scope.WRITE,
        making.TOOLS["inpaint"],
        makes=True,
    ),
    Tool(
        "post_process",
        "Finish a picture",
        "Remove a picture's background, enlarge it, or grade its colours. What is embedded is "
        f"free. {_PAID}",
        wants.PostProcess,
        tells.JobTold,
        Scope.WRITE,
        making.TOOLS["post_process"],
        makes=True,
    ),
    Tool(
        "confirm",
        "Confirm a price",
        "Begin what was planned, after a person agreed to its price. Good once: said again, it "
        "tells of the same job and costs nothing more.",
        wants.Confirm,
        tells.JobTold,
        Scope.SPEND,
        making.confirm,
        destroys=True,
        again=True,
    ),
    Tool(
        "follow_job",
        "Follow a job",
        "Wait for a job's end, or look at it at once with wait_s 0: its state, cost and pictures. "
        "A call that is cancelled stops waiting; the job goes on.",
        wants.FollowJob,
        tells.JobTold,
        Scope.READ,
        following.follow_job,
    ),
    Tool(
        "cancel_job",
        "Cancel a job",
        "Ask for a job's end. A call that was paid is let finish, and what was made is kept.",
        wants.CancelJob,
        tells.JobTold,
        Scope.WRITE,
        following.cancel_job,
        destroys=True,
    ),
    Tool(
        "look_up",
        "Look up pictures",
        "Search the library by words, kind and tag, newest first; or show one asset with what it "
        "was made from, what was made of it, and the picture itself.",
        wants.LookUp,
        tells.LibraryTold,
        Scope.READ,
        looking.look_up,
    ),
    Tool(
        "upload_image",
        "Upload a picture",
        "Make an asset of a picture that you have, so that it can be edited or serve as a mask.",
        wants.UploadImage,
        tells.UploadedTold,
        Scope.WRITE,
        looking.upload_image,
    ),
    Tool(
        "list_projects",
        "List projects",
        "The projects that you are a member of; `yours` is used where a call names none.",
        wants.Nothing,
        tells.ProjectsTold,
        Scope.READ,
        looking.list_projects,
    ),
    Tool(
        "spending",
        "Look at the money",
        "The ceilings on spending and what is left under each, and whether spending is stopped.",
        wants.Spending,
        tells.SpendingTold,
        Scope.READ,
        looking.tell_spending,
    ),
)
BY_NAME: Mapping[str, Tool[Any]] = {one.name: one for one in TOOLS}


async def call_tool(tool: Tool[Any], call: Call, arguments: Mapping[str, Any]) -> Answer:
    """Check the credential and the arguments, and do it."""
    call.check_scope(tool.scope)
    wanted = making.read(tool.wants, arguments, tool.name)
    with call.wait(getattr(wanted, "wait_s", 0)):
        return await tool.does(call, wanted)
