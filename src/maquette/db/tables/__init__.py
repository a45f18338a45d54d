"""Every table. Money is whole nano-dollars, times are aware UTC, JSON is what the models dump."""

from maquette.db.base import Base
from maquette.db.tables.credits import CreditPurchase, CreditReversal, CreditTransfer
from maquette.db.tables.library import AssetTag, Consent, Favourite, Upload
from maquette.db.tables.money import Attempt, Budget, Cap, CapAlert, Hold, HoldBudget, PastSpending
from maquette.db.tables.people import ApiKey, LoginSession, Membership, User
from maquette.db.tables.pictures import Asset, AssetParent, Blob, Borrowed, File
from maquette.db.tables.safe import Export, IdempotencyKey, Secret, Snapshot, Worker
from maquette.db.tables.talk import (
    ChatMessage,
    ChatSession,
    Instruction,
    InstructionEvent,
    VoiceRequest,
)
from maquette.db.tables.work import (
    Candidate,
    Event,
    Installation,
    Job,
    Notice,
    Project,
    Run,
    Step,
)

__all__ = [
    "ApiKey",
    "Asset",
    "AssetParent",
    "AssetTag",
    "Attempt",
    "Base",
    "Blob",
    "Borrowed",
    "Budget",
    "Candidate",
    "Cap",
    "CapAlert",
    "ChatMessage",
    "ChatSession",
    "Consent",
    "CreditPurchase",
    "CreditReversal",
    "CreditTransfer",
    "Event",
    "Export",
    "Favourite",
    "File",
    "Hold",
    "HoldBudget",
    "IdempotencyKey",
    "Installation",
    "Instruction",
    "InstructionEvent",
    "Job",
    "LoginSession",
    "Membership",
    "Notice",
    "PastSpending",
    "Project",
    "Run",
    "Secret",
    "Snapshot",
    "Step",
    "Upload",
    "User",
    "VoiceRequest",
    "Worker",
]
