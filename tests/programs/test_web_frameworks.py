"""Development servers of web frameworks: Bottle, on ``wsgiref``, and Django, with threads on top of that."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING

from .kit import HOST, SECONDS, curl, get, get_to_the_end, need, running, script, together

if TYPE_CHECKING:
    from pathlib import Path

BOTTLE = """
import bottle
app = bottle.Bottle()
@app.get("/hello/<name>")
def hello(name):
    return bottle.template("Hello {{name}}!", name=name)
@app.post("/upload")
def upload():
    return str(len(bottle.request.files["file"].file.read()))
@app.get("/fail")
def fail():
    raise bottle.HTTPError(503, "busy")
"""

DJANGO = """
import sys, threading
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
settings.configure(
    DEBUG=True, SECRET_KEY="secret", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file.db"}},
)
everybody = threading.Barrier(6)
def meet(request):
    from django.db import connection
    with connection.cursor() as cursor:
        cursor.execute("select 40 + 2")
        (number,) = cursor.fetchone()
    everybody.wait(10)
    return HttpResponse(str(number))
def lines(request):
    return StreamingHttpResponse(f"{number}\\n" for number in range(1000))
@csrf_exempt
def length(request):
    return HttpResponse(str(len(request.body)))
urlpatterns = [path("meet", meet), path("lines", lines), path("length", length)]
execute_from_command_line(sys.argv)
"""


def test_bottle_when_asked_then_answers(tmp_path: Path) -> None:
    """Pages, an upload, an error; many at once one after the other, since it has no threads."""
    need("bottle")
    (tmp_path / "app.py").write_text(BOTTLE)
    with running(tmp_path, "-m", "bottle", "--bind", f"{HOST}:{{port}}", "app:app") as program:
        texts = together(8, lambda number: get(f"{program.url}/hello/{number}"))
        assert [f"Hello {number}!".encode() for number in range(8)] == texts
        (tmp_path / "file").write_bytes(b"x" * 300_000)
        assert curl("-F", f"file=@{tmp_path}/file", f"{program.url}/upload") == "300000"
        assert curl("--no-fail", "-o", "/dev/null", "-w", "%{http_code}", f"{program.url}/fail") == "503"
        assert b" 404 Not Found" in get_to_the_end(program)
        program.interrupt()
        assert "GET /hello/7" in program.wait_clean_end()


def test_django_when_many_ask_at_once_then_each_has_a_thread_and_a_database(tmp_path: Path) -> None:
    """A request that ends only when six are there; a connection that is kept; Ctrl-C while it is idle."""
    need("django")
    command = (script(tmp_path, DJANGO), "runserver", "--noreload", f"{HOST}:0")
    with running(tmp_path, *command, ready=r"server at http://127\.0\.0\.1:(\d+)/") as program:
        assert together(6, lambda _: get(f"{program.url}/meet")) == [b"42"] * 6
        assert {3890} == {len(text) for text in together(6, lambda _: get(f"{program.url}/lines"))}
        kept = http.client.HTTPConnection(HOST, program.port, timeout=SECONDS)
        with contextlib.closing(kept):
            for size in (1, 100_000):
                kept.request("POST", "/length", body=b"x" * size)
                assert kept.getresponse().read() == str(size).encode()
            program.interrupt()
            output = program.wait_clean_end()
    assert output.count('"GET /meet HTTP/1.1" 200') == 6
