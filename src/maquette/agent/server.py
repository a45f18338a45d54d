"""The tools as an MCP server, whichever way its messages come."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mcp_types as t
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError

from maquette import __version__
from maquette.agent import agreeing, making, showing
from maquette.agent.call import Answer, Call, Office, Shown, Tool
from maquette.agent.tools import BY_NAME, TOOLS, call_tool
from maquette.core.errors import MaquetteError
from maquette.core.people import Caller, Needs, Scope
from maquette.db.library import Filters
from maquette.services import library

Context = ServerRequestContext[Any, Any]
NAME = "maquette"
_SAYS = (
    "Maquette makes and edits pictures and keeps all of them with their history. Begin with "
    "list_models. Free work begins at once; for paid work you get a price and a confirmation "
    "first: show the person the price, and call confirm only when they agree. A job that is not "
    "done when a call returns goes on; follow_job waits for it."
)
_LISTED = 50
_BROKE = "Something broke here that should not; the server's log has it."
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Who:
    """Who sends a message, and the project where their calls name none."""

    caller: Caller
    again: Callable[[], Awaitable[Caller]]
    """Says it anew after a long wait; raises where they are not let in any more."""
    project: str | None = None


def made(office: Office, who: Callable[[Context], Who]) -> Server[Any]:
    """Make a server; `who` tells of each message whose it is."""
    desk = _Desk(office, who)
    return Server(
        NAME,
        version=__version__,
        title="Maquette",
        instructions=_SAYS,
        get_tool_input_schema=lambda name: BY_NAME[name].schema() if name in BY_NAME else None,
        on_list_tools=desk.list_tools,
        on_call_tool=desk.call_tool,
        on_list_resources=desk.list_resources,
        on_list_resource_templates=desk.list_templates,
        on_read_resource=desk.read_resource,
    )


class _Desk:
    """Answers messages."""

    def __init__(self, office: Office, who: Callable[[Context], Who]) -> None:
        self._office = office
        self._who = who

    def _call(self, context: Context) -> Call:
        who = self._who(context)

        async def tell(done: float, total: float | None, words: str) -> None:
            if not call.gone.is_set():
                await context.session.report_progress(done, total, words)

        call = Call(self._office, who.caller, who.project, tell, who.again)
        return call

    async def list_tools(
        self, _context: Context, _params: t.PaginatedRequestParams | None
    ) -> t.ListToolsResult:
        return t.ListToolsResult(tools=[_described(one) for one in TOOLS])

    async def call_tool(
        self, context: Context, params: t.CallToolRequestParams
    ) -> t.CallToolResult | t.InputRequiredResult:
        tool = BY_NAME.get(params.name)
        if tool is None:
            raise MCPError(t.INVALID_PARAMS, f"There is no tool {params.name[:60]!r}.")
        call, arguments = self._call(context), params.arguments or {}
        work = self._done(context, call, tool, arguments, params)
        try:
            # What was begun is seen through, whoever goes away; only waiting stops.
            return await call.studio.errands.see_through(work)
        except asyncio.CancelledError:
            call.gone.set()
            raise
        except MaquetteError as error:
            return _refused(error)
        except Exception:
            log.exception("the tool %s failed in an unforeseen way", tool.name)
            return _refused(MaquetteError(_BROKE))

    async def _done(
        self,
        context: Context,
        call: Call,
        tool: Tool[Any],
        arguments: Mapping[str, Any],
        params: t.CallToolRequestParams,
    ) -> t.CallToolResult | t.InputRequiredResult:
        if tool.makes and params.request_state is not None:
            return await self._word_said(call, tool, arguments, params)
        answer = await call_tool(tool, call, arguments)
        if answer.proposal is None:
            return _answered(answer)
        if not agreeing.can_be_asked(context):
            return _answered(answer)
        question = agreeing.question(answer)
        if not context.session.can_send_request:  # the client comes back with what was said
            return t.InputRequiredResult(
                input_requests={agreeing.KEY: question}, request_state=answer.proposal.key
            )
        said = await agreeing.ask(context, question, call.gone)
        if said is None:  # it can still be confirmed
            return _answered(answer)
        return _answered(await self._decided(call, said, answer.proposal.key, arguments))

    async def _word_said(
        self,
        call: Call,
        tool: Tool[Any],
        arguments: Mapping[str, Any],
        params: t.CallToolRequestParams,
    ) -> t.CallToolResult:
        """Go on with a call that was made again, with what the person said to its price."""
        key = params.request_state or ""
        call.check_scope(Scope.SPEND)
        await making.check_same(call, key, tool.name, arguments)
        said = (params.input_responses or {}).get(agreeing.KEY)
        return _answered(await self._decided(call, said, key, arguments))

    async def _decided(
        self, call: Call, said: object, key: str, arguments: Mapping[str, Any]
    ) -> Answer:
        if not agreeing.agreed(said):
            return await making.declined(call, key)
        wait = {"wait_s": arguments["wait_s"]} if "wait_s" in arguments else {}
        return await call_tool(BY_NAME["confirm"], call, {"confirmation": key, **wait})

    async def list_resources(
        self, context: Context, params: t.PaginatedRequestParams | None
    ) -> t.ListResourcesResult:
        """List the newest pictures of the caller's project."""
        call = self._call(context)
        with _answerable("list"):
            call.check_scope(Scope.READ)
            project = await call.enter(None, Needs.PROJECT_VIEWER)
            cursor = None if params is None else params.cursor
            page = await library.page(
                call.studio, Filters(project.id), limit=_LISTED, cursor=cursor
            )
        found = [
            t.Resource(
                name=one.name,
                uri=showing.uri_of(project.slug, one.id),
                description=one.prompt[:200] or None,
                mime_type=one.media_type,
                size=one.size_bytes,
            )
            for one in page.items
        ]
        return t.ListResourcesResult(resources=found, next_cursor=page.next)

    async def list_templates(
        self, _context: Context, _params: t.PaginatedRequestParams | None
    ) -> t.ListResourceTemplatesResult:
        template = t.ResourceTemplate(
            name="asset",
            title="A picture of a project",
            uri_template=f"{showing.SCHEME}{{project}}/assets/{{asset}}",
            description="Its bytes exactly as they were made.",
        )
        return t.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(
        self, context: Context, params: t.ReadResourceRequestParams
    ) -> t.ReadResourceResult:
        """Return a picture's bytes."""
        call, found = self._call(context), showing.asset_at(params.uri)
        if found is None:
            raise MCPError(t.INVALID_PARAMS, f"There is no resource {params.uri[:200]!r}.")
        with _answerable("read"):
            call.check_scope(Scope.READ)
            project = await call.enter(found[0], Needs.PROJECT_VIEWER)
            of = await library.bytes_of(call.studio, project.id, found[1])
            data = await showing.whole(call, project, of)
        blob = base64.b64encode(data).decode()
        one = t.BlobResourceContents(uri=params.uri, mime_type=of.media_type, blob=blob)
        return t.ReadResourceResult(contents=[one])


def _described(tool: Tool[Any]) -> t.Tool:
    return t.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.says,
        input_schema=tool.schema(),
        output_schema=tool.tells.model_json_schema(),
        annotations=t.ToolAnnotations(
            title=tool.title,
            read_only_hint=tool.looks,
            destructive_hint=None if tool.looks else tool.destroys,
            idempotent_hint=None if tool.looks else tool.again,
            open_world_hint=tool.makes or tool.name == "confirm",
        ),
    )


def _answered(answer: Answer) -> t.CallToolResult:
    """Say it three times: as data, as text for models that read only that, and as pictures."""
    document = answer.told.model_dump(mode="json")
    text = answer.told.model_dump_json(exclude_none=True, exclude_defaults=True)
    content: list[t.ContentBlock] = [t.TextContent(type="text", text=text)]
    for one in answer.pictures:
        content += [_image(one), _link(one)]
    return t.CallToolResult(content=content, structured_content=document)


def _image(one: Shown) -> t.ImageContent:
    data = base64.b64encode(one.data).decode()
    return t.ImageContent(type="image", data=data, mime_type=one.data_type)


def _link(one: Shown) -> t.ResourceLink:
    return t.ResourceLink(
        type="resource_link",
        name=one.name,
        uri=showing.uri_of(one.project, one.asset),
        mime_type=one.media_type,
        size=one.size_bytes,
    )


def _refused(error: MaquetteError) -> t.CallToolResult:
    words = f"{error} ({error.code})"
    return t.CallToolResult(content=[t.TextContent(type="text", text=words)], is_error=True)


@contextmanager
def _answerable(what: str) -> Generator[None]:
    """Say what went wrong in our words: of anything else the protocol's server tells all it has."""
    try:
        yield
    except MaquetteError as error:
        raise MCPError(t.INVALID_PARAMS, f"{error} ({error.code})") from None
    except Exception:
        log.exception("resources failed in an unforeseen way: %s", what)
        raise MCPError(t.INTERNAL_ERROR, f"{_BROKE} ({MaquetteError.code})") from None
