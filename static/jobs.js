// The list of imports, newest first, as they go.

import { getJson } from "./api.js";
import { announce, make, reconcile, setHidden, setText, showNotice, table, tableRow } from "./dom.js";
import { rows, time, whole } from "./format.js";

const PAGE = 15;
const HEADS = ["Import", "Started", "State", "Rows"];
/** Pause until the next look, in milliseconds: while something runs, and while nothing does. */
const BUSY = 1000;
const IDLE = 5000;

/** Fills `section`; `load` fetches the page in view and returns the pause until it should be again. */
export function jobsPanel(section, onTurn) {
  const parts = build(section);
  let page = 0;
  const turn = (step) => {
    page = Math.max(0, page + step);
    onTurn();
  };
  parts.newer.addEventListener("click", () => turn(-1));
  parts.older.addEventListener("click", () => turn(1));
  const pending = new Set();

  return {
    load: async (signal) => {
      const asked = page;
      const jobs = await getJson(`/api/v2/jobs?per_page=${PAGE}&page=${asked}&include=progress`, signal);
      if (asked !== page) return 0;
      tellOfEnds(pending, jobs);
      reconcile(parts.body, jobs, (job) => job.id, jobRow);
      setHidden(parts.table, jobs.length === 0);
      showNotice(parts.empty, jobs.length > 0 ? null : page === 0
        ? "No imports yet. Choose a file above, or type: intake import users.json"
        : "There are no older imports.");
      setHidden(parts.turn, page === 0 && jobs.length < PAGE);
      parts.newer.disabled = page === 0;
      parts.older.disabled = jobs.length < PAGE;
      setText(parts.page, `Page ${page + 1}`);
      return jobs.some((job) => job.status === "pending") ? BUSY : IDLE;
    },
  };
}

/** Tells of imports that have ended since the last look. */
function tellOfEnds(pending, jobs) {
  const ended = jobs.filter((job) => job.status !== "pending" && pending.delete(job.id));
  if (ended.length > 0) announce(ended.map((job) => `${nameOf(job)}: ${outcome(job)}`).join(". "));
  for (const job of jobs) if (job.status === "pending") pending.add(job.id);
}

/** What people call an import: their own id for it if it has one. */
export const nameOf = (job) => job.external_id || job.id;

/** How an import ended, in a few words. */
export function outcome(job) {
  if (job.status === "failed") return "failed";
  const { inserted, updated, failed } = job.summary;
  return `${whole(inserted)} inserted, ${whole(updated)} updated, ${whole(failed)} failed`;
}

/** A word for where a job stands, and how it looks. */
export function state(job) {
  if (job.status === "pending") return job.progress.rows_done > 0 ? ["Running", "busy"] : ["Waiting", "busy"];
  if (job.status === "failed") return ["Failed", "bad"];
  return job.summary.failed > 0 ? ["With errors", "warn"] : ["Done", "good"];
}

export function badge([word, look]) {
  return make("span", { class: `badge ${look}` }, word);
}

function jobRow(job) {
  const own = job.external_id && make("span", { class: "sub" }, job.id);
  const name = make("span", {}, make("a", { href: `#/jobs/${job.id}`, class: "name" }, nameOf(job)), own);
  return tableRow(HEADS, [name, time(job.created_at), badge(state(job)), counts(job)]);
}

function counts(job) {
  const { inserted, updated, failed, rows_total: total } = job.progress;
  if (job.status === "pending") {
    const bar = make("progress", { max: "100", value: `${job.percentage_done}`, "aria-label": "Progress" });
    return make("span", { class: "small-progress" }, bar, ` ${job.percentage_done} %`);
  }
  if (job.status === "failed" && inserted + updated + failed === 0) return "–";
  const parts = [inserted > 0 && `${whole(inserted)} inserted`, updated > 0 && `${whole(updated)} updated`,
    failed > 0 && `${whole(failed)} failed`].filter(Boolean);
  return parts.join(", ") || rows(total ?? 0);
}

function build(section) {
  const parts = {
    body: make("tbody", { role: "rowgroup" }),
    empty: make("p", { class: "empty", hidden: true }),
    newer: make("button", { type: "button", class: "quiet" }, "Newer"),
    older: make("button", { type: "button", class: "quiet" }, "Older"),
    page: make("span", { class: "hint" }),
  };
  parts.table = table("Imports, newest first", HEADS, parts.body);
  parts.table.hidden = true;
  parts.turn = make("div", { class: "turn", hidden: true }, parts.newer, parts.page, parts.older);
  section.replaceChildren(make("h2", { id: "jobs-title" }, "Imports"), parts.empty, parts.table, parts.turn);
  return parts;
}
