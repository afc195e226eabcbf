// Answers on their way: kept in the tab until the service has them, and sent again under the same id.

const RETRY_MS = 1500;

export class Outbox {
  /** changed() is called after every change; refused(entry, detail) for what the service does not take. */
  constructor(base, changed, refused) {
    this.base = base;
    this.key = `starloom-outbox:${base}`;
    this.changed = changed;
    this.refused = refused;
    this.waiting = JSON.parse(sessionStorage.getItem(this.key) || "[]");
    this.sending = null;
    this.failing = false;
    addEventListener("beforeunload", (event) => this.waiting.length && event.preventDefault());
  }

  add(path, body) {
    this.waiting.push({ path, body: { id: crypto.randomUUID(), ...body } });
    this.keep();
    return this.flush();
  }

  keep() {
    sessionStorage.setItem(this.key, JSON.stringify(this.waiting));
    this.changed();
  }

  /** Send all that waits, in order; return the answer to the last. */
  flush() {
    this.sending ??= this.send().finally(() => (this.sending = null));
    return this.sending;
  }

  async send() {
    let last = null;
    while (this.waiting.length) {
      const entry = this.waiting[0];
      const reply = await post(this.base + entry.path, entry.body);
      this.failing = reply === null;
      if (this.failing) {
        this.changed();
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        continue;
      }
      this.waiting.shift();
      const content = await reply.json();
      last = reply.ok ? content : null;
      this.keep();
      if (!reply.ok) this.refused(entry, textOf(content.detail));
    }
    return last;
  }
}

/** Post JSON; null where the service cannot be reached or fails, which is worth another try. */
async function post(path, body) {
  try {
    const reply = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return reply.status >= 500 ? null : reply;
  } catch {
    return null;
  }
}

function textOf(detail) {
  return typeof detail === "string" ? detail : JSON.stringify(detail);
}
