"""The file system of an address: one code for local paths, HTTP, memory and object storage."""

from typing import Any

from mlops_assets.errors import LakeError


def open_filesystem(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Object storage is reached with the variables of its own tools (`AWS_ENDPOINT_URL`, …).

    Raises:
        LakeError: nothing that is installed knows the address.
    """
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(address)
    except ImportError:  # s3:// and gs:// without s3fs and gcsfs: pyarrow brings drivers
        try:
            import pyarrow.fs
            from fsspec.implementations.arrow import ArrowFSWrapper

            arrow, path = pyarrow.fs.FileSystem.from_uri(address)
            filesystem = ArrowFSWrapper(arrow)
        except (ValueError, OSError, ImportError) as error:
            raise LakeError(f"{address} cannot be opened: {error}") from error
    except ValueError as error:
        raise LakeError(f"{address} cannot be opened: {error}") from error
    return filesystem, str(path)
