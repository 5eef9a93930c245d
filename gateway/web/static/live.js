"use strict";
// Keeps the element #live current: the server says that something changed, we fetch the fragment and replace what differs.
const live = document.getElementById("live");
const lost = document.getElementById("lost");
const SILENT_MS = 15000; // the server speaks at least every five seconds
let heard = Date.now();
let busy = false;

const keyed = (root) => [...root.querySelectorAll("[data-key]")];

function show(fresh) {
  const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const now = keyed(live), next = keyed(fresh);
  if (now.length === next.length && now.every((card, i) => card.dataset.key === next[i].dataset.key)) {
    now.forEach((card, i) => { if (card.outerHTML !== next[i].outerHTML) card.replaceWith(next[i]); });
  } else {
    live.replaceChildren(...fresh.childNodes);
  }
  if (focused !== null && !live.contains(document.activeElement)) {
    live.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }
}

async function refresh() {
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch(live.dataset.source, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    show(fresh.getElementById("live"));
    document.title = fresh.title;
    connected(true);
  } catch {
    connected(false);
  } finally {
    busy = false;
  }
}

function connected(yes) {
  if (yes) heard = Date.now();
  lost.hidden = yes;
  document.body.classList.toggle("old", !yes);
}

const source = new EventSource("/api/v1/stream");
source.addEventListener("changed", refresh);
source.addEventListener("error", () => connected(false));
document.addEventListener("visibilitychange", refresh);
setInterval(() => { if (Date.now() - heard > SILENT_MS) connected(false); }, 1000);
