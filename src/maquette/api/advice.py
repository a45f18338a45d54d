"""What to do about each error: the text of its page, one entry a code."""

from __future__ import annotations

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "internal": "Look for the correlation id in the server's log, and report what stands there.",
    "invalid-input": "Read the message: it names what is wrong. Mend the request and send it anew.",
    "bad-parameter": "Correct the member that `error.param` or the message names; `/docs` has the "
    "type and the limits of each.",
    "unsupported-image": "Send a PNG, JPEG, WebP, AVIF, TIFF, BMP or GIF that other programs open.",
    "image-too-large": "Send a smaller picture, or raise the limit that the message names.",
    "capability-missing": "Choose another model or backend, leave the option out, or set up what "
    "the message says is missing: `maquette doctor` tells how.",
    "unsafe-path": "Name a file below the project's root, without `..` and symbolic links.",
    "nothing-to-do": "Name scenes, or put pictures into the folder `scenes` of the project.",
    "request-too-large": "Send less at once, upload in parts (tus), or raise the server's limit "
    "(MAQUETTE_SERVER__BODY_KB, MAQUETTE_SERVER__UPLOAD_MB).",
    "unsupported-media": "Send the content type that `/docs` names for this route.",
    "range-outside": "Ask for a range within the size that `Content-Range` tells.",
    "archive-damaged": "Copy the archive again, compare its SHA-256, or make a new export. Nothing "
    "of it was taken in.",
    "denied": "Ask an administrator or the project's owner.",
    "unauthenticated": "Sign in (`POST /api/auth/login`), or send `Authorization: Bearer` with an "
    "API key or an access token that is still valid.",
    "forbidden": "Ask an administrator for the role, the project's owner for membership, or make a "
    "key with the scope that the message names.",
    "cross-site": "Open the studio under its own name. Programs that use a browser's session send "
    "`X-CSRF-Token`. Other names and origins: MAQUETTE_SERVER__HOSTS, MAQUETTE_SERVER__ORIGINS.",
    "moderation-not-allowed": "Leave `moderation` at `auto`. An administrator can verify your "
    "account; who has bought credits may choose it too.",
    "role-limited": "Ask for less, or for another model. An administrator can give you another "
    "role, or raise what yours allows (MAQUETTE_ROLES__…).",
    "signature-wrong": "Compare STRIPE_WEBHOOK_SECRET with the secret of this webhook's endpoint "
    "at Stripe, and the clock of this machine with the time.",
    "quota-exceeded": "Empty the trash, delete pictures, or ask for a larger quota.",
    "not-found": "Check the id; what was purged or erased does not come back.",
    "unknown-plugin": "Check the name; `maquette plugins` lists what is there and what is broken.",
    "project-not-found": "Check the slug; `GET /api/projects` lists those you are a member of.",
    "asset-not-found": "Check the id; the picture may lie in the trash or have been purged.",
    "run-not-found": "Check the id; `latest` is the newest run of the project.",
    "object-not-found": "`maquette verify` checks all bytes; restore what is missing from a backup "
    "or the project's mirror.",
    "file-missing": "Check the name; it is looked for below the project's root.",
    "job-not-found": "Check the id; `GET /api/projects/{slug}/jobs` lists them.",
    "user-not-found": "Check the name; an administrator sees all of them at `/api/users`.",
    "instruction-not-found": "Check the id; the project's list of instructions has it.",
    "chat-not-found": "Check the id; the project's list of chat sessions has it.",
    "voice-request-not-found": "Check the id; the project's list of voice requests has it.",
    "secret-not-found": "Check provider and name; the project's list of secrets has them, masked.",
    "upload-not-found": "Begin the upload anew: it has expired, ended, or never was.",
    "snapshot-not-found": "Check the id; the project's list of snapshots has it.",
    "export-not-found": "Check the id; the project's list of exports has it.",
    "model-not-found": "Choose another model; `maquette models` lists them. Of one that was shut "
    "down the message names the successor.",
    "no-such-route": "Check the address; `/docs` lists all of them.",
    "conflict": "Read the state again, then decide anew.",
    "already-exists": "Choose another name, or use what is there.",
    "not-resumable": "Make the run again (`replay`), or wait until it has ended.",
    "project-busy": "Wait until the project's runs have ended, or cancel them.",
    "database-too-new": "Install the newer version that wrote the database.",
    "wrong-state": "Read the state again: it changed meanwhile, or the step is not due.",
    "idempotency-mismatch": "Send a new `Idempotency-Key` with every new request.",
    "still-working": "Wait as long as `Retry-After` says, then send the same request again.",
    "method-not-allowed": "Use a method that the header `Allow` names.",
    "hurried": "Wait as long as `Retry-After` says, then try again.",
    "too-many-requests": "Wait as long as `Retry-After` says; the `X-RateLimit-*` headers tell the "
    "limit.",
    "request-timed-out": "What was begun goes on: look at the resource before you send again.",
    "shutting-down": "Send the request again in a moment.",
    "spend-refused": "Nothing was sent. Confirm, ask for less, or change the cap.",
    "spend-not-confirmed": "Look at the price (`/runs/dry`), then send `confirm_spend: true`.",
    "budget-exceeded": "Nothing was sent. Ask for less, wait for the next day where a daily cap "
    "stands, or raise the cap that the message names.",
    "spend-stopped": "Spending is stopped for the whole installation; `maquette spend resume` ends "
    "that.",
    "price-unknown": "Choose a model with a price; one without is never taken as free.",
    "insufficient-credits": "Nothing was sent. Buy credits (`POST /api/credits/checkout`), ask for "
    "less, or ask an administrator for a grant.",
    "provider-error": "It was not charged. Read what the provider says, and try again later.",
    "provider-refused": "Change the prompt or the picture: the provider declines this request.",
    "moderation-blocked": "Change the prompt or the pictures; sending them again does not help.",
    "provider-key-refused": "Check the key that the message names, and set it anew.",
    "provider-credit-gone": "Add credit at the provider, or raise the limit there; then resume.",
    "provider-rate-limited": "Wait as long as `Retry-After` says; jobs do so by themselves.",
    "provider-unavailable": "Try again later; jobs do so by themselves.",
    "endpoint-resting": "The endpoint failed again and again; it is tried again in a while.",
    "connection-refused": "Check the address. Addresses of a private network must be listed in "
    "MAQUETTE_NET__PRIVATE_HOSTS.",
    "bad-provider-reply": "The reply is kept. Where it may have been charged, decide with "
    "`maquette spend unknown`.",
    "not-collected": "Resume the run: the work is asked for again, and not paid again.",
    "outcome-unknown": "A paid call was sent and its answer was lost. Look into the provider's "
    "books, then `maquette spend decide` says whether it was charged.",
    "operation-failed": "Read the message; try another backend or a smaller picture.",
    "operation-crashed": "Try again; where it happens again, choose another backend.",
    "operation-timed-out": "Use a smaller picture, or raise MAQUETTE_WORKERS__TIMEOUT_S.",
    "nothing-passed": "Look at the refused pictures in `archive/bad`; change the prompt, or the "
    "rules of the guard.",
    "step-crashed": "Resume the run to try the step again; the log has the reason.",
    "protocol-unsupported": "Speak tus 1.0.0: send `Tus-Resumable: 1.0.0` with every request.",
    "checksum-mismatch": "Send that piece again: it was changed on its way, and was not kept.",
    "secrets-locked": "Give the master key that the message names (MAQUETTE_MASTER_KEY, or the key "
    "file), or set the secret anew.",
    "cancelled": "Resume the run to go on with it.",
    "storage-unavailable": "Check that the disk, the bucket or the database answers; try again.",
    "storage-full": "Free some space, then resume. Nothing that was written is lost.",
    "storage-read-only": "Make the folder writable, then resume.",
    "storage-damaged": "`maquette verify` tells what is damaged; restore it from a backup.",
}
