"""What operating systems, storage boxes and people leave among the files of a dataset, and which is no part of it."""

import re
from functools import lru_cache

OURS = "ours"  # says what a folder is, and is no news to anybody
MACOS, WINDOWS, STORAGE, UNFINISHED, CHECKSUMS = "macOS", "Windows", "storage boxes", "unfinished copies", "checksums"
DOCUMENTS, HIDDEN, TOOLS = "readme and licence", "hidden files", "other programs"
# All in lower case. Whole names, of files and folders:
NAMES = {
    **dict.fromkeys(("synthetic.json", "synthetic.txt", "fetched.json", ".downloads"), OURS),
    **dict.fromkeys(("__macosx", ".ds_store", ".appledouble", ".apdisk", ".localized", "icon\r"), MACOS),
    **dict.fromkeys((".spotlight-v100", ".fseventsd", ".temporaryitems", ".trashes", ".volumeicon.icns"), MACOS),
    **dict.fromkeys((".documentrevisions-v100", "network trash folder", "temporary items"), MACOS),
    **dict.fromkeys(("autorun.inf", "folder.htt", "$recycle.bin", "recycler", "system volume information"), WINDOWS),
    **dict.fromkeys(("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "lost+found"), STORAGE),
    **dict.fromkeys(("__pycache__", "picasa.ini", "zbthumbnail.info", "pspbrwse.jbf", "sync.ffs_db"), TOOLS),
}
# Ends of names:
ENDS = {
    **dict.fromkeys(("part", "partial", "crdownload", "download", "tmp", "swp"), UNFINISHED),
    **dict.fromkeys(("md5", "sha1", "sha256", "sha512", "sfv", "crc", "crc32"), CHECKSUMS),
    "pyc": TOOLS,
}
DOCUMENT = re.compile(
    r"(?:read[ _-]?me|lies[ _-]?mich|licen[sc]e|copying|citation|change[ _-]?log|eula|terms[ _-]of[ _-]use"
    r"|(?:end[ _-])?user[ _-]?licen[sc]e[ _-]?agreement)(?:[ _.-].*)?"
)
# Whole names that follow a pattern:
PATTERNS = (
    (re.compile(r"\._.*"), MACOS),
    (re.compile(r"(?:eh)?thumbs.*\.db(?::encryptable)?|desktop(?:[ _(].*)?\.ini|~\$.*|.+\.\w+:[\w.$]+"), WINDOWS),
    (re.compile(r".*@synoeastream"), STORAGE),
    (re.compile(r".*~"), UNFINISHED),
    (re.compile(r"(?:md5|sha-?\d+|crc32)(?:\.txt)?|(?:md5|sha-?\d+|crc32|check)[ _-]?sums?(?:\..*)?"), CHECKSUMS),
    (DOCUMENT, DOCUMENTS),
    (re.compile(r"\..*"), HIDDEN),
)
# Most of a million files of the datasets, which need no closer look.
PLAIN = re.compile(r"(?:\d[\w-]*|s[avs][dhl]_c\d[\w-]*|[0-9a-f]{16,})(?:\.(?:jpg|png|npy|txt|csv|json|avi))?")


def litter_kind(path: str) -> str:
    """Return what kind of litter a path below a dataset's folder is; archives on the way are parts of it.

    The kind is `OURS` for what hocbench leaves itself, and empty for a file that may belong to the dataset.
    """
    folder, _, name = path.rpartition("/")
    return (folder and _kind_of_folder(folder)) or _kind(name)


@lru_cache(maxsize=2**12)
def _kind_of_folder(folder: str) -> str:
    return next((kind for part in folder.split("/") if (kind := _kind(part))), "")


def _kind(part: str) -> str:
    name = part.lower()
    if PLAIN.fullmatch(name):
        return ""
    stem, dot, end = name.rpartition(".")
    kind = NAMES.get(name) or ENDS.get(end if dot and stem else "")
    return kind or next((kind for pattern, kind in PATTERNS if pattern.fullmatch(name)), "")
