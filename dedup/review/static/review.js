// The review of a run: views, filters, judging by keys, the limit, applying. What two pictures look like together is in pair.js.
import { PairView } from "./pair.js";

const find = (id) => document.getElementById(id);
const made = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined && text !== null) element.textContent = text;
  return element;
};
const number = (n) => Number(n).toLocaleString("en-US");
const FILTERS = ["text", "sort", "judged", "split", "label", "kind", "reason", "min_similarity", "max_similarity", "min_side", "max_side"];
const SORTS = { "": "as the view says", doubt: "most doubtful first", similar: "most similar first", unlike: "least similar first", own: "the view's own order", id: "by id", size: "largest pictures first" };
const JUDGED = { "": "all", none: "not judged", any: "judged", same: "same", different: "different", unsure: "unsure" };
const KINDS = { bytes: "same file", pixels: "same pixels", near: "near", crop: "crop", listed: "judged the same" };
const NONE = "\0";
const LIMIT = "limit";
const PAGE = 100; // rows of one request
const ROW = 94; // pixels
const HIGHEST = 6_000_000; // pixels of a list; browsers draw nothing below some 17 million

let run = null; // what the server says of the run
let state = {}; // the view, its filters and the chosen pair, as in the address
let total = 0;
let chosen = -1; // place of the chosen row
let shown = null; // the chosen pair
const undoable = [];
const view = new PairView(find("pair"));

// Errors are shown where everybody sees them, and go away with the next success.
function trouble(text) {
  const lasting = run?.trouble ?? "";
  find("trouble").textContent = [text, lasting].filter(Boolean).join(" ");
  find("trouble").hidden = !(text || lasting);
}

async function ask(name, given = {}) {
  const query = new URLSearchParams(Object.entries(given).filter(([, value]) => value !== "" && value !== undefined && value !== null));
  return answered(await reached(`api/${name}?${query}`));
}

async function tell(name, given) {
  return answered(await reached(`api/${name}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given) }));
}

async function reached(place, given) {
  try { return await fetch(place, given); } catch { throw new Error("The review does not answer. Is it still running?"); }
}

async function answered(response) {
  let content;
  try { content = await response.json(); } catch { throw new Error(`The review does not answer as it should (${response.status}). Is it still running?`); }
  if (!response.ok) throw new Error(content.error ?? response.statusText);
  return content;
}

const guarded = (act) => async (...given) => {
  try { const result = await act(...given); return result; } catch (error) {
    trouble(error.message);
    console.error(error);
    return undefined;
  }
};

// ---- the address: a link for every view

function fromAddress() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  return { view: run.views.some((one) => one.name === given.view) || given.view === LIMIT ? given.view : firstView(), ...pick(given, [...FILTERS, "seed", "design", "pair"]) };
}

const pick = (given, names) => Object.fromEntries(names.filter((name) => given[name]).map((name) => [name, given[name]]));

// Leaks first; without any, what else there is to judge.
function firstView() {
  return ["leaks", "pairs", "rejected"].find((name) => run.views.find((one) => one.name === name)?.rows !== 0) ?? "pairs";
}

const address = (given) => "#" + new URLSearchParams(Object.entries(given).filter(([, value]) => value));

function remember(changes, { push = false } = {}) {
  state = { ...state, ...changes };
  for (const name of Object.keys(state)) if (!state[name]) delete state[name];
  history[push ? "pushState" : "replaceState"](null, "", address(state));
}

// ---- the list: only rows in sight are elements

const list = {
  host: find("rows"), spacer: find("spacer"), pages: new Map(), asked: new Set(), elements: new Map(), turn: 0,

  async reset() {
    this.turn += 1;
    this.pages.clear();
    this.asked.clear();
    for (const element of this.elements.values()) element.remove();
    this.elements.clear();
    this.host.scrollTop = 0;
    this.host.removeAttribute("aria-activedescendant");
    chosen = -1;
    await this.load(0);
    this.draw();
  },

  query() { return { ...pick(state, FILTERS), view: state.view, seed: state.seed, design: state.design }; },

  async load(page) {
    if (this.asked.has(page) || page < 0 || (page > 0 && page * PAGE >= total)) return;
    this.asked.add(page);
    const turn = this.turn;
    try {
      const found = await ask("rows", { ...this.query(), start: page * PAGE, n: PAGE });
      if (turn !== this.turn) return;
      this.pages.set(page, found.rows);
      if (found.total !== total || page === 0) { total = found.total; this.resize(); counted(found); }
      this.draw();
    } catch (error) { this.asked.delete(page); trouble(error.message); }
  },

  row(place) { return this.pages.get(Math.floor(place / PAGE))?.[place % PAGE]; },

  async rowAt(place) {
    if (!this.row(place)) { this.asked.delete(Math.floor(place / PAGE)); await this.load(Math.floor(place / PAGE)); }
    return this.row(place);
  },

  resize() { this.spacer.style.height = `${Math.min(total * ROW, HIGHEST)}px`; },

  // Pixels of the list above what is in sight; a list that is too high for a browser is scrolled faster.
  above() {
    const high = Math.min(total * ROW, HIGHEST), sight = this.host.clientHeight;
    if (total * ROW <= HIGHEST) return this.host.scrollTop;
    return (this.host.scrollTop * (total * ROW - sight)) / (high - sight);
  },

  draw() {
    if (!state.view || state.view === LIMIT) return; // nothing is open yet
    const above = this.above(), sight = this.host.clientHeight || 600;
    const first = Math.max(0, Math.floor(above / ROW) - 6), last = Math.min(total - 1, Math.ceil((above + sight) / ROW) + 6);
    for (const [place, element] of this.elements) if (place < first || place > last) { element.remove(); this.elements.delete(place); }
    for (let place = first; place <= last; place++) {
      let element = this.elements.get(place);
      const row = this.row(place);
      if (!element || (row && element.classList.contains("waiting"))) {
        element?.remove();
        element = row ? drawn(row, place) : made("div", "row waiting", "");
        if (!row) { element.append(made("div", "text", "…")); element.setAttribute("role", "option"); element.setAttribute("aria-selected", "false"); element.setAttribute("aria-label", `row ${place + 1}, loading`); }
        this.elements.set(place, element);
        this.host.append(element);
      }
      element.style.top = `${place * ROW - above + this.host.scrollTop}px`;
      element.setAttribute("aria-selected", String(place === chosen));
    }
    const pages = [Math.floor(first / PAGE), Math.floor(last / PAGE), Math.floor((last + 40) / PAGE), Math.floor((first - 40) / PAGE)];
    for (const page of new Set(pages)) this.load(page);
  },

  reveal(place) {
    const above = this.above(), sight = this.host.clientHeight;
    let wanted = above;
    if (place * ROW < above) wanted = place * ROW;
    else if ((place + 1) * ROW > above + sight) wanted = (place + 1) * ROW - sight;
    if (wanted !== above) {
      const high = Math.min(total * ROW, HIGHEST);
      this.host.scrollTop = total * ROW <= HIGHEST ? wanted : (wanted * (high - sight)) / (total * ROW - sight);
    }
    this.draw();
  },

  refill(place, changes) {
    const row = this.row(place);
    if (!row) return;
    Object.assign(row, changes);
    this.elements.get(place)?.remove();
    this.elements.delete(place);
    this.draw();
  },
};

function thumb(sample) {
  if (sample < 0) return made("span", "blank");
  const picture = made("img");
  picture.alt = "";
  picture.loading = "lazy";
  picture.src = `thumb/${sample}?v=${run.stamp.join("-")}`;
  picture.addEventListener("error", () => picture.replaceWith(made("span", "blank")));
  return picture;
}

const place_of = (split, label) => [split ?? "no split", label].filter((text) => text !== null && text !== undefined).join(" · ");

function drawn(row, place) {
  const element = made("div", "row");
  element.id = `row-${place}`;
  element.setAttribute("role", "option");
  element.setAttribute("aria-setsize", total);
  element.setAttribute("aria-posinset", place + 1);
  const text = made("div", "text");
  if (row.a >= 0) {
    text.append(made("div", "name", row.id_a), made("div", "soft", place_of(row.split_a, row.label_a)));
    if (row.b >= 0) text.append(made("div", "name", row.id_b), made("div", "soft", place_of(row.split_b, row.label_b)));
  }
  const facts = [KINDS[row.kind] ?? row.kind, row.doubt === null ? null : `doubt ${row.doubt.toFixed(3)}`, row.similarity === null ? null : `sim ${row.similarity.toFixed(3)}`, row.conflict ? "labels differ" : null, row.size ? `group of ${number(row.size)}` : null, row.reason, row.detail];
  const line = made("div", "", facts.filter(Boolean).join(" · "));
  if (row.verdict) { const mark = made("span", "verdict", `${row.verdict} `); mark.dataset.verdict = row.verdict; line.prepend(mark); }
  text.append(line);
  element.append(thumb(row.a));
  if (row.b >= 0) element.append(thumb(row.b));
  element.append(text);
  element.addEventListener("click", () => choose(place));
  return element;
}

function counted(found) {
  const filtered = found.total < found.all ? ` of ${number(found.all)}` : "";
  find("count").textContent = `${number(found.total)}${filtered} ${found.all === 1 ? "row" : "rows"}`;
}

// ---- one pair

const choose = guarded(async (place, { keep = false } = {}) => {
  if (place < 0 || place >= total) return;
  chosen = place;
  list.reveal(place);
  const ready = list.row(place); // at once, so that the next key is about this row
  shown = ready ? { row: ready, place, verdict: ready.verdict } : null;
  const row = ready ?? await list.rowAt(place);
  if (!row || chosen !== place) return;
  list.host.setAttribute("aria-activedescendant", `row-${place}`);
  list.draw();
  if (!keep) remember({ pair: row.a >= 0 ? `${row.a}-${row.b}` : "" });
  await show(row, place);
});

async function show(row, place) {
  find("empty").hidden = true;
  find("chosen").hidden = false;
  shown = { row, place, verdict: row.verdict };
  marked(row.verdict);
  find("facts").replaceChildren();
  if (row.a < 0) {
    view.show({ a: { missing: row.detail ?? "This file is not part of the dataset." }, b: null });
    view.note(row.reason ?? "");
    return;
  }
  const version = `?v=${run.stamp.join("-")}`;
  const side = (sample, name, id, split, label) => ({ src: `large/${sample}${version}`, alt: `${name}: ${id}, ${place_of(split, label)}` });
  const a = side(row.a, "A", row.id_a, row.split_a, row.label_a);
  const b = row.b < 0 ? null : side(row.b, "B", row.id_b, row.split_b, row.label_b);
  view.note("");
  const known = await ask("pair", { a: row.a, b: row.b });
  if (shown?.row !== row) return;
  const parts = known.sides.map((of, k) => ({ ...[a, b][k], width: of.width, height: of.height, boxes: known.boxes?.[k] ? [known.boxes[k]] : [], missing: of.status === "ok" ? undefined : `${of.status}: no picture` }));
  view.show({ a: parts[0], b: parts[1] ?? null });
  view.setMode(view.mode === "blink" ? "side" : view.mode);
  facts(known);
  if (row.b < 0) return;
  const over = await ask("over", { a: row.a, b: row.b });
  if (shown?.row !== row) return;
  view.setMap(over.map);
  const notes = over.states.map((one, k) => (one.state === "ok" ? "" : `${"AB"[k]}: ${one.detail}`));
  view.note([over.map ? "" : "How the two lie over each other is not known.", ...notes].filter(Boolean).join(" "));
  prefetch(place + 1);
}

function prefetch(place) {
  const next = list.row(place);
  if (!next || next.b < 0) return;
  for (const sample of [next.a, next.b]) new Image().src = `large/${sample}?v=${run.stamp.join("-")}`;
}

function table(head, rows, numbers = []) {
  const element = made("table");
  if (head) {
    const line = element.createTHead().insertRow();
    head.forEach((text, k) => { const cell = made("th", numbers.includes(k) ? "n" : "", text); cell.scope = "col"; line.append(cell); });
  }
  const body = element.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, k) => {
      const cell = made(k ? "td" : "th", numbers.includes(k) ? "n" : "", text);
      if (!k) cell.scope = "row";
      line.append(cell);
    });
  }
  return element;
}

function facts(known) {
  const place = find("facts");
  if (known.keeping.length) {
    const why = made("ul", "why");
    why.append(...known.keeping.map((text) => made("li", "", text)));
    place.append(made("h3", "", "What is kept, and why"), why);
  }
  if (known.facts.length) place.append(made("h3", "", "Together"), table(null, known.facts));
  const names = [...new Set(known.sides.flatMap((side) => side.lines.map(([name]) => name)))];
  const lines = known.sides.map((side) => Object.fromEntries(side.lines));
  const head = known.sides.length > 1 ? ["", "A", "B"] : ["", "A"];
  place.append(made("h3", "", known.sides.length > 1 ? "The two" : "The sample"), table(head, names.map((name) => [name, ...lines.map((line) => line[name] ?? "")])));
}

// ---- judging

function marked(verdict) {
  for (const button of document.querySelectorAll(".judge button")) {
    const name = button.dataset.verdict;
    button.setAttribute("aria-pressed", String(name === verdict));
    button.disabled = !shown || shown.row.b < 0 || (name === "different" && shown.row.same_pixels);
  }
  find("verdict").textContent = shown?.row.same_pixels ? "The same pixels: there is nothing to doubt." : verdict ? `judged ${verdict}` : "not judged";
}

const sampleName = () => (state.view === "sample" ? `${state.design || "random"} ${state.seed || 0}` : "");

let judging = Promise.resolve(); // one after the other, so that quick keys are not mixed up

function judge(verdict) {
  const now = shown;
  if (!now || now.place !== chosen || now.row.b < 0 || (verdict === "different" && now.row.same_pixels)) return;
  const sample = sampleName();
  choose(now.place + 1);
  list.refill(now.place, { verdict });
  if (now === shown) marked(verdict); // the last row
  judging = judging.then(guarded(async () => {
    try {
      const said = await tell("judge", { a: now.row.a, b: now.row.b, verdict, sample });
      undoable.push({ number: said.undo, place: now.place, row: now.row, view: address(list.query()) });
      progress(said);
      trouble("");
      await estimate();
    } catch (error) { list.refill(now.place, { verdict: now.verdict }); throw error; }
  }));
}

const undo = guarded(async () => {
  await judging;
  const last = undoable.pop();
  if (!last) return;
  const said = await tell("undo", { undo: last.number });
  progress(said);
  if (last.view === address(list.query())) { list.refill(last.place, { verdict: said.verdict }); await choose(last.place); } else last.row.verdict = said.verdict;
  trouble("");
  await estimate();
});

function progress(said) {
  const n = Object.values(said.judged).reduce((sum, one) => sum + one, 0);
  const words = Object.entries(said.judged).filter(([, k]) => k).map(([name, k]) => `${number(k)} ${name}`).join(", ");
  find("progress").textContent = n ? `${number(n)} judged: ${words}${said.applied ? "" : "; not applied yet"}` : "Nothing judged yet";
  find("undo").disabled = undoable.length === 0;
}

async function estimate() {
  const place = find("precision");
  place.hidden = state.view !== "sample";
  if (place.hidden) return;
  const found = await ask("precision", { view: "sample", seed: state.seed, design: state.design });
  place.replaceChildren(made("p", "", found.judged ? found.sentence : `${number(found.drawn)} of ${number(found.pairs)} accepted pairs in random order. Judge them here, one after the other: what is judged in this view, and only that, tells how many of the pairs are right.`));
  const choice = made("p", "soft");
  for (const design of run.designs) {
    const link = made("a", "", `${design} sample`);
    link.href = address({ view: "sample", design, seed: state.seed });
    if (design === (state.design || "random")) link.setAttribute("aria-current", "true");
    choice.append(link, " ");
  }
  place.append(choice);
}

// ---- views and filters

function options(select, entries, value) {
  select.replaceChildren(...entries.map(([name, text]) => { const option = made("option", "", text); option.value = name; return option; }));
  select.value = value ?? "";
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

async function facets() {
  const form = find("filters").elements;
  const splits = run.splits.map((name) => (name === null ? [NONE, "(no split)"] : [name, name]));
  options(form.sort, Object.entries(SORTS), state.sort);
  options(form.judged, Object.entries(JUDGED), state.judged);
  options(form.split, [["", "all"], ...splits], state.split);
  options(form.label, [["", "all"], ...run.labels.map((name) => [name, name])], state.label);
  for (const name of FILTERS) if (form[name].tagName === "INPUT" && document.activeElement !== form[name]) form[name].value = state[name] ?? "";
  const found = await ask("facets", list.query());
  for (const name of ["kind", "reason"]) {
    const entries = found[name].map(([value, n]) => [value, `${KINDS[value] ?? value} (${number(n)})`]);
    options(form[name], [["", "all"], ...entries], state[name]);
    form[name].disabled = entries.length === 0;
  }
  const n = FILTERS.slice(3).filter((name) => state[name]).length;
  find("n-filters").textContent = n ? `(${n})` : "";
}

function tabs() {
  const items = [...run.views, { name: LIMIT, title: "Limit", rows: null }].map(({ name, title, rows }) => {
    const link = made("a", "", title);
    link.href = address({ view: name });
    if (rows !== null && rows !== undefined) link.append(" ", made("span", "n", number(rows)));
    if (name === state.view) link.setAttribute("aria-current", "page");
    const item = made("li");
    item.append(link);
    return item;
  });
  find("views").replaceChildren(...items);
}

const open = guarded(async () => {
  state = fromAddress();
  tabs();
  const isLimit = state.view === LIMIT;
  for (const id of ["browse", "detail"]) find(id).hidden = isLimit;
  for (const id of ["browse", "detail"]) find(id).style.display = isLimit ? "none" : "";
  find("limit").hidden = !isLimit;
  document.title = `${isLimit ? "Limit" : run.views.find((one) => one.name === state.view).title} · dedup review: ${run.title}`;
  shown = null;
  find("chosen").hidden = true;
  find("empty").hidden = false;
  trouble("");
  if (isLimit) { await limit(); return; }
  const pair = state.pair;
  const rows = list.reset();
  await Promise.all([rows, facets(), estimate()]);
  if (total === 0) { find("empty").textContent = "There is nothing in this view."; return; }
  find("empty").textContent = "Choose a row. J and K go to the next and the previous one.";
  if (pair) {
    const [a, b] = pair.split(/(?<=\d)-/);
    const { place } = await ask("place", { ...list.query(), a, b });
    if (place >= 0) await choose(place, { keep: true });
  } else await choose(0);
});

const about = guarded(async () => {
  run = await ask("run");
  find("title").textContent = `dedup review: ${run.title}`;
  const leaks = Object.entries(run.leakage).map(([name, found]) => `${number(found.leaking)} of ${number(found.images)} images of ${name} are in train`);
  find("state").textContent = [`${number(run.samples.total)} samples`, `${number(run.decisions.drop)} dropped`, ...leaks].join(" · ");
  progress(run);
  trouble("");
});

// ---- the limit

const SVG = "http://www.w3.org/2000/svg";
const drawing = (tag, given, text) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
};

async function limit() {
  const place = find("limit");
  place.replaceChildren(made("p", "soft", "Counting …"));
  const curve = await ask("limit");
  if (state.view !== LIMIT) return;
  const at = curve.settings.indexOf(curve.current);
  const slider = made("input");
  Object.assign(slider, { type: "range", min: 0, max: curve.settings.length - 1, step: 1, value: at, id: "slider" });
  const label = made("label", "", `limit of ${curve.setting}`);
  label.htmlFor = "slider";
  const chart = histogram(curve);
  const told = made("div");
  told.setAttribute("role", "status");
  const examples = made("div");
  const button = made("button", "primary", "Apply …");
  button.type = "button";
  button.addEventListener("click", () => plan(curve.settings[slider.value]));
  const draw = () => {
    const k = Number(slider.value);
    slider.setAttribute("aria-valuetext", String(curve.settings[k]));
    chart.mark(k);
    const rows = [["pairs", curve.pairs[at], curve.pairs[k]], ["images with a pair", curve.images[at], curve.images[k]]];
    for (const [name, counts] of Object.entries(curve.leaks)) rows.push([`images of ${name} in train`, counts[at], counts[k]]);
    const heading = made("h3", "", k === at ? `At the limit of the run, ${curve.current}` : `At ${curve.settings[k]}, instead of ${curve.current}`);
    told.replaceChildren(heading, table(["", "now", "then", "change"], rows.map(([name, n, m]) => [name, number(n), number(m), m === n ? "" : (m > n ? "+" : "−") + number(Math.abs(m - n))]), [1, 2, 3]));
  };
  let asked = 0;
  const sample = guarded(async () => {
    const mine = ++asked, value = curve.settings[slider.value];
    const found = await ask("between", { limit: value });
    if (mine !== asked) return;
    examples.replaceChildren();
    if (!found.n) return;
    examples.append(made("h3", "", `${number(found.n)} ${found.n === 1 ? "pair" : "pairs"} would ${found.come ? "come" : "go"}${found.n > found.rows.length ? `, ${found.rows.length} of them` : ""}`));
    const box = made("div", "examples");
    for (const row of found.rows) {
      const link = made("a", "example");
      link.href = address({ view: found.come ? "rejected" : "pairs", pair: `${row.a}-${row.b}` });
      link.append(thumb(row.a), thumb(row.b), made("div", "", `${row.id_a} / ${row.id_b}`), made("div", "soft", row.doubt.toFixed(4)));
      box.append(link);
    }
    examples.append(box);
  });
  slider.addEventListener("input", draw);
  slider.addEventListener("change", sample);
  place.replaceChildren(made("h2", "", "What another limit would accept"), made("p", "soft", `Verified candidates by ${curve.setting === "search.max_distance" ? "distance in bits" : "their probability of being different pictures"}; ${number(curve.identical)} pairs of identical pictures are pairs at any limit.`), chart.element, label, slider, told, button, examples);
  draw();
}

function histogram(curve) {
  const [width, height, base] = [860, 190, 150];
  const n = curve.bars.length, slot = (width - 20) / n;
  const most = Math.log10(1 + Math.max(1, ...curve.bars));
  const element = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Histogram of ${number(curve.pairs.at(-1) - curve.identical)} verified candidates over ${n} settings of the limit; the limit of the run is ${curve.current}. The table below has the numbers at the chosen setting.` });
  const bars = curve.bars.map((count, k) => {
    const high = (base - 20) * (Math.log10(1 + count) / most);
    const bar = drawing("rect", { x: 10 + k * slot + 1, y: base - high, width: slot - 2, height: Math.max(high, 0) });
    bar.append(drawing("title", {}, `up to ${curve.settings[k]}: ${number(count)}`));
    element.append(bar);
    if (count) element.append(drawing("text", { x: 10 + (k + 0.5) * slot, y: base - high - 3, "text-anchor": "middle", "font-size": 9, fill: "currentColor" }, count < 10000 ? count : `${Math.round(count / 1000)}k`));
    element.append(drawing("text", { x: 10 + (k + 0.5) * slot, y: base + 13, "text-anchor": "middle", "font-size": 9, fill: "currentColor" }, curve.settings[k]));
    return bar;
  });
  element.append(drawing("line", { x1: 10, x2: width - 10, y1: base, y2: base, stroke: "currentColor" }));
  const line = drawing("line", { y1: 8, y2: base + 18, stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": "5 3" });
  const text = drawing("text", { y: base + 32, "text-anchor": "middle", "font-size": 11, "font-weight": 600, fill: "currentColor" });
  element.append(line, text);
  return {
    element,
    mark(k) {
      bars.forEach((bar, j) => bar.setAttribute("fill", j <= k ? "var(--accent)" : "var(--line)"));
      const x = 10 + (k + 1) * slot;
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      text.setAttribute("x", Math.min(x, width - 60));
      text.textContent = `accepted up to ${curve.settings[k]}`;
    },
  };
}

// ---- applying: a plan first, then the button

let planned = null;

const plan = guarded(async (value) => {
  const dialog = find("plan"), text = find("plan-text"), button = find("plan-do");
  planned = { limit: value };
  button.hidden = false;
  button.disabled = true;
  text.replaceChildren(made("p", "", "Working out what would change …"));
  if (!dialog.open) dialog.showModal();
  try {
    await judging;
    const found = await tell("plan", planned);
    const rows = found.changes.map(([name, before, after]) => [name, number(before), number(after)]);
    text.replaceChildren(made("p", "soft", "The same as on the command line:"), made("p", ""));
    text.lastChild.append(made("code", "", found.command));
    if (found.writes) text.append(made("p", "", "The splits of the run are written again."));
    text.append(made("h3", "", rows.length ? "What would change" : "Nothing would change"));
    if (rows.length) text.append(table(["", "now", "then"], rows, [1, 2]));
    button.disabled = false;
    button.focus();
  } catch (error) { text.replaceChildren(made("p", "bad", error.message)); }
});

const apply = guarded(async () => {
  const text = find("plan-text"), button = find("plan-do");
  button.disabled = true;
  text.append(made("p", "", "Applying …"));
  try {
    const found = await tell("apply", planned);
    const rows = found.changes.map(([name, before, after]) => [name, number(before), number(after)]);
    text.replaceChildren(made("h3", "good", "Applied"));
    text.append(rows.length ? table(["", "before", "after"], rows, [1, 2]) : made("p", "", "Nothing changed."));
    button.hidden = true;
    find("plan-not").focus();
    undoable.length = 0;
    await about();
    await open();
  } catch (error) { text.append(made("p", "bad", error.message)); button.disabled = false; }
});

// ---- keys and events

const KEYS = {
  j: () => choose(chosen + 1), k: () => choose(chosen - 1), ArrowDown: () => choose(chosen + 1), ArrowUp: () => choose(chosen - 1),
  Home: () => choose(0), End: () => choose(total - 1), PageDown: () => choose(Math.min(total - 1, chosen + 8)), PageUp: () => choose(Math.max(0, chosen - 8)),
  y: () => judge("same"), n: () => judge("different"), u: () => judge("unsure"), z: undo,
  " ": () => view.blink(), s: () => view.setMode("side"), o: () => view.setMode("overlay"), d: () => view.setMode("difference"),
  "+": () => view.zoom(1.25), "=": () => view.zoom(1.25), "-": () => view.zoom(0.8), 0: () => view.reset(), b: () => view.toggleBoxes(),
  "/": () => find("filters").elements.text.focus(), a: () => plan(state.view === LIMIT ? currentLimit() : undefined), "?": () => find("help").showModal(),
};

function currentLimit() { return undefined; }

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const typing = target.matches?.("input:not([type=checkbox]):not([type=range]), select, textarea");
  if (event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.ctrlKey && !(event.key === "z" && !typing)) return;
  if (typing) { if (event.key === "Escape") { target.blur(); find("rows").focus(); } return; }
  const pressed = target.matches?.("button, a, summary, input");
  if (pressed && [" ", "Enter"].includes(event.key)) return; // it is meant for what has the focus
  if (target.matches?.("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = KEYS[key];
  if (!act || (state.view === LIMIT && !["a", "?"].includes(key))) return;
  event.preventDefault();
  act();
});

for (const button of document.querySelectorAll(".judge button")) button.addEventListener("click", () => judge(button.dataset.verdict));
find("undo").addEventListener("click", undo);
find("apply").addEventListener("click", () => plan(undefined));
find("plan-do").addEventListener("click", apply);
find("plan-not").addEventListener("click", () => find("plan").close());
find("help-button").addEventListener("click", () => find("help").showModal());
find("help-close").addEventListener("click", () => find("help").close());
list.host.addEventListener("scroll", () => list.draw(), { passive: true });
new ResizeObserver(() => list.draw()).observe(list.host);

let waiting = 0;
function filtered() {
  const form = find("filters").elements;
  remember({ ...Object.fromEntries(FILTERS.map((name) => [name, form[name].value])), pair: "" });
  open();
}
find("filters").addEventListener("submit", (event) => event.preventDefault());
find("filters").addEventListener("change", (event) => { if (event.target.name !== "text") filtered(); });
find("filters").elements.text.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filtered, 250); });
find("clear").addEventListener("click", () => { remember({ ...Object.fromEntries(FILTERS.map((name) => [name, ""])), pair: "" }); open(); });
addEventListener("hashchange", open);

// Another window may have judged, and another process may have replaced the run.
document.addEventListener("visibilitychange", guarded(async () => {
  if (document.hidden || !run) return;
  const stamp = String(run.stamp);
  await about();
  if (String(run.stamp) !== stamp) { await open(); return; }
  list.pages.clear();
  list.asked.clear();
  for (const element of list.elements.values()) element.classList.add("waiting");
  list.draw();
}));

await about();
if (run) await open();
list.host.focus({ preventScroll: true });
