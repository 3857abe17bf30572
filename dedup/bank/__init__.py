"""Banks: persistent sets of entries that new pictures are checked against."""

from dedup.bank.answers import Answer, BankPolicy, Match, Submission
from dedup.bank.bank import Bank
from dedup.bank.building import Counts
from dedup.bank.deliveries import Delivery, Outbox
from dedup.bank.entries import Entry
from dedup.bank.keys import SCOPES, ApiKey, Keys
from dedup.bank.maintenance import Verified
from dedup.bank.picture import MeasuredPicture
from dedup.bank.submissions import SubmissionRequest
from dedup.tables.entries import BankInfo, BankSpec

__all__ = [
    "SCOPES",
    "Answer",
    "ApiKey",
    "Bank",
    "BankInfo",
    "BankPolicy",
    "BankSpec",
    "Counts",
    "Delivery",
    "Entry",
    "Keys",
    "Match",
    "MeasuredPicture",
    "Outbox",
    "Submission",
    "SubmissionRequest",
    "Verified",
]
