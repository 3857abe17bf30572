"use strict";
// A person's judgements on pairs: kept in this browser, written as CSV. Nothing leaves the page.
(() => {
  const pairs = JSON.parse(document.getElementById("pairs").textContent);
  const files = { not: "not_duplicates.csv", yes: "duplicates.csv" };
  const page = 50;
  const store = "dedup " + document.body.dataset.run;
  const find = (id) => document.getElementById(id);
  let marks = new Map(); // "[id, id]" sorted → {a, b, verdict, note}
  let shown = pairs.map((_, place) => place);
  let first = 0;

  const keyOf = (a, b) => JSON.stringify(a < b ? [a, b] : [b, a]);
  const markOf = (place) => marks.get(keyOf(pairs[place][0], pairs[place][1]));

  function remember() {
    try { localStorage.setItem(store, JSON.stringify([...marks.values()])); } catch { /* the page still works */ }
  }

  function recall() {
    try {
      for (const one of JSON.parse(localStorage.getItem(store) ?? "[]")) marks.set(keyOf(one.a, one.b), one);
    } catch { marks = new Map(); }
  }

  function mark(place, verdict, on) {
    const [a, b] = pairs[place];
    const before = marks.get(keyOf(a, b));
    if (on) marks.set(keyOf(a, b), { a, b, verdict, note: before?.note ?? "" });
    else marks.delete(keyOf(a, b));
    remember();
    refresh();
  }

  let groups = 0; // radio buttons of one pair belong together wherever it is shown

  function boxes(holder) {
    const place = Number(holder.dataset.pair);
    const name = "pair" + groups++;
    const both = pairs[place].slice(0, 2).join(" and ");
    holder.setAttribute("role", "radiogroup");
    holder.setAttribute("aria-label", "Judgement of " + both);
    for (const [verdict, text] of [["not", "not duplicates"], ["yes", "duplicates"], ["", "no judgement"]]) {
      const box = document.createElement("input");
      box.type = "radio";
      box.name = name;
      box.dataset.verdict = verdict;
      box.addEventListener("change", () => mark(place, verdict, verdict !== ""));
      const label = document.createElement("label");
      label.append(box, " " + text);
      holder.append(label);
    }
  }

  function refresh() {
    for (const holder of document.querySelectorAll("[data-pair]")) {
      const found = markOf(Number(holder.dataset.pair));
      for (const box of holder.querySelectorAll("input")) box.checked = (found?.verdict ?? "") === box.dataset.verdict;
    }
    for (const verdict of Object.keys(files)) {
      const n = [...marks.values()].filter((one) => one.verdict === verdict).length;
      find("save-" + verdict).textContent = `${files[verdict]} (${n})`;
      find("save-" + verdict).disabled = n === 0;
    }
    find("clear").disabled = marks.size === 0;
  }

  function cell(row, ...lines) {
    const made = row.insertCell();
    lines.forEach((line, k) => {
      if (k) made.append(document.createElement("br"));
      made.append(line ?? "");
    });
    return made;
  }

  function draw() {
    const body = find("rows");
    body.replaceChildren();
    for (const place of shown.slice(first, first + page)) {
      const [a, b, splitA, splitB, labelA, labelB, facts, ...samples] = pairs[place];
      const row = body.insertRow();
      const seen = cell(row);
      samples.forEach((sample, k) => {
        const picture = document.createElement("span");
        picture.className = `pic small p${sample}`;
        picture.setAttribute("role", "img");
        picture.setAttribute("aria-label", k ? b : a);
        seen.append(picture);
      });
      cell(row, a, b);
      cell(row, splitA, splitB);
      cell(row, labelA, labelB);
      cell(row, facts);
      const holder = cell(row);
      holder.className = "judge";
      holder.dataset.pair = place;
      boxes(holder);
    }
    const last = Math.min(first + page, shown.length);
    find("where").textContent = shown.length ? `${first + 1}–${last} of ${shown.length}` : "none";
    find("back").disabled = first === 0;
    find("on").disabled = last >= shown.length;
    refresh();
  }

  function filter() {
    const words = find("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const only = find("only").checked;
    shown = [];
    pairs.forEach((pair, place) => {
      const text = pair.slice(0, 7).join("\n").toLowerCase();
      if (words.every((word) => text.includes(word)) && (!only || markOf(place))) shown.push(place);
    });
    first = 0;
    draw();
  }

  const quoted = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  // A spreadsheet runs what begins like this as a formula, so an apostrophe is put before it; readers take it away.
  const guarded = (text) => (/^'*[=+\-@\t\r]/.test(text) ? "'" + text : text);
  const unguarded = (text) => (/^'+[=+\-@\t\r]/.test(text) ? text.slice(1) : text);

  function save(verdict) {
    const rows = [...marks.values()].filter((one) => one.verdict === verdict).map((one) => [one.a, one.b, one.note]);
    rows.sort((one, other) => (one.join("\n") < other.join("\n") ? -1 : 1));
    const text = [["id_a", "id_b", "note"], ...rows]
      .map((row) => row.map(guarded).map(quoted).join(",") + "\n")
      .join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = files[verdict];
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // RFC 4180: fields in quotes may hold commas, line ends and doubled quotes.
  function parsed(text) {
    const rows = [[]];
    const field = /("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n|\r|\n|$)/gy;
    for (let found; field.lastIndex < text.length && (found = field.exec(text)); ) {
      const [, value, end] = found;
      rows.at(-1).push(value.startsWith('"') ? value.slice(1, -1).replaceAll('""', '"') : value);
      if (end === "," && field.lastIndex === text.length) rows.at(-1).push("");
      if (end !== ",") rows.push([]);
    }
    return rows.filter((row) => row.length > 1);
  }

  async function open(file, verdict) {
    const [head, ...rows] = parsed((await file.text()).replace(/^\ufeff/, ""));
    const [atA, atB, atNote] = ["id_a", "id_b", "note"].map((name) => (head ?? []).indexOf(name));
    if (atA < 0 || atB < 0) {
      find("said").textContent = `${file.name} has no columns id_a and id_b.`;
      return;
    }
    for (const row of rows) {
      const [a, b, note] = [row[atA], row[atB], row[atNote] ?? ""].map((text) => unguarded(text ?? ""));
      if (a && b) marks.set(keyOf(a, b), { a, b, verdict, note });
    }
    find("said").textContent = `${rows.length} rows of ${file.name} were added.`;
    remember();
    filter();
  }

  document.body.classList.add("judging");
  recall();
  for (const holder of document.querySelectorAll("[data-pair]")) boxes(holder);
  for (const verdict of Object.keys(files)) {
    find("save-" + verdict).addEventListener("click", () => save(verdict));
    const input = find("open-" + verdict);
    input.addEventListener("change", async () => {
      if (input.files.length) await open(input.files[0], verdict);
      input.value = "";
    });
  }
  find("clear").addEventListener("click", () => {
    if (confirm(`Forget all ${marks.size} judgements?`)) { marks = new Map(); remember(); filter(); }
  });
  find("words").addEventListener("input", filter);
  find("only").addEventListener("change", filter);
  find("back").addEventListener("click", () => { first -= page; draw(); });
  find("on").addEventListener("click", () => { first += page; draw(); });
  draw();
})();
