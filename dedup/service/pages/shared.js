// What both pages share: the key, the banks, and pictures asked for with the key.
"use strict";

const key = document.getElementById("key");
const bank = document.getElementById("bank");
const said = document.getElementById("said");
key.value = sessionStorage.getItem("dedup-key") || "";

function headers(more) {
  return key.value ? { Authorization: "Bearer " + key.value, ...more } : { ...more };
}

async function ask(path, options) {
  const given = options || {};
  const answer = await fetch(path, { ...given, headers: headers(given.headers) });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({ title: "HTTP " + answer.status }));
    const error = new Error([problem.title, problem.detail].filter(Boolean).join(": "));
    error.status = answer.status;
    error.problem = problem;
    throw error;
  }
  return answer;
}

function here(path) {
  return "/v1/banks/" + encodeURIComponent(bank.value) + "/" + path;
}

// A picture that needs the key: fetched, then shown from memory.
async function show(frame, path, name) {
  frame.replaceChildren();
  try {
    const data = await (await ask(path)).blob();
    const image = document.createElement("img");
    image.alt = name;
    image.src = URL.createObjectURL(data);
    image.onload = () => URL.revokeObjectURL(image.src);
    frame.append(image);
  } catch (error) {
    const none = document.createElement("p");
    none.className = "none";
    none.textContent = "No picture of " + name + " is kept here.";
    frame.append(none);
  }
}

function percent(share) {
  return (100 * share).toFixed(1) + " %";
}

function words(match) {
  const doubt = match.kind === "near" ? ", false with " + percent(match.false_probability) : "";
  const same = { bytes: "the same file", pixels: "the same pixels" }[match.kind];
  return (same || percent(match.similarity) + " alike, by " + match.verified) + doubt;
}

async function banks() {
  try {
    const names = (await (await ask("/v1/banks")).json()).banks;
    bank.replaceChildren(...names.map((name) => new Option(name, name)));
    said.textContent = "";
  } catch (error) {
    said.textContent = error.message;
    return false;
  }
  return true;
}
