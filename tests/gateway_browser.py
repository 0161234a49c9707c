"""A real browser without a screen, and what a person does with the gateway's page."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from operator_process import wait_until

_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # tests run as root, too
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--lang=en",
    "--window-size=1200,900",
)
SECONDS: Final = 20.0


class Browser:
    """A browser with the page in it."""

    def __init__(self, driver: Chrome, url: str, downloads: Path) -> None:
        self.driver = driver
        self.url = url
        self._downloads = downloads

    def open(self, view: str = "", *, token: str = "", namespace: str = "", url: str = "") -> None:
        """Open the page anew in a view, as whoever has that token."""
        self.url = url or self.url
        self.driver.get(f"{self.url}/page/icon.svg")  # the same origin, where nothing runs
        self.driver.execute_script("sessionStorage.clear()")
        for name, value in (("crawls.token", token), ("crawls.namespace", namespace)):
            if value:
                self.driver.execute_script("sessionStorage.setItem(...arguments)", name, value)
        self.driver.get(f"{self.url}/#/{view}")

    def go(self, view: str) -> None:
        """Follow a link of the page to a view."""
        self.driver.execute_script("location.hash = arguments[0]", f"#/{view}")

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self, css: str = "main") -> str:
        """Return the text of an element as it is seen; empty where there is none."""
        try:
            return self.find(css).text
        except (NoSuchElementException, StaleElementReferenceException):
            return ""

    def sees(self, text: str, css: str = "body", seconds: float = SECONDS) -> None:
        """Wait until a text is seen."""
        try:
            wait_until(lambda: text in self.text(css), f"{css} says {text!r}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.text(css)!r}, alert {self.text('#wrong')!r}") from None

    def live(self) -> None:
        """Wait until the page is told what happens."""
        wait_until(lambda: self.text("#live") == "live", "the page is live", SECONDS)

    def press(self, label: str, css: str = "main") -> None:
        """Click the button of that name once it is there."""
        self._click(lambda: [each for each in self.all(f"{css} button") if label in {each.text, each.accessible_name}])

    def click(self, css: str) -> None:
        """Click an element once it is there."""
        self._click(lambda: self.all(css))

    def _click(self, find: Callable[[], list[WebElement]]) -> None:
        def clicked() -> bool:
            with contextlib.suppress(StaleElementReferenceException):  # the page has put another in its place meanwhile
                found = find()
                if found:
                    found[0].click()
                return bool(found)
            return False

        wait_until(clicked, "there is what shall be clicked", SECONDS)

    def saved(self) -> list[Path]:
        """Wait until files are saved, and return where they lie."""
        wait_until(lambda: any(self._downloads.iterdir()), "a file is saved", SECONDS)
        wait_until(lambda: not list(self._downloads.glob("*.crdownload")), "it is whole", SECONDS)
        return list(self._downloads.iterdir())

    def texts(self, css: str) -> list[str]:
        """Return the texts of elements, all at one moment."""
        found: list[str] = self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)", css
        )
        return found

    @property
    def progress(self) -> int:
        """The first progress that is shown, in percent."""
        return int(self.driver.execute_script("return document.querySelector('main progress')?.value ?? 0"))

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focus(self) -> WebElement:
        return self.driver.switch_to.active_element

    def tab_to(self, name: str, *, back: bool = False) -> None:
        """Press Tab, or Shift+Tab, until the focus is on what has that name."""
        for _ in range(60):
            if self.focus.accessible_name == name:
                return
            if back:
                ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
            else:
                self.keys(Keys.TAB)
        raise AssertionError(f"Tab never comes to {name!r}")

    @contextlib.contextmanager
    def screen(self, width: int, height: int, scheme: str = "light") -> Iterator[None]:
        """Be a screen of that size in pixels, whose user wants `light` or `dark`."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        wish = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wish})
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def unnamed(self) -> list[str]:
        """Return controls and landmarks without a name, as a screen reader has them."""
        nodes: list[dict[str, Any]] = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = {"button", "link", "textbox", "searchbox", "combobox", "navigation", "table", "progressbar", "dialog"}
        return [
            f"{node['role']['value']} {node.get('nodeId')}"
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in roles
            and not node.get("name", {}).get("value", "").strip()
        ]

    def log(self) -> list[str]:
        """Take what the browser has logged: violations of the policy, failed requests, uncaught errors."""
        entries: list[dict[str, str]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]


@contextlib.contextmanager
def browser(url: str) -> Iterator[Browser]:
    """Run a browser; skip the test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Chromium is not installed (on Debian: apt-get install chromium chromium-driver)")
    options = ChromeOptions()
    options.binary_location = chromium
    for flag in _FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as downloads:
        options.add_experimental_option("prefs", {"download.default_directory": downloads})
        running = Chrome(options, ChromeService(driver))
        try:
            running.set_page_load_timeout(SECONDS)
            yield Browser(running, url, Path(downloads))
        finally:
            running.quit()
