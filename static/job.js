// One import: how far it is, how it ended, and what became of its rows.

import { getJson, poll, Refusal } from "./api.js";
import { announce, copyButton, make, setHidden, setText, showNotice, showTrouble } from "./dom.js";
import { failedRows } from "./failed.js";
import { duration, rows, size, time, whole } from "./format.js";
import { badge, nameOf, outcome, state } from "./jobs.js";

/** Pause until the next look, in milliseconds; after trouble longer. */
const PAUSE = 700;
const TROUBLE = 3000;
/** Span of time over which the pace is measured, in milliseconds. */
const PACE_SPAN = 5000;

/** Shows the job in `place` until the returned function is called. */
export function showJob(place, id) {
  const parts = build(place, id);
  const failed = failedRows(parts.failed, id);
  const pace = new Pace();
  let wasPending = false;
  const polling = poll(async (signal) => {
    let job;
    try {
      job = await getJson(`/api/v2/jobs/${encodeURIComponent(id)}?include=progress`, signal);
    } catch (refusal) {
      return signal.aborted ? null : handleTrouble(parts, refusal);
    }
    if (signal.aborted) return null;
    showTrouble("");
    render(parts, job, pace.of(job.progress.rows_done));
    await failed.update(job, signal);
    if (job.status === "pending") {
      wasPending = true;
      return PAUSE;
    }
    if (wasPending) announce(`Import ${nameOf(job)} has ended: ${outcome(job)}.`);
    return null;
  });
  return () => polling.stop();
}

function handleTrouble(parts, refusal) {
  if (!(refusal instanceof Refusal)) throw refusal;
  if (refusal.status === 401) return null;
  if (refusal.status >= 400 && refusal.status < 500) {
    setHidden(parts.content, true);
    const gone = "There is no such import. It may have been removed because it is old.";
    showNotice(parts.reason, refusal.status === 404 || refusal.status === 400 ? gone : refusal.message);
    return null;
  }
  showTrouble(`${refusal.message} Trying again…`);
  return TROUBLE;
}

/** Rows per second over the last few seconds. */
class Pace {
  #seen = [];

  of(done) {
    const now = performance.now();
    this.#seen.push({ now, done });
    while (this.#seen.length > 2 && now - this.#seen[0].now > PACE_SPAN) this.#seen.shift();
    const first = this.#seen[0];
    const seconds = (now - first.now) / 1000;
    return seconds > 0.3 ? (done - first.done) / seconds : null;
  }
}

function render(parts, job, pace) {
  setText(parts.title, nameOf(job));
  document.title = `${nameOf(job)} · intake`;
  parts.badge.replaceChildren(badge(state(job)));
  showNotice(parts.reason, job.status === "failed" ? job.status_details : null);
  renderProgress(parts, job, pace);
  renderFacts(parts, job);
  setHidden(parts.content, false);
}

function renderProgress(parts, job, pace) {
  const { rows_done: done, rows_total: total, inserted, updated, failed } = job.progress;
  const isPending = job.status === "pending";
  const percent = isPending ? job.percentage_done : job.status === "completed" ? 100 : percentOf(done, total);
  parts.bar.value = percent;
  setText(parts.percent, `${percent} %`);
  setHidden(parts.progress, total === undefined);
  setText(parts.pace, isPending ? running(job, pace) : ended(job));
  const counts = { total: total ?? 0, inserted, updated, failed };
  for (const [name, count] of Object.entries(counts)) setText(parts.counts[name], whole(count));
  setHidden(parts.tiles, total === undefined);
  parts.counts.failed.parentElement.classList.toggle("some", failed > 0);
}

const percentOf = (done, total) => (total > 0 ? Math.floor((done / total) * 100) : 0);

function running(job, pace) {
  const { rows_done: done, rows_total: total } = job.progress;
  if (done === 0) return "Waiting for its turn";
  const parts = [`${whole(done)} of ${rows(total)}`];
  if (pace !== null) parts.push(`${whole(Math.round(pace))} rows/s`);
  parts.push(`${duration(job.time_left_seconds)} left`);
  return parts.join(" · ");
}

function ended(job) {
  const seconds = (new Date(job.ended_at) - new Date(job.created_at)) / 1000;
  const took = seconds < 1 ? "less than a second" : duration(seconds);
  const done = job.progress.rows_done;
  return `${rows(done)} in ${took}${seconds >= 1 ? ` · ${whole(Math.round(done / seconds))} rows/s` : ""}`;
}

function renderFacts(parts, job) {
  const key = `${job.status} ${job.ended_at}`;
  if (parts.facts.dataset.key === key) return;
  parts.facts.dataset.key = key;
  const withCopy = (text, what) => make("span", { class: "copied" }, make("code", {}, text), copyButton(text, what));
  const facts = [
    ["Job", withCopy(job.id, "the job's id")],
    job.external_id && ["Your id", job.external_id],
    ["Connection", make("span", {}, job.connection, " ", withCopy(job.connection_id, "the connection's id"))],
    ["Users who exist", job.upsert ? "are updated" : "fail as duplicates"],
    ["File", size(job.file_size)],
    ["Accepted", time(job.created_at)],
    job.ended_at && ["Ended", time(job.ended_at)],
  ];
  const entry = ([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value));
  parts.facts.replaceChildren(...facts.filter(Boolean).map(entry));
}

function build(place, id) {
  const tile = (label, count) => make("div", { class: "tile" }, count, make("span", {}, label));
  const parts = {
    title: make("h1", { tabindex: "-1" }, id),
    badge: make("span"),
    reason: make("p", { class: "notice bad", id: "reason", hidden: true }),
    bar: make("progress", { max: "100", value: "0", "aria-label": "Progress" }),
    percent: make("strong", { id: "percent" }),
    pace: make("span", { class: "pace", id: "pace" }),
    counts: {},
    facts: make("dl", { class: "facts" }),
    failed: make("section", { class: "card", id: "failed", "aria-labelledby": "failed-title", hidden: true }),
  };
  for (const name of ["total", "inserted", "updated", "failed"]) {
    parts.counts[name] = make("strong", { id: `count-${name}` }, "0");
  }
  parts.progress = make("div", { class: "progress" }, parts.bar, make("p", {}, parts.percent, parts.pace));
  parts.tiles = make("div", { class: "tiles" }, tile("in the file", parts.counts.total),
    tile("inserted", parts.counts.inserted), tile("updated", parts.counts.updated), tile("failed", parts.counts.failed));
  parts.content = make("div", { hidden: true }, parts.progress, parts.tiles, parts.facts);
  place.replaceChildren(
    make("p", { class: "back" }, make("a", { href: "#/" }, "All imports")),
    make("section", { class: "card", "aria-label": "The import" },
      make("div", { class: "title" }, parts.title, parts.badge), parts.reason, parts.content),
    parts.failed);
  return parts;
}
