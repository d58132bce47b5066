"""The page in a real browser: what is clicked is heard."""

import json
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from report_pages import write_map
from timbrel.report.run_report import write_run_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here"),
]

# Runs in the page: a click, a key and another colour, and what came of each.
VISIT = """
<script>
const heard = [], faults = [];
const Plain = Audio;
window.Audio = function (source) { const made = new Plain(source); heard.push(made); return made; };
window.addEventListener("error", (event) => faults.push(event.message));
window.addEventListener("load", async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const points = document.querySelectorAll("#map-drawing path");
  const told = () => document.getElementById("map-told").textContent;
  const fills = () => [...points].map((point) => point.style.fill);
  const found = { before: fills() };
  points[0].dispatchEvent(new MouseEvent("click", { bubbles: true }));
  await wait(500);
  found.clicked = told();
  found.played_s = heard[0].currentTime;
  found.length_s = heard[0].duration;
  points[1].focus();
  points[1].dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  await wait(500);
  found.entered = told();
  found.focused = document.activeElement === points[1];
  found.sounds = heard.length;
  const choice = document.getElementById("map-colour");
  choice.selectedIndex = choice.length - 1;
  choice.dispatchEvent(new Event("change"));
  found.after = fills();
  found.low = document.getElementById("map-low").textContent;
  const players = [...document.querySelectorAll("audio")];
  players.forEach((player) => { player.preload = "auto"; player.load(); });
  await wait(1000);
  found.players = players.map((player) => player.duration);
  found.errors = players.map((player) => player.error && player.error.message);
  found.faults = faults;
  fetch(location.hash.slice(1), { method: "POST", mode: "no-cors", body: JSON.stringify(found) });
});
</script>
"""


def visited(page, folder):
    """What the script finds in a copy of `page`, and posts to the address behind its `#`."""
    copy = folder / "visited.html"
    copy.write_text(page.read_text("utf-8").replace("<body>", "<body>" + VISIT, 1), "utf-8")
    posted = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        server.timeout = 120
        address = f"{copy.as_uri()}#http://127.0.0.1:{server.server_port}/"
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio"]
        command += [f"--user-data-dir={folder / 'browser'}", "--remote-debugging-port=0"]
        command += ["--autoplay-policy=no-user-gesture-required", address]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            server.handle_request()
        finally:
            browser.kill()
            browser.wait()
    assert posted, "the browser has told nothing for two minutes"
    return posted[0]


def test_a_click_and_the_enter_key_play_a_point_and_a_colour_repaints(analysed, tmp_path) -> None:
    found = visited(write_run_report(analysed), tmp_path)
    assert found["faults"] == []
    assert found["clicked"].startswith("<hit 0> (training)")
    assert 0 < found["played_s"] <= found["length_s"] == pytest.approx(0.2, abs=0.001)
    assert found["entered"].startswith("<hit 1> (training)")
    assert found["focused"]
    assert found["sounds"] == 2
    assert found["before"] != found["after"]
    assert found["low"].endswith("LUFS")


def test_every_player_of_the_page_loads(run, tmp_path) -> None:
    write_map(run)
    found = visited(write_run_report(run), tmp_path)
    assert found["players"]
    assert all(length > 0 for length in found["players"])
    assert not any(found["errors"])
