// The labelling page: what is shown, what the keys do, and what comes next.

import { Outbox } from "./outbox.js";
import { drawPlane, readPixels } from "./pixels.js";

const setup = JSON.parse(document.getElementById("setup").textContent);
const base = `/api/${encodeURIComponent(setup.dataset)}/${encodeURIComponent(setup.queue)}`;
const find = (id) => document.getElementById(id);
const canvases = [...document.querySelectorAll("#planes canvas")];
const captions = [...document.querySelectorAll("#planes figcaption")];
const TAKEN_KEYS = new Set([..."uszcin", "?", " "]);
const BLINK_MS = 500;
const AHEAD = 20;
const FEWEST_AHEAD = 6;
const MOST_PICTURES = 80;
const REFUSED = 422;
const PLACE = ["ra_deg", "dec_deg", "radius_arcsec"];

const state = {
  ...{ labeller: "", item: null, ahead: [], done: new Set(), pictures: new Map(), cursor: -1 },
  ...{ blinkOn: false, round: 0, notice: "" },
};
const outbox = new Outbox(base, showWaiting, (entry, detail) => {
  state.done.delete(entry.body.sample);
  showTrouble(`Not kept: ${detail}`);
});

// What comes next

async function ask(path, parameters) {
  const reply = await fetch(`${base}/${path}?${new URLSearchParams({ labeller: state.labeller, ...parameters })}`);
  if (!reply.ok) throw Object.assign(new Error((await reply.json()).detail), { isFinal: reply.status === REFUSED });
  return reply;
}

async function fillAhead() {
  const query = { after: state.cursor, count: AHEAD, ...filters() };
  const { round } = state;
  const { items, progress, left } = await (await ask("next", query)).json();
  if (round !== state.round) return 0;
  showProgress(progress);
  find("left").textContent = hasHalfPlace() ? "RA and Dec go together" : isFiltered() ? `${left} left` : "";
  if (items.length) state.cursor = items[items.length - 1].rank;
  const fresh = items.filter(
    ({ id }) => !state.done.has(id) && id !== state.item?.id && !state.ahead.some((other) => other.id === id),
  );
  for (const item of fresh) {
    state.ahead.push(item);
    picture(item.id).catch(() => state.pictures.delete(item.id));
  }
  return items.length && !fresh.length ? fillAhead() : items.length;
}

// Filters

/**
 * Return the filters of the form that are set, by the names that the service and the address have for them. A place on
 * the sky that is not whole yet is none.
 */
function filters() {
  const given = Object.fromEntries([...new FormData(find("filters"))].filter(([, value]) => value));
  if (given.ra_deg && given.dec_deg) return given;
  return Object.fromEntries(Object.entries(given).filter(([name]) => !PLACE.includes(name)));
}

function isFiltered() {
  return Object.keys(filters()).length > 0;
}

function hasHalfPlace() {
  return PLACE.some((name) => find("filters").elements[name]?.value) && !("ra_deg" in filters());
}

/** Set the form to the filters in the address; what the queue does not take is named. */
function readFilters() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (["sample", "labeller"].includes(name)) continue;
    const control = find("filters").elements[name];
    if (control) control.value = value;
    if (control?.value !== value) state.notice = `This queue has no filter ${name}=${value}.`;
  }
}

function addressOf(sample) {
  return `?${new URLSearchParams({ ...(sample ? { sample } : {}), ...filters() })}`;
}

/** Return the pixels of a sample, fetched once. */
function picture(sample) {
  if (!state.pictures.has(sample)) {
    state.pictures.set(sample, ask("pixels", { sample }).then(readPixels));
    if (state.pictures.size > MOST_PICTURES) state.pictures.delete(state.pictures.keys().next().value);
  }
  return state.pictures.get(sample);
}

async function goOn() {
  const { round } = state;
  try {
    if (!state.ahead.length && !(await fillAhead()) && round === state.round && state.cursor >= 0) {
      state.cursor = -1; // what others had reserved, or was skipped over, may be free
      await fillAhead();
    }
    if (round !== state.round) return; // the filters have changed meanwhile
    const item = state.ahead.shift();
    if (item) await show(item.id);
    else showEnd();
    if (state.ahead.length < FEWEST_AHEAD) await fillAhead();
  } catch (error) {
    if (round !== state.round) return;
    if (error.isFinal) return showRefused(error.message);
    showTrouble(`${error.message}. Trying again.`);
    setTimeout(goOn, 2000);
  }
}

async function show(sample) {
  const [pixels, detail] = await Promise.all([picture(sample), ask("item", { sample }).then((reply) => reply.json())]);
  state.item = { ...detail, pixels };
  history.replaceState(null, "", addressOf(sample));
  find("comment").value = detail.answer?.comment ?? "";
  setEnabled(true);
  showTrouble("");
  draw();
  showDetail(detail);
}

// Answers

function answer(action, label = null) {
  if (!state.item) return;
  const { id: sample } = state.item;
  const comment = find("comment").value.trim();
  state.item = null;
  state.done.add(sample);
  outbox.add("/answers", { labeller: state.labeller, sample, action, label, comment }).then((kept) => {
    if (kept) showProgress(kept.progress);
  });
  goOn();
}

async function undo() {
  await outbox.flush();
  const undone = await outbox.add("/undo", { labeller: state.labeller });
  if (!undone) return;
  showProgress(undone.progress);
  state.done.delete(undone.sample);
  if (state.item) state.ahead.unshift({ id: state.item.id, rank: state.item.rank });
  await show(undone.sample);
}

// Drawing

function look() {
  return {
    stretch: find("stretch").value,
    black: Number(find("black").value) / 100,
    white: Number(find("white").value) / 100,
    zoom: Number(find("zoom").value),
    invert: find("invert").checked,
  };
}

function draw() {
  if (!state.item) return;
  const { pixels } = state.item;
  canvases.forEach((canvas, number) => {
    const shown = number === 0 && state.blinkOn ? 1 : number;
    drawPlane(canvas, pixels, pixels.planes[Math.min(shown, pixels.planes.length - 1)], look());
    captions[number].textContent = setup.planes[shown];
  });
}

setInterval(() => {
  const blinking = find("blink")?.checked;
  if (!blinking && !state.blinkOn) return;
  state.blinkOn = blinking && !state.blinkOn;
  draw();
}, BLINK_MS);

// Text beside the pixels

function showDetail(detail) {
  find("name").textContent = detail.id;
  const reason = detail.reason ? ` Asked because: ${detail.reason}.` : "";
  const before = detail.answer ? ` You said ${detail.answer.label ?? "skip"}.` : "";
  find("status").textContent = `Item ${detail.rank + 1} of ${setup.items}.${reason}${before}`;
  find("known").hidden = !detail.known_object;
  find("known").textContent = detail.known_object ? `Known object: ${detail.known_object}` : "";
  const facts = [...detail.facts];
  if (!setup.blind && detail.label != null) facts.unshift(["Label", detail.label]);
  if (!setup.blind && detail.score != null) facts.unshift(["Score", detail.score]);
  find("facts").replaceChildren(
    ...facts.flatMap(([name, value]) => [element("dt", name), element("dd", format(value, name))]),
  );
  const around = detail.neighbours.map((each) => {
    const line = element("li");
    const link = element(each.queued ? "a" : "span", each.id);
    if (each.queued) link.href = addressOf(each.id);
    const more = [`${each.separation_arcsec} arcsec`, each.known_object, each.label].filter(Boolean).join(", ");
    line.append(link, ` ${more}`);
    return line;
  });
  find("neighbours-section").hidden = false;
  find("neighbours").replaceChildren(...(around.length ? around : [element("li", "nothing in this dataset")]));
  showHistory(detail);
}

function showHistory(detail) {
  const points = detail.history.filter((point) => point.mag != null);
  find("history-section").hidden = points.length < 2;
  if (points.length < 2) return;
  const mags = points.map((point) => point.mag);
  const [bright, faint] = [Math.min(...mags), Math.max(...mags)];
  const marks = points.map((point, number) => {
    const mark = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    mark.setAttribute("cx", 46 + (240 * number) / Math.max(points.length - 1, 1));
    mark.setAttribute("cy", 14 + (84 * (point.mag - bright)) / Math.max(faint - bright, 0.01));
    mark.setAttribute("r", point.id === detail.id ? 6 : 4);
    mark.setAttribute("class", point.id === detail.id ? "here" : "");
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = `${point.night ?? ""} visit ${point.visit ?? ""}: ${point.mag.toFixed(2)} mag`;
    mark.append(title);
    return mark;
  });
  const [first, last] = [points[0], points[points.length - 1]].map((point) => point.night ?? "");
  const texts = [
    [4, 18, bright.toFixed(1)], [4, 60, "mag"], [4, 102, faint.toFixed(1)], [40, 116, first],
    ...(last === first ? [] : [[296, 116, last, "end"]]),
  ];
  const words = texts.map(([x, y, text, anchor]) => {
    const word = document.createElementNS("http://www.w3.org/2000/svg", "text");
    word.setAttribute("x", x);
    word.setAttribute("y", y);
    if (anchor) word.setAttribute("text-anchor", anchor);
    word.textContent = text;
    return word;
  });
  find("history").replaceChildren(...words, ...marks);
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** Write a value: coordinates to 0.04 arcsec, other numbers to four digits. */
function format(value, name) {
  if (typeof value !== "number" || Number.isInteger(value)) return String(value);
  return name.endsWith("(deg)") ? value.toFixed(5) : String(Number(value.toPrecision(4)));
}

function showProgress({ items, finished, mine }) {
  find("progress").max = items;
  find("progress").value = finished;
  find("counts").textContent = `${finished} of ${items}, yours ${mine}`;
}

function showWaiting() {
  const count = outbox.waiting.length;
  document.body.dataset.waiting = count;
  if (outbox.failing) showTrouble(`The service does not answer. Answers that wait to be sent: ${count}`);
  else if (find("trouble").textContent.startsWith("The service does not answer")) showTrouble("");
}

function showTrouble(text) {
  find("trouble").textContent = text;
  find("trouble").hidden = !text;
}

function showRefused(detail) {
  showEnd();
  find("status").textContent = "Nothing is shown: the choice of items is refused.";
  find("name").textContent = "";
  showTrouble(detail);
}

function showEnd() {
  state.item = null;
  setEnabled(false);
  history.replaceState(null, "", addressOf(null));
  find("status").textContent = `Nothing ${isFiltered() ? "like that " : ""}left for you in this queue.`;
  find("name").textContent = "Done";
  for (const id of ["facts", "neighbours"]) find(id).replaceChildren();
  for (const id of ["history-section", "neighbours-section", "known"]) find(id).hidden = true;
  for (const canvas of canvases) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

function setEnabled(enabled) {
  for (const button of find("answers").querySelectorAll("button")) button.disabled = !enabled;
  find("skip").disabled = !enabled;
}

// Keys

const keys = [];

function addKey(key, text, act) {
  keys.push({ key, text, act });
}

function step(id, by) {
  const input = find(id);
  input.value = Number(input.value) + by;
  draw();
}

function toggle(id) {
  find(id).checked = !find(id).checked;
  draw();
}

setup.words.forEach((word, number) => {
  const letter = word[0].toLowerCase();
  const alone = setup.words.filter((other) => other[0].toLowerCase() === letter).length === 1;
  const own = word === "unsure" || (alone && !TAKEN_KEYS.has(letter)) ? letter : null;
  const digit = number < 9 ? String(number + 1) : null;
  const button = element("button", word.replaceAll("_", " "));
  button.type = "button";
  button.dataset.label = word;
  for (const key of [own, digit].filter(Boolean)) {
    button.append(" ", element("kbd", key.toUpperCase()));
    addKey(key, `answer ${word}`, () => answer("answer", word));
  }
  button.setAttribute("aria-keyshortcuts", [own, digit].filter(Boolean).join(" "));
  button.addEventListener("click", () => answer("answer", word));
  find("answers").append(button);
});
addKey("s", "skip", () => answer("skip"));
addKey("z", "undo the last", undo);
addKey("c", "write a comment; Enter or Escape leaves it", () => find("comment").focus());
if (find("blink")) addKey(" ", "blink", () => toggle("blink"));
addKey("i", "invert", () => toggle("invert"));
addKey("+", "zoom in", () => step("zoom", 0.5));
addKey("-", "zoom out", () => step("zoom", -0.5));
addKey("]", "darker: white cut up", () => step("white", 5));
addKey("[", "brighter: white cut down", () => step("white", -5));
addKey("}", "black cut up", () => step("black", 5));
addKey("{", "black cut down", () => step("black", -5));
addKey("n", "next stretch", () => {
  find("stretch").selectedIndex = (find("stretch").selectedIndex + 1) % find("stretch").length;
  draw();
});
addKey("/", "choose items; Escape leaves the field", () => find("filters").elements.mine.focus());
addKey("?", "these keys", () => find("help-dialog").showModal());

document.addEventListener("keydown", (event) => {
  const inText = event.target.matches("input:not([type=range]):not([type=checkbox]), select");
  if (inText && (event.key === "Escape" || (event.key === "Enter" && event.target.id === "comment"))) {
    event.target.blur();
    return;
  }
  if (inText || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === " " && event.target.matches("button, input, a")) return; // the browser's own key
  if (!find("keys-act").checked) return;
  const found = keys.find(({ key }) => key === event.key.toLowerCase());
  if (!found || event.repeat) return;
  event.preventDefault();
  found.act();
});

// Begin

for (const text of new Set(keys.map((each) => each.text))) {
  const row = element("tr");
  const cell = element("td");
  for (const { key } of keys.filter((each) => each.text === text)) {
    cell.append(element("kbd", key === " " ? "Space" : key.toUpperCase()), " ");
  }
  row.append(cell, element("td", text));
  find("keys").tBodies[0].append(row);
}
for (const id of ["stretch", "black", "white", "zoom", "invert", "blink"]) find(id)?.addEventListener("input", draw);
find("filters").addEventListener("change", restart);
find("filters").addEventListener("reset", () => setTimeout(restart)); // the form is empty after the event
find("filters").addEventListener("submit", (event) => event.preventDefault());
find("skip").addEventListener("click", () => answer("skip"));
find("undo").addEventListener("click", undo);
find("help-button").addEventListener("click", () => find("help-dialog").showModal());
find("keys-act").checked = localStorage.getItem("starloom-keys") !== "off"; // speech input types letters
find("keys-act").addEventListener("change", ({ target }) => localStorage.setItem("starloom-keys", target.checked ? "on" : "off"));
find("labeller").addEventListener("change", () => begin(find("labeller").value));
find("who-dialog").addEventListener("close", () => begin(find("who").value));
find("who-dialog").addEventListener("cancel", (event) => event.preventDefault());
if (setup.planes.length === 1) find("stretch").value = "linear";

function forget() {
  Object.assign(state, { item: null, ahead: [], done: new Set(), cursor: -1, round: state.round + 1 });
}

/** Go on with what the filters say, once the service has the answers on which they may rest. */
async function restart() {
  forget();
  setEnabled(false);
  await outbox.flush();
  return goOn();
}

async function begin(name) {
  state.labeller = name.trim();
  if (!state.labeller) {
    find("who-dialog").showModal();
    return;
  }
  localStorage.setItem("starloom-labeller", state.labeller);
  find("labeller").value = state.labeller;
  await outbox.flush();
  const sample = new URLSearchParams(location.search).get("sample");
  forget();
  if (!sample || setup.absent) {
    await goOn();
    if (setup.absent) state.notice = `Sample ${sample} is not in this queue.`;
    setup.absent = false;
  } else {
    await show(sample);
    await fillAhead();
  }
  if (state.notice) showTrouble(state.notice);
  state.notice = "";
}

readFilters();
const given = new URLSearchParams(location.search).get("labeller");
begin(given ?? localStorage.getItem("starloom-labeller") ?? "");
