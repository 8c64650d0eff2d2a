"""A small S3 server in a process of its own, for what the lake does in object storage.

It keeps objects in memory and knows the calls that object stores' clients make: put (also only if
absent), multipart upload, get with a range, head, list and delete. No thread would do: Delta's
storage handler holds Python's lock while it waits for an answer.
"""

import hashlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen
from xml.sax.saxutils import escape, unescape

_MODIFIED = "Tue, 01 Jan 2013 00:00:00 GMT"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer, or each waits 40 ms for an acknowledgement
    objects: dict[str, bytes]
    uploads: dict[str, dict[int, bytes]]
    lock: threading.Lock

    def log_message(self, *_: object) -> None:
        """Says nothing: the default writes each request to stderr."""

    def do_PUT(self) -> None:
        key, query = self._address()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploadId" in query:
            self.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return self._answer(200, headers={"ETag": _etag(body)})
        with self.lock:
            if self.headers.get("If-None-Match") == "*" and key in self.objects:
                return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.objects[key] = body
        return self._answer(200, headers={"ETag": _etag(body)})

    def do_POST(self) -> None:
        key, query = self._address()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploads" in query:
            upload = str(len(self.uploads))
            self.uploads[upload] = {}
            answer = f"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>{escape(key)}</Key>"
            answer += f"<UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            return self._answer(200, answer.encode())
        if "uploadId" in query:
            parts = self.uploads.pop(query["uploadId"])
            self.objects[key] = b"".join(parts[number] for number in sorted(parts))
            etag = escape(_etag(self.objects[key]))
            answer = f"<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>{escape(key)}</Key>"
            answer += f"<ETag>{etag}</ETag></CompleteMultipartUploadResult>"
            return self._answer(200, answer.encode())
        names = re.findall(r"<Key>(.*?)</Key>", body.decode())
        for name in names:
            self.objects.pop(f"{key}/{unescape(name)}", None)
        deleted = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
        return self._answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def do_GET(self) -> None:
        key, query = self._address()
        if "list-type" in query:
            return self._answer(200, self._listing(key, query).encode())
        if key not in self.objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        body = self.objects[key]
        headers = {"ETag": _etag(body), "Last-Modified": _MODIFIED}
        if asked := re.match(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            start = int(asked[1]) if asked[1] else max(0, len(body) - int(asked[2]))
            end = min(int(asked[2]) + 1, len(body)) if asked[1] and asked[2] else len(body)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(body)}"
            return self._answer(206, body[start:end], headers)
        return self._answer(200, body, headers)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.objects.pop(self._address()[0], None)
        return self._answer(204)

    def _listing(self, bucket: str, query: dict[str, str]) -> str:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        names = sorted(key.removeprefix(f"{bucket}/") for key in self.objects)
        names = [name for name in names if name.startswith(prefix)]
        names = [name for name in names if name > query.get("start-after", "")]
        rest = {name: name.removeprefix(prefix) for name in names}
        folders = {prefix + r.split("/")[0] + "/" for r in rest.values() if delimiter and "/" in r}
        files = [name for name, r in rest.items() if not (delimiter and "/" in r)]
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[f'{bucket}/{name}'])}</Size>"
            "<LastModified>2013-01-01T00:00:00.000Z</LastModified><ETag>e</ETag></Contents>"
            for name in files
        )
        shared = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            for name in sorted(folders)
        )
        found = f"<IsTruncated>false</IsTruncated>{contents}{shared}"
        return f"<ListBucketResult>{found}</ListBucketResult>"

    def _address(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query, keep_blank_values=True)
        return unquote(parts.path).strip("/"), {name: values[0] for name, values in query.items()}

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """The storage options that reach a running store with the bucket `bucket`."""
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            yield {
                "aws_endpoint_url": f"http://127.0.0.1:{port}",
                "aws_allow_http": "true",
                "aws_region": "us-east-1",
                "aws_access_key_id": "test",
                "aws_secret_access_key": "test",
            }
        finally:
            server.kill()


def stored_names(options: dict[str, str]) -> list[str]:
    """Names of all objects in the bucket."""
    with urlopen(f"{options['aws_endpoint_url']}/bucket?list-type=2") as answer:
        return re.findall(r"<Key>(.*?)</Key>", answer.read().decode())


if __name__ == "__main__":
    state = {"objects": {}, "uploads": {}, "lock": threading.Lock()}
    store = ThreadingHTTPServer(("127.0.0.1", 0), type("_Store", (_Handler,), state))
    print(store.server_port, flush=True)
    store.serve_forever()
