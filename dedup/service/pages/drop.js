"use strict";

const drop = document.getElementById("drop");
const file = document.getElementById("file");
const answer = document.getElementById("answer");
const verdict = document.getElementById("verdict");
const matches = document.getElementById("matches");
const join = document.getElementById("join");

const MEANS = {
  approved: "New: nothing in the bank is like it",
  rejected: "A duplicate: it is there already",
  pending: "Perhaps a duplicate: a person has to look",
};

async function asked(picture) {
  said.textContent = "Asking …";
  answer.hidden = true;
  const begin = performance.now();
  try {
    const body = { method: "POST", body: picture, headers: { "Content-Type": "application/octet-stream" } };
    const reply = await (await ask(here(join.checked ? "submissions" : "checks"), body)).json();
    const found = reply.answer || reply;
    const took = Math.round(performance.now() - begin);
    const joined = reply.name && found.verdict === "approved" ? " It joined as " + reply.entry + "." : "";
    said.textContent = "Answered in " + took + " ms." + joined;
    tell(found);
  } catch (error) {
    said.textContent = error.message;
  }
}

function tell(found) {
  verdict.textContent = MEANS[found.verdict];
  verdict.className = "verdict " + found.verdict;
  matches.replaceChildren(...found.matches.slice(0, 24).map(card));
  answer.hidden = false;
}

function card(match) {
  const item = document.createElement("li");
  const figure = document.createElement("figure");
  const frame = document.createElement("div");
  const caption = document.createElement("figcaption");
  frame.className = "frame";
  caption.textContent = match.id + ": " + words(match);
  figure.append(frame, caption);
  item.append(figure);
  show(frame, here("pictures/" + encodeURIComponent(match.id)), match.id);
  return item;
}

drop.addEventListener("click", () => file.click());
drop.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    file.click();
  }
});
file.addEventListener("change", () => {
  if (file.files.length) asked(file.files[0]);
  file.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) asked(event.dataTransfer.files[0]);
});
key.addEventListener("change", () => {
  sessionStorage.setItem("dedup-key", key.value);
  banks();
});
banks();
