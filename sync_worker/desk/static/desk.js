/* Brings what moves on the page up to date. Without it, loading the page again does the same. */
(function () {
    "use strict";

    var WAIT_MS = 2000;

    // typing another value means choosing it
    document.querySelectorAll(".desk-other").forEach(function (box) {
        box.addEventListener("input", function () {
            document.getElementById(box.getAttribute("data-for")).checked = true;
        });
    });

    if (!document.querySelector("[data-refresh]")) {
        return;
    }

    function put(page) {
        document.querySelectorAll("[data-live]").forEach(function (old) {
            var fresh = page.getElementById(old.id);
            if (fresh && fresh.innerHTML !== old.innerHTML) {
                old.replaceChildren.apply(old, Array.from(fresh.childNodes));
            }
        });
    }

    function look() {
        fetch(window.location.href, {credentials: "same-origin", headers: {"Accept": "text/html"}}).then(function (answer) {
            if (answer.status === 404) {
                window.location.reload(); // the letter is settled
                return null;
            }
            return answer.ok ? answer.text() : "";
        }).then(function (text) {
            var page;
            if (text === null) {
                return;
            }
            page = new DOMParser().parseFromString(text, "text/html");
            if (text && !page.querySelector("[data-refresh]")) {
                window.location.reload(); // it came to its end: other buttons are offered now
                return;
            }
            put(page);
            window.setTimeout(look, WAIT_MS);
        }).catch(function () {
            window.setTimeout(look, WAIT_MS);
        });
    }

    window.setTimeout(look, WAIT_MS);
}());
