"""Recordings of the event log: made, looked at, cut, made anonymous and played back into a log.

    entries     an event or a tick ↔ one line of JSON (pure)
    frames      lines ↔ a file of zstd frames that stays readable when it is cut off
    columns     the same entries as Parquet, where pyarrow is installed
    files       either form by the name of the file
    merge       partitions → one order (pure)
    recorder    the log → entries
    selection   which entries are wanted (pure)
    summary     what a recording holds (pure)
    anonymous   entries without personal data (pure)
    playback    entries → the log

The format is described in docs/recordings.md. Errors::

    RecordingError          the file cannot be read, or not be used so; nothing was changed
    ├── NotARecording       it is something else, or of a newer version
    ├── DamagedRecording    bytes in its midst are not what was written
    └── ParquetUnavailable  Parquet was asked for and pyarrow is not installed
"""


class RecordingError(Exception):
    """A recording cannot be read or not be used as asked; the message says why."""


class NotARecording(RecordingError):
    """The file is none of ours, or of a version that we do not know."""


class DamagedRecording(RecordingError):
    """What stands in the file is not what was written."""


class ParquetUnavailable(RecordingError):
    """Parquet needs an extra that is not installed."""
