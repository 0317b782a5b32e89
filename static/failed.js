// The rows of an import that failed, by the kind of their faults.

import { get, getJson } from "./api.js";
import { announce, inOrder, make, setHidden, setText, showNotice, table, tableRow } from "./dom.js";
import { rows, whole } from "./format.js";

const TAKE = 25;
const HEADS = ["Line", "E-mail", "Property", "Message"];

/** Fills `section`; `update(job)` brings it up to date. */
export function failedRows(section, id) {
  const parts = build(section, id);
  let shown = -1;
  return {
    update: async (job, signal) => {
      const { failed } = job.progress;
      setHidden(section, failed === 0);
      // All of them come as one file once the job is completed.
      setHidden(parts.download, job.status !== "completed");
      if (failed === 0 || failed === shown) return;
      const groups = await getJson(`${errorsOf(id)}?group_by=code`, signal).catch(() => null);
      if (groups === null) return;
      shown = failed;
      const many = groups.length > 1 ? " A row with several faults is in several groups." : "";
      setText(parts.about, `${rows(failed)} failed.${many}`);
      for (const group of groups) {
        if (!parts.known.has(group.code)) parts.known.set(group.code, new Group(id, group));
        parts.known.get(group.code).count(group.rows);
      }
      inOrder(parts.groups, groups.map((group) => parts.known.get(group.code).part));
    },
  };
}

const errorsOf = (id) => `/api/v2/jobs/${encodeURIComponent(id)}/errors`;

/** The rows with one kind of fault, fetched when they are looked at, a page at a time. */
class Group {
  #next = 0;
  #last = -1;
  #rows = 0;
  #isBusy = false;
  #list = make("tbody", { role: "rowgroup" });
  #count = make("span", { class: "count" });
  #more = make("button", { type: "button", class: "quiet", hidden: true });
  #fault = make("p", { class: "notice bad", role: "alert", hidden: true });

  constructor(id, { code, message }) {
    this.id = id;
    this.code = code;
    this.part = make("details", { class: "group" },
      make("summary", {}, make("code", { class: "code" }, code), this.#count,
        make("span", { class: "meaning" }, message)),
      make("div", { class: "group-rows" }, table(`Rows with ${code}`, HEADS, this.#list), this.#fault, this.#more));
    this.#more.addEventListener("click", () => this.#fetchMore());
    this.part.addEventListener("toggle", () => {
      if (this.part.open && this.#last === -1) this.#fetchMore();
    });
  }

  /** How many there are; while the import runs they become more. */
  count(number) {
    this.#rows = number;
    setText(this.#count, rows(number));
    this.#offerMore();
  }

  #offerMore() {
    const shown = this.#list.childElementCount;
    setText(this.#more, `Show more rows (${whole(shown)} of ${whole(this.#rows)} shown)`);
    setHidden(this.#more, shown === 0 || this.#rows <= shown);
  }

  async #fetchMore() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    showNotice(this.#fault, null);
    try {
      const found = await findRows(this.id, this.code, this.#next ?? this.#last + 1);
      this.#list.append(...found.rows.map((row) => failedRow(row, this.code)));
      this.#last = found.rows.at(-1)?.index ?? this.#last;
      this.#next = found.next;
      this.#offerMore();
    } catch (refusal) {
      showNotice(this.#fault, `The rows could not be read: ${refusal.message}`);
      setText(this.#more, "Try again");
      setHidden(this.#more, false);
    }
    this.#isBusy = false;
  }
}

/** The server looks through a part of the file at a time; this asks until there is something to show. */
async function findRows(id, code, from) {
  const found = { rows: [], next: from };
  while (found.next !== null && found.rows.length < TAKE) {
    const take = TAKE - found.rows.length;
    const page = await getJson(`${errorsOf(id)}?code=${code}&from=${found.next}&take=${take}`);
    found.rows.push(...page.rows);
    found.next = page.next;
  }
  return found;
}

function failedRow(row, code) {
  const faults = row.errors.filter((error) => error.code === code);
  const lines = (values) => make("div", {}, ...values.map((value) => make("div", {}, value)));
  const messages = faults.map((error) => make("span", {}, error.message,
    error.duplicate_of !== undefined && make("span", { class: "sub" }, `Row ${error.duplicate_of + 1} of the file is the first.`),
    error.hint && make("span", { class: "sub" }, error.hint)));
  const email = typeof row.user?.email === "string" ? row.user.email : "–";
  const paths = faults.map((error) => (error.path ? make("code", {}, error.path) : "–"));
  return tableRow(HEADS, [whole(row.line), email, lines(paths), lines(messages)]);
}

/** Fetches all failed rows and hands them to the reader as a file. */
async function download(id, parts) {
  parts.download.disabled = true;
  showNotice(parts.fault, null);
  try {
    const blob = await (await get(errorsOf(id))).blob();
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: `${id}.failed-rows.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    announce("The failed rows are downloaded.");
  } catch (refusal) {
    showNotice(parts.fault, `The failed rows could not be downloaded: ${refusal.message}`);
  }
  parts.download.disabled = false;
}

function build(section, id) {
  const parts = {
    about: make("p", { class: "about", id: "failed-about" }),
    download: make("button", { type: "button", id: "download", hidden: true }, "Download all failed rows"),
    fault: make("p", { class: "notice bad", role: "alert", hidden: true }),
    groups: make("div", { class: "groups" }),
    known: new Map(),
  };
  parts.download.addEventListener("click", () => download(id, parts));
  section.replaceChildren(
    make("div", { class: "title" }, make("h2", { id: "failed-title" }, "Failed rows"), parts.download),
    parts.about, parts.fault, parts.groups);
  return parts;
}
