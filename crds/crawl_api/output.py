"""Where results go and in which form: options that all job types share."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator

from crawl_api.base import SecretReference, SpecModel

MAX_STORE_URL: Final = 256

_STORE_RULE: Final = {
    "rule": "self.matches('^(s3|gs|az)://[^/]+(/.*)?$|^file:///.*$')",
    "message": "must be an s3://, gs://, az:// or file:/// URL",
}
_COMPRESSION_MESSAGE: Final = "compression is for JSONLines; Parquet and WARC compress by themselves"
_COMPRESSION_RULE: Final[dict[str, JsonValue]] = {
    # The schema's own default of the whole has no members yet when this is first checked.
    "rule": "!has(self.compression) || self.compression == 'none' || !has(self.format) || self.format == 'JSONLines'",
    "message": _COMPRESSION_MESSAGE,
}


class OutputFormat(StrEnum):
    """What a result is written as."""

    JSON_LINES = "JSONLines"
    PARQUET = "Parquet"
    WARC = "WARC"


class Compression(StrEnum):
    """How JSON Lines are compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"


class OutputOptions(SpecModel):
    """Form and place of the result."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_COMPRESSION_RULE]})

    format: OutputFormat = OutputFormat.JSON_LINES
    """`JSONLines` and `Parquet` hold the records, `WARC` the answers of the sites as they came, decompressed."""
    compression: Compression = Compression.NONE
    """Of JSON Lines."""
    inline_limit_bytes: Annotated[int, Field(ge=0, le=1 << 20)] | None = None
    """Largest result that also stands in the status; it may lower the operator's limit, never raise it."""
    store_url: (
        Annotated[
            str,
            StringConstraints(min_length=6, max_length=MAX_STORE_URL),
            Field(json_schema_extra={"x-kubernetes-validations": [_STORE_RULE]}),
        ]
        | None
    ) = None
    """Bucket or folder for the result: it then lies under namespace, name, UID and attempt, and is never deleted by
    the operator. Unset: the administrator's, which is the operator's own unless configured otherwise."""
    credentials: SecretReference | None = None
    """Secret whose keys are options of that store, such as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT,
    GOOGLE_SERVICE_ACCOUNT_KEY or AZURE_STORAGE_ACCOUNT_KEY. Without it, what the pod's service account is given."""

    @model_validator(mode="after")
    def _one_compression(self) -> Self:
        if self.format is not OutputFormat.JSON_LINES and self.compression is not Compression.NONE:
            raise ValueError(_COMPRESSION_MESSAGE)
        return self

    @property
    def file_name(self) -> str:
        """Name of the result."""
        match self.format:
            case OutputFormat.PARQUET:
                return "results.parquet"
            case OutputFormat.WARC:
                return "results.warc.gz"
        return "results.jsonl" + {Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}.get(self.compression, "")
