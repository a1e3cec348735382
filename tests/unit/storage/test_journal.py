import errno
import json
import os
from pathlib import Path

import pytest

from storage.applying import decode
from storage.errors import DiskFull, JournalCorrupt, NewerSchema, StoreFailed
from storage.journal import Journal, JournalEntry, encode_line, read_entries, segments
from storage.records import utc_now


def _journal(folder: Path, **options: int) -> Journal:
    (folder / "journal").mkdir(exist_ok=True)
    return Journal(folder / "journal", quarantine=folder / "quarantine", **options)


def _write(folder: Path, count: int, **options: int) -> None:
    journal = _journal(folder, **options)
    for _ in range(count):
        journal.append(utc_now(), [f'["prompt",{{"number":{journal.last_seq + 1}}}]'])
    journal.close()


def _seqs(folder: Path, after: int = 0) -> list[int]:
    return [entry.seq for entry in read_entries(folder / "journal", after=after)]


def test_gives_back_what_was_written_over_several_segments(tmp_path: Path) -> None:
    _write(tmp_path, 20, segment_bytes=400)
    _write(tmp_path, 5, segment_bytes=400)

    files = segments(tmp_path / "journal")
    assert len(files) > 3
    assert _seqs(tmp_path) == list(range(1, 26))
    assert _seqs(tmp_path, after=17) == list(range(18, 26))
    assert _seqs(tmp_path, after=25) == []
    entries = list(read_entries(tmp_path / "journal"))
    assert entries[6].records == [("prompt", {"number": 7})]


def test_does_not_read_segments_that_are_not_needed(tmp_path: Path) -> None:
    _write(tmp_path, 20, segment_bytes=400)
    segments(tmp_path / "journal")[0].write_bytes(b"damaged\n")
    assert _seqs(tmp_path, after=17) == [18, 19, 20]
    with pytest.raises(JournalCorrupt, match=r"000000000001\.jsonl, line 1"):
        _seqs(tmp_path)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_sets_a_torn_end_aside_and_goes_on(tmp_path: Path, cut: int) -> None:
    _write(tmp_path, 3)
    (file,) = segments(tmp_path / "journal")
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])

    journal = _journal(tmp_path)
    assert journal.last_seq == 2
    assert journal.append(utc_now(), ['["prompt",{}]']) == 3
    journal.close()
    assert _seqs(tmp_path) == [1, 2, 3]
    kept = (tmp_path / "quarantine" / f"{file.name}.tail").read_bytes()
    assert len(kept) == journal.torn_bytes > 0
    assert kept in whole


def test_is_refused_when_damaged_in_the_middle(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    (file,) = segments(tmp_path / "journal")
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"number":2', b'"number":9')
    file.write_bytes(b"".join(lines))
    before = file.read_bytes()

    with pytest.raises(JournalCorrupt, match="line 2: damaged, and whole entries follow"):
        _journal(tmp_path)
    with pytest.raises(JournalCorrupt, match="line 2"):
        _seqs(tmp_path)
    assert file.read_bytes() == before


def test_is_refused_when_entries_are_missing(tmp_path: Path) -> None:
    _write(tmp_path, 20, segment_bytes=400)
    files = segments(tmp_path / "journal")
    files[1].unlink()
    with pytest.raises(JournalCorrupt, match="are missing"):
        _seqs(tmp_path)
    files[0].unlink()
    with pytest.raises(JournalCorrupt, match="entries 1 to"):
        _seqs(tmp_path)


def test_is_refused_when_a_line_was_removed(tmp_path: Path) -> None:
    _write(tmp_path, 3)
    (file,) = segments(tmp_path / "journal")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[2])
    with pytest.raises(JournalCorrupt, match="entry 3 stands where 2 should"):
        _seqs(tmp_path)


def test_keeps_nothing_when_the_disk_fills_in_the_middle_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, 2)
    journal = _journal(tmp_path)
    (file,) = segments(tmp_path / "journal")
    before = file.read_bytes()
    real, failures = os.fdatasync, [OSError(errno.ENOSPC, "No space left on device")]

    def fdatasync(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(DiskFull, match="nothing was written"):
        journal.append(utc_now(), ['["prompt",{}]'])
    assert file.read_bytes() == before
    assert journal.append(utc_now(), ['["prompt",{}]']) == 3
    journal.close()
    assert _seqs(tmp_path) == [1, 2, 3]


def test_takes_nothing_more_when_a_refused_line_cannot_be_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, 2)
    journal = _journal(tmp_path)
    real, failures = os.fdatasync, [OSError(errno.EIO, "of the clean-up"), OSError(errno.EIO, "of the line")]

    def fdatasync(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with pytest.raises(StoreFailed, match=r"of the line.*of the clean-up.*restart the program"):
        journal.append(utc_now(), ['["prompt",{"number":3}]'])
    with pytest.raises(StoreFailed, match="restart the program"):
        journal.append(utc_now(), ['["prompt",{"number":3}]'])
    journal.close()
    assert _seqs(tmp_path) == [1, 2]
    _write(tmp_path, 1)
    assert _seqs(tmp_path) == [1, 2, 3]


def test_is_refused_when_a_newer_program_wrote_it(tmp_path: Path) -> None:
    _write(tmp_path, 1)
    (file,) = segments(tmp_path / "journal")
    line = encode_line(2, utc_now(), ['["prompt",{}]'])
    body = json.loads(line)["body"] | {"format": 99}
    assert body["seq"] == 2
    newer = encode_line(2, utc_now(), []).replace(b'"format":1', b'"format":9')
    file.write_bytes(file.read_bytes() + _with_fresh_sum(newer))
    with pytest.raises(NewerSchema, match="journal format 9"):
        _seqs(tmp_path)


def _with_fresh_sum(line: bytes) -> bytes:
    from hashlib import blake2b

    body = line[len('{"sum":"') + 16 + len('","body":') : -2]
    return b'{"sum":"' + blake2b(body, digest_size=8).hexdigest().encode() + b'","body":' + body + b"}\n"


@pytest.mark.parametrize("record", [("hologram", {}), ("prompt", {"prompt_id": "p", "smell": "sweet"})])
def test_names_the_record_when_it_is_unknown(record: tuple[str, dict[str, str]]) -> None:
    with pytest.raises(NewerSchema, match=f"'{record[0]}' record this program cannot read"):
        decode(JournalEntry(7, [record]))
