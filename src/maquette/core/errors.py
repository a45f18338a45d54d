"""Every error that Maquette raises on purpose.

MaquetteError
├── InvalidInput          the caller can fix it
│   └── BadParameter · UnsupportedImage · ImageTooLarge · CapabilityMissing · UnsafePath ·
│       NothingToDo · RequestTooLarge · UnsupportedMedia · RangeOutside · ArchiveDamaged ·
│       ChecksumMismatch · ProtocolUnsupported
├── Denied                who asks may not have it
│   └── Unauthenticated · Forbidden · CrossSite · QuotaExceeded · ModerationNotAllowed ·
│       RoleLimited · SignatureWrong
├── NotFound              nothing has that id here
│   └── UnknownPlugin · ProjectNotFound · AssetNotFound · RunNotFound · ObjectNotFound ·
│       FileMissing · JobNotFound · UserNotFound · InstructionNotFound · ChatNotFound ·
│       VoiceRequestNotFound · SecretNotFound · UploadNotFound · SnapshotNotFound ·
│       ExportNotFound · NoSuchRoute · ModelNotFound
├── Conflict              the present state forbids it
│   └── AlreadyExists · ProjectBusy · NotResumable · DatabaseTooNew · WrongState ·
│       IdempotencyMismatch · StillWorking · MethodNotAllowed · SecretsLocked
├── Hurried               the server protects itself; asking again later helps
│   └── TooManyRequests · RequestTimedOut · ShuttingDown
├── SpendRefused          money says no; nothing was sent
│   └── NotConfirmed · BudgetExceeded · SpendStopped · PriceUnknown · InsufficientCredits
├── ProviderError         the other side failed
│   └── ProviderRefused · RateLimited · ProviderUnavailable · EndpointResting · ConnectionRefused ·
│       BadProviderReply · NotCollected · OutcomeUnknown
├── ProviderRefused       it declined the request, and says why
│   └── Moderated · KeyRefused · CreditGone
├── OperationFailed       the pixels could not be computed
│   └── OperationCrashed · OperationTimedOut · StepCrashed · NothingPassed
├── Cancelled             a person stopped it
└── StorageUnavailable    the bytes are out of reach
    └── StorageFull · StorageReadOnly · StorageDamaged

No error knows HTTP or exit codes: one table at each edge maps classes to them.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Retry(Enum):
    """What the job runner may do, unasked, after an error."""

    NEVER = "never"
    LATER = "later"


class MaquetteError(Exception):
    """Base of the tree; `code` is public and never renamed."""

    code: ClassVar[str] = "internal"
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, message: str, /, **facts: str | float | None) -> None:
        super().__init__(message)
        self.facts = facts

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process border with the facts intact."""
        return (_revive, (type(self), str(self), self.facts))


def _revive(
    kind: type[MaquetteError], message: str, facts: dict[str, str | float | None]
) -> MaquetteError:
    return kind(message, **facts)


class InvalidInput(MaquetteError):
    """The request cannot be right; the caller can fix it."""

    code = "invalid-input"


class BadParameter(InvalidInput):
    """A parameter has a wrong name, type or value."""

    code = "bad-parameter"


class UnsupportedImage(InvalidInput):
    """The bytes are not a picture that Maquette can read."""

    code = "unsupported-image"


class ImageTooLarge(InvalidInput):
    """The picture is over a limit of bytes, pixels or frames; it was not decoded."""

    code = "image-too-large"


class CapabilityMissing(InvalidInput):
    """The model or backend cannot do what was asked; nothing was sent."""

    code = "capability-missing"


class UnsafePath(InvalidInput):
    """The path leads out of the project's root."""

    code = "unsafe-path"


class NothingToDo(InvalidInput):
    """No input picture was named and none was found."""

    code = "nothing-to-do"


class RequestTooLarge(InvalidInput):
    """The request's body is over the limit; it was not read to its end."""

    code = "request-too-large"


class UnsupportedMedia(InvalidInput):
    """The request's body is of a kind that this route does not read."""

    code = "unsupported-media"


class RangeOutside(InvalidInput):
    """The range of bytes that was asked for lies outside of the file."""

    code = "range-outside"


class ArchiveDamaged(InvalidInput):
    """The archive is not whole, or not one of ours; nothing of it was taken in."""

    code = "archive-damaged"


class ChecksumMismatch(InvalidInput):
    """The bytes that came are not those that were sent; none of them were kept."""

    code = "checksum-mismatch"


class ProtocolUnsupported(InvalidInput):
    """The client speaks a version of the protocol that is not understood here."""

    code = "protocol-unsupported"


class Denied(MaquetteError):
    """Who asks may not have it."""

    code = "denied"


class Unauthenticated(Denied):
    """Nobody is signed in, or what was shown is not valid any more."""

    code = "unauthenticated"


class Forbidden(Denied):
    """The person, or the key, may not do this."""

    code = "forbidden"


class CrossSite(Denied):
    """A page of another site, or an unknown host name, made the request."""

    code = "cross-site"


class QuotaExceeded(Denied):
    """It does not fit under a quota of the person or the project."""

    code = "quota-exceeded"


class ModerationNotAllowed(Denied):
    """Weaker moderation is for people who are verified or have paid."""

    code = "moderation-not-allowed"


class RoleLimited(Denied):
    """The person's role does not allow so much, or this model."""

    code = "role-limited"


class SignatureWrong(Denied):
    """The message is not signed by whom it claims to come from, or is too old."""

    code = "signature-wrong"


class NotFound(MaquetteError):
    """Nothing has that id here."""

    code = "not-found"


class UnknownPlugin(NotFound):
    """No provider, operation or storage is registered under that id."""

    code = "unknown-plugin"


class ProjectNotFound(NotFound):
    """No project has that name."""

    code = "project-not-found"


class AssetNotFound(NotFound):
    """No asset has that id."""

    code = "asset-not-found"


class RunNotFound(NotFound):
    """No run has that id."""

    code = "run-not-found"


class ObjectNotFound(NotFound):
    """The store holds no object under that key."""

    code = "object-not-found"


class FileMissing(NotFound):
    """A file that the request names does not exist."""

    code = "file-missing"


class JobNotFound(NotFound):
    """No job has that id."""

    code = "job-not-found"


class UserNotFound(NotFound):
    """No person has that name or id."""

    code = "user-not-found"


class InstructionNotFound(NotFound):
    """No instruction has that id."""

    code = "instruction-not-found"


class ChatNotFound(NotFound):
    """No chat session has that id."""

    code = "chat-not-found"


class VoiceRequestNotFound(NotFound):
    """No voice request has that id."""

    code = "voice-request-not-found"


class SecretNotFound(NotFound):
    """No secret has that name."""

    code = "secret-not-found"


class UploadNotFound(NotFound):
    """No upload has that id; it may have expired."""

    code = "upload-not-found"


class SnapshotNotFound(NotFound):
    """No snapshot has that id or name."""

    code = "snapshot-not-found"


class ExportNotFound(NotFound):
    """No export has that id."""

    code = "export-not-found"


class NoSuchRoute(NotFound):
    """Nothing answers at that address."""

    code = "no-such-route"


class ModelNotFound(NotFound):
    """No model has that name, or it was shut down."""

    code = "model-not-found"


class Conflict(MaquetteError):
    """The present state forbids it."""

    code = "conflict"


class AlreadyExists(Conflict):
    """Something else has that name."""

    code = "already-exists"


class NotResumable(Conflict):
    """The run is in a state that nothing can continue."""

    code = "not-resumable"


class ProjectBusy(Conflict):
    """Work on the project is in progress."""

    code = "project-busy"


class DatabaseTooNew(Conflict):
    """The database was written by a newer version."""

    code = "database-too-new"


class WrongState(Conflict):
    """It is in a state that does not allow this."""

    code = "wrong-state"


class IdempotencyMismatch(Conflict):
    """The same idempotency key came with another request."""

    code = "idempotency-mismatch"


class StillWorking(Conflict):
    """The first request with this idempotency key is not answered yet."""

    code = "still-working"


class MethodNotAllowed(Conflict):
    """The address does not answer to this method."""

    code = "method-not-allowed"


class SecretsLocked(Conflict):
    """Secrets cannot be sealed or opened: the master key is missing, wrong or open to others."""

    code = "secrets-locked"


class Hurried(MaquetteError):
    """The server protects itself; asking again later helps."""

    code = "hurried"

    def __init__(
        self, message: str, /, *, retry_after: float | None = None, **facts: str | float | None
    ) -> None:
        super().__init__(message, retry_after=retry_after, **facts)
        self.retry_after = retry_after


class TooManyRequests(Hurried):
    """More requests than the limit allows."""

    code = "too-many-requests"


class RequestTimedOut(Hurried):
    """The answer took longer than a request may."""

    code = "request-timed-out"


class ShuttingDown(Hurried):
    """The server is stopping and takes nothing new."""

    code = "shutting-down"


class SpendRefused(MaquetteError):
    """Money says no; nothing was sent."""

    code = "spend-refused"


class NotConfirmed(SpendRefused):
    """The run costs money and nobody confirmed it."""

    code = "spend-not-confirmed"


class BudgetExceeded(SpendRefused):
    """The worst case does not fit under a cap."""

    code = "budget-exceeded"


class SpendStopped(SpendRefused):
    """The kill switch is on."""

    code = "spend-stopped"


class PriceUnknown(SpendRefused):
    """The model has no price; it is refused, never taken as free."""

    code = "price-unknown"


class InsufficientCredits(SpendRefused):
    """The worst case does not fit into the person's credits."""

    code = "insufficient-credits"


class ProviderError(MaquetteError):
    """The other side failed; it was not charged."""

    code = "provider-error"


class ProviderRefused(ProviderError):
    """The provider declined this request (moderation or a bad parameter)."""

    code = "provider-refused"


class Moderated(ProviderRefused):
    """The provider's moderation refused the prompt or a picture."""

    code = "moderation-blocked"


class KeyRefused(ProviderRefused):
    """The provider does not take the key that is kept for it."""

    code = "provider-key-refused"


class CreditGone(ProviderRefused):
    """The account at the provider has no credit left."""

    code = "provider-credit-gone"


class RateLimited(ProviderError):
    """Too many requests; `retry_after` seconds when the provider said so."""

    code = "provider-rate-limited"
    retry = Retry.LATER

    def __init__(
        self, message: str, /, *, retry_after: float | None = None, **facts: str | float | None
    ) -> None:
        super().__init__(message, retry_after=retry_after, **facts)
        self.retry_after = retry_after


class ProviderUnavailable(ProviderError):
    """The provider is down or out of reach, and took nothing."""

    code = "provider-unavailable"
    retry = Retry.LATER


class EndpointResting(ProviderError):
    """The endpoint failed again and again, and is left alone for a while; nothing was sent."""

    code = "endpoint-resting"


class ConnectionRefused(ProviderError):
    """The address is not allowed or not known; nothing was sent."""

    code = "connection-refused"


class BadProviderReply(ProviderError):
    """The provider answered with something that is not a picture; its bytes are kept."""

    code = "bad-provider-reply"


class NotCollected(ProviderError):
    """The provider took the work but could not be asked for it; resuming asks again, unpaid."""

    code = "not-collected"


class OutcomeUnknown(ProviderError):
    """A paid request was sent and its answer was lost: it may have been charged.

    Never retried unasked. A person, or `Provider.resume`, decides.
    """

    code = "outcome-unknown"


class OperationFailed(MaquetteError):
    """An operation could not compute its result."""

    code = "operation-failed"


class OperationCrashed(OperationFailed):
    """The worker process of an operation died; only its job fails."""

    code = "operation-crashed"


class OperationTimedOut(OperationFailed):
    """An operation ran past its time limit and was stopped."""

    code = "operation-timed-out"


class StepCrashed(OperationFailed):
    """The same step brought the program down three times."""

    code = "step-crashed"


class NothingPassed(OperationFailed):
    """The output guard let none of the pictures pass; they are kept, with what it found."""

    code = "nothing-passed"


class Cancelled(MaquetteError):
    """A person stopped the work."""

    code = "cancelled"


class StorageUnavailable(MaquetteError):
    """The bytes are out of reach."""

    code = "storage-unavailable"


class StorageFull(StorageUnavailable):
    """The disk is full; what was written before is intact."""

    code = "storage-full"


class StorageReadOnly(StorageUnavailable):
    """The folder cannot be written."""

    code = "storage-read-only"


class StorageDamaged(StorageUnavailable):
    """Stored bytes no longer match their digest."""

    code = "storage-damaged"
