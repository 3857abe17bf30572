"use strict";

const PAGE = 200;

const one = document.getElementById("one");
const count = document.getElementById("count");
const askedFrame = document.getElementById("asked");
const entryFrame = document.getElementById("entry");
const askedName = document.getElementById("askedName");
const entryName = document.getElementById("entryName");
const matchList = document.getElementById("matches");
const overlay = document.getElementById("overlay");

let pending = [];
let at = 0;
let chosen = 0;
let busy = false;

async function load() {
  try {
    const page = await (await ask(here("submissions?verdict=pending&limit=" + PAGE))).json();
    pending = page.submissions;
    at = 0;
    await present();
  } catch (error) {
    one.hidden = true;
    said.textContent = error.message;
  }
}

async function present() {
  one.hidden = pending.length === 0;
  if (!pending.length) {
    said.textContent = "Nothing waits for a person.";
    return;
  }
  at = Math.min(Math.max(at, 0), pending.length - 1);
  chosen = 0;
  const submission = pending[at];
  count.textContent = at + 1 + " of " + pending.length;
  askedName.textContent = "Submitted" + (submission.entry === submission.name ? "" : " as " + submission.entry);
  matchList.replaceChildren(...submission.answer.matches.slice(0, 9).map(button));
  await Promise.all([
    show(askedFrame, here("submissions/" + encodeURIComponent(submission.name) + "/picture"), "the submission"),
    choose(0),
  ]);
}

function button(match, place) {
  const item = document.createElement("li");
  const made = document.createElement("button");
  made.textContent = place + 1 + ": " + match.id;
  made.setAttribute("aria-pressed", String(place === 0));
  made.addEventListener("click", () => choose(place));
  item.append(made);
  return item;
}

async function choose(place) {
  const matches = pending[at].answer.matches;
  if (!matches.length) {
    entryFrame.replaceChildren();
    entryName.textContent = "Nothing matches: " + pending[at].answer.reason;
    return;
  }
  if (place >= Math.min(9, matches.length)) return;
  chosen = place;
  [...matchList.querySelectorAll("button")].forEach((made, k) => made.setAttribute("aria-pressed", String(k === place)));
  const match = matches[place];
  entryName.textContent = match.id + ": " + words(match);
  await show(entryFrame, here("pictures/" + encodeURIComponent(match.id)), match.id);
  if (overlay.getAttribute("aria-pressed") === "true") lay();
}

// The submission over the entry: what is the same turns black.
function lay() {
  const image = askedFrame.querySelector("img");
  entryFrame.querySelectorAll(".over").forEach((old) => old.remove());
  if (!image || overlay.getAttribute("aria-pressed") !== "true") return;
  if (!image.naturalWidth) {
    // It is still on its way.
    image.addEventListener("load", lay, { once: true });
    return;
  }
  const copy = document.createElement("canvas");
  copy.width = image.naturalWidth;
  copy.height = image.naturalHeight;
  copy.getContext("2d").drawImage(image, 0, 0);
  copy.toBlob((data) => {
    // Somebody may have gone on to the next one meanwhile.
    if (!data || !image.isConnected) return;
    const over = document.createElement("img");
    over.className = "over";
    over.alt = "Difference";
    over.src = URL.createObjectURL(data);
    over.onload = () => URL.revokeObjectURL(over.src);
    entryFrame.append(over);
  });
}

async function decide(decision) {
  if (busy || !pending.length) return;
  busy = true;
  const submission = pending[at];
  try {
    await ask(here("submissions/" + encodeURIComponent(submission.name) + "/review"), {
      method: "POST",
      body: JSON.stringify({ decision }),
      headers: { "Content-Type": "application/json", "If-Match": '"' + submission.version + '"' },
    });
    said.textContent = (decision === "approve" ? "Approved: " : "Rejected: ") + submission.entry;
    pending.splice(at, 1);
  } catch (error) {
    said.textContent = error.message;
    // Somebody else decided it: it waits no longer.
    if (error.status === 409 || error.status === 412) pending.splice(at, 1);
  }
  busy = false;
  if (pending.length) await present();
  else await load();
}

function toggle() {
  const on = overlay.getAttribute("aria-pressed") !== "true";
  overlay.setAttribute("aria-pressed", String(on));
  lay();
}

function step(by) {
  at += by;
  present();
}

document.getElementById("approve").addEventListener("click", () => decide("approve"));
document.getElementById("reject").addEventListener("click", () => decide("reject"));
document.getElementById("later").addEventListener("click", () => step(1));
overlay.addEventListener("click", toggle);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const does = {
    a: () => decide("approve"),
    r: () => decide("reject"),
    j: () => step(1),
    k: () => step(-1),
    o: toggle,
  };
  if (does[event.key]) does[event.key]();
  else if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
});
key.addEventListener("change", async () => {
  sessionStorage.setItem("dedup-key", key.value);
  key.blur(); // so that the next key judges, and is not typed
  if (await banks()) load();
});
bank.addEventListener("change", load);
banks().then((found) => found && load());
