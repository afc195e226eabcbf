// The live update of the home page: its sections are asked for every few seconds, and those that changed are replaced.

const EVERY_MS = 5000;
const PATIENCE_MS = 15000;
const find = (id) => document.getElementById(id);
const partsOf = (root) => new Map([...root.querySelectorAll("[data-part]")].map((part) => [part.dataset.part, part]));
const textsOf = (parts) => new Map([...parts].map(([name, part]) => [name, part.outerHTML]));

/** The sections as they came from the service: on the page a person may have opened what is closed in them. */
let shown = textsOf(partsOf(document));
let updatedAt = new Date();

/** Replace what changed; what was open stays open, and the focus stays on its link. */
function replaceChanged(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const fresh = partsOf(template.content);
  const texts = textsOf(fresh);
  for (const [name, old] of partsOf(document)) {
    const part = fresh.get(name);
    if (!part || texts.get(name) === shown.get(name)) continue;
    const open = [...old.querySelectorAll("details[open]")].map(({ id }) => id);
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    old.replaceWith(part);
    for (const details of part.querySelectorAll("details")) details.open = open.includes(details.id);
    if (focused) same(part, focused)?.focus({ preventScroll: true });
  }
  shown = texts;
}

/** Return the element of a new section that is what another was in the old one. */
function same(part, element) {
  const found = [...part.querySelectorAll(element.tagName)];
  const isSame = (each) => each.getAttribute("href") === element.getAttribute("href") && each.ariaLabel === element.ariaLabel;
  return found.find((each) => isSame(each) && each.textContent === element.textContent) ?? found.find(isSame);
}

function clock(time) {
  return `${time.toISOString().slice(11, 19)} UTC`;
}

async function update() {
  if (document.hidden) return;
  try {
    const reply = await fetch("/sections", { signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!reply.ok) throw new Error(`status ${reply.status}`);
    replaceChanged(await reply.text());
    updatedAt = new Date();
    find("trouble").hidden = true;
  } catch {
    const text = `No answer since ${clock(updatedAt)}: what is shown is of then. starloom up starts the page again.`;
    if (find("trouble").textContent !== text) find("trouble").textContent = text;
    find("trouble").hidden = false;
  }
  find("told").textContent = `updated ${clock(updatedAt)}, every ${EVERY_MS / 1000} s`;
}

async function updateForEver() {
  await update();
  setTimeout(updateForEver, EVERY_MS);
}

document.addEventListener("visibilitychange", update);
find("told").textContent = `updated ${clock(updatedAt)}, every ${EVERY_MS / 1000} s`;
setTimeout(updateForEver, EVERY_MS);
